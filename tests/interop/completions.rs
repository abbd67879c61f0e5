//! Completions in a real bash: at a terminal, with the keys that a person presses.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::peers::{done, peer, said};
use crate::project::{Project, program};

const API: &str = "registry.example.com:5000/acme/api";

/// A project whose store has an image under two tags, and a script that knows the completions.
fn stocked() -> Project {
    let project = Project::new(&format!(
        "[image]\nname = \"{API}\"\nbase = \"scratch\"\nplatforms = [\"linux/amd64\"]\n[[file]]\ndest = \"/a\"\ncontent = \"a\"\n[tags]\nfixed = [\"1.2\", \"1.3\"]\n"
    ));
    let built = project.run(&["build"]);
    assert!(built.status.success(), "{}", said(&built));
    let script = project.run(&["completions", "bash"]);
    assert!(script.status.success(), "{}", said(&script));
    project.write("rc", [&script.stdout[..], b"bind 'set bell-style none'\nPS1='> '\n"].concat());
    project
}

/// What an interactive bash that is sent these keys has shown when it has ended.
fn typed(project: &Project, keys: &str) -> String {
    let typing: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&typing).unwrap();
    unlockpt(&typing).unwrap();
    let name = ptsname(&typing, Vec::new()).unwrap();
    let terminal = || Stdio::from(File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap());
    let mut shell = peer("bash");
    project.prepare(&mut shell);
    let path = format!("{}:{}", program().parent().unwrap().display(), crate::peers::path());
    shell.env("PATH", path).env("TERM", "dumb").current_dir(project.app());
    shell.args(["--noprofile", "--rcfile", "rc", "-i"]).stdin(terminal()).stdout(terminal()).stderr(terminal());
    let mut child = shell.spawn().unwrap();
    drop(shell); // its ends of the terminal are the child's alone
    let mut terminal = File::from(typing);
    terminal.write_all(keys.as_bytes()).unwrap();
    let mut shown = Vec::new();
    let mut part = [0; 4096];
    // A terminal that nobody holds any more ends with an error.
    while let Ok(1..) = terminal.read(&mut part).inspect(|count| shown.extend_from_slice(&part[..*count])) {}
    child.wait().unwrap();
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn bash_completes_the_names_of_images_past_their_colons() {
    let project = stocked();
    // The host and its port, what both tags have in common, one tag; then the line is run.
    let shown = typed(&project, "stillframe rm regi\t2\t\nexit\n");
    let listed = project.run(&["images"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(!listed.contains(&format!("{API}:1.2")) && listed.contains("1.3"), "{listed}\n{shown}");
    // A command, an option and its value, and what the manifest says.
    let shown = typed(&project, "still\x15stillframe bui\t--plat\tlinux/am\t\t\nexit\n");
    assert!(shown.contains("stillframe build --platform linux/amd64"), "{shown}");
}

#[test]
fn bash_puts_a_broken_word_together_again() {
    let project = stocked();
    for (line, words, expected) in [
        (
            format!("stillframe rm {API}:1"),
            format!("stillframe rm {} : 5000/acme/api : 1", "registry.example.com"),
            vec!["1.2", "1.3"],
        ),
        (
            format!("stillframe rm {API}:"),
            "stillframe rm registry.example.com : 5000/acme/api :".into(),
            vec!["1.2", "1.3"],
        ),
        (
            "stillframe --file=. build --platform ".into(),
            "stillframe --file = . build --platform ''".into(),
            vec!["linux/amd64"],
        ),
        (
            "stillframe  save   regis".into(),
            "stillframe save regis".into(),
            vec!["registry.example.com:5000/acme/api:1.2", "registry.example.com:5000/acme/api:1.3"],
        ),
    ] {
        let script = format!(
            "source rc 2>/dev/null; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _stillframe '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            program().display()
        );
        let mut shell = peer("bash");
        project.prepare(&mut shell);
        let offered = done(shell.current_dir(project.app()).args(["--norc", "-c", &script]));
        // Only what follows the last break is put on the line.
        assert_eq!(offered.lines().collect::<Vec<_>>(), expected, "{line}");
    }
}
