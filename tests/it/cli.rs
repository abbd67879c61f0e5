//! The command line's contract: exit codes, what goes where, plan, schema, completions, receipts.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::git::git;
use super::support::{Project, scratch};

const ITEM: &str = "[[file]]\ndest = \"/x\"\ncontent = \"x\"\n";

fn small() -> Project {
    Project::of(&scratch(&format!("created = \"fixed\"\n{ITEM}")))
}

fn named(names: &str) -> Project {
    Project::of(&scratch(&format!("name = {names}\ncreated = \"fixed\"\n{ITEM}")))
}

#[test]
fn stdout_is_the_result_and_nothing_else() {
    let done = small().run(["build"]).success();
    assert_eq!(done.stdout, format!("{}\n", done.digest()));
    assert_eq!(done.stderr, "");
    let one = named("\"registry.example.com/team/app\"").run(["build"]).success();
    assert_eq!(one.stdout, format!("registry.example.com/team/app@{}\n", done.digest()));
    let two = named("[\"registry.example.com/team/app\", \"example.org/app\"]").run(["build"]).success();
    let lines = [one.stdout, format!("example.org/app@{}\n", done.digest())];
    assert_eq!(two.stdout, lines.concat());
    assert_eq!(small().run(["check"]).success().stdout, "");
    let noted = Project::of(&scratch(ITEM));
    let done = noted.run(["build"]).success();
    assert!(done.stderr.starts_with("note: `created` is 1980-01-01T00:00:00Z"), "{}", done.stderr);
    assert_eq!(noted.run(["-q", "build"]).success().stderr, "");
    assert!(!noted.run(["-v", "build"]).success().stderr.contains('\u{1b}'), "no colours, no bars: it is no terminal");
}

#[test]
fn json_is_one_document() {
    let project = Project::of(&scratch(ITEM));
    let done = project.run(["--format", "json", "build", "-o", "oci:out"]).success();
    assert_eq!(done.stderr, "");
    let document = done.json();
    let layout = project.layout("out");
    let image = layout.image();
    assert_eq!(document["digest"], layout.digest());
    assert_eq!(document["images"][0]["platform"], "linux/amd64");
    assert_eq!(document["images"][0]["layers"][0]["digest"], image.manifest["layers"][0]["digest"]);
    assert_eq!(document["images"][0]["layers"][0]["diffId"], image.config["rootfs"]["diff_ids"][0]);
    assert_eq!(document["notes"].as_array().unwrap().len(), 1);
    assert_eq!(document["findings"], json!([]));
    assert_eq!(project.run(["--format", "json", "check"]).success().json()["ok"], true);
    let failed = Project::of("schema = 1\n").run(["--format", "json", "build"]).fails(2);
    assert_eq!((failed.json()["error"]["kind"].as_str(), failed.stderr.as_str()), (Some("usage"), ""));
    let nothing = Project::new().run(["--format", "json", "plan"]).fails(2).json();
    assert_eq!((&nothing["error"]["exit"], &nothing["findings"]), (&json!(2), &json!([])));
}

#[test]
fn a_wrong_command_line_is_one_document_too() {
    for words in [
        &["--format", "json", "biuld"][..],
        &["build", "--format=json", "-o", "nothing:x"],
        &["--format=json", "build", "--jobs", "many"],
        &["--format", "json"],
    ] {
        let done = small().run(words).fails(2);
        let error = &done.json()["error"];
        assert_eq!(
            (&error["kind"], &error["exit"], done.stderr.as_str()),
            (&json!("usage"), &json!(2), ""),
            "{words:?}"
        );
        assert!(!error["message"].as_str().unwrap().is_empty() && error["hints"].is_array(), "{error}");
    }
    assert!(small().run(["--format", "text", "biuld"]).fails(2).stdout.is_empty());
    assert!(small().run(["--format", "json", "--help"]).success().stdout.contains("Usage"));
}

#[test]
fn mft_10_a_reader_that_goes_away_is_no_failure() {
    for words in [&["build"][..], &["--format", "json", "build"], &["plan"], &["schema"], &["completions", "bash"]] {
        small().run(words).after("exec >&-").success();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = small().run(words).stdout(writer).success();
        assert_eq!(done.stderr, "", "{words:?}");
    }
    small().run(["build"]).after("exec 2>&-").success();
}

#[cfg(target_os = "linux")]
#[test]
fn mft_10_a_full_disk_is_one() {
    for words in [&["build"][..], &["--format", "json", "build"], &["plan"], &["schema"], &["completions", "bash"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let done = small().run(words).stdout(full).fails(5);
        assert!(done.stderr.contains("writing to stdout"), "{words:?}: {}", done.stderr);
    }
    let project = small();
    let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    project.run(["--help"]).stdout(full()).ends();
}

#[test]
fn exit_codes_of_the_command_line() {
    let project = small();
    for (words, code) in [
        (&["--help"][..], 0),
        (&["build", "--help"], 0),
        (&["--version"], 0),
        (&[], 2),
        (&["biuld"], 2),
        (&["build", "-o", "nothing:x"], 2),
        (&["build", "-o", "oci:"], 2),
        (&["build", "-o"], 2),
        (&["--jobs", "many", "build"], 2),
        (&["--set", "novalue", "build"], 2),
        (&["--format", "yaml", "build"], 2),
        (&["push"], 2),
        (&["-f", "nowhere", "build"], 2),
        (&["build", "-o", "oci:no/such/directory"], 5),
        (&["build", "-o", "oci-archive:no/such/directory.tar"], 5),
        (&["build", "--receipt", "no/such/receipt.json"], 5),
        (&["-q", "-v", "build"], 2),
    ] {
        let done = project.run(words).ends().expect(code);
        assert_eq!(done.stdout.is_empty(), code != 0, "{words:?}: {}", done.stdout);
        assert_eq!(done.stderr.is_empty(), code == 0, "{words:?}: {}", done.stderr);
    }
    assert_eq!(project.names(""), ["image.toml"], "nothing is left");
    let without_home = project.run(["build"]).env("HOME", "").env("STILLFRAME_HOME", "").fails(5);
    assert!(without_home.stderr.contains("STILLFRAME_HOME"), "{}", without_home.stderr);
    project.run(["build"]).env("STILLFRAME_HOME", "").success();
}

#[test]
fn plan_tells_whether_anything_changes() {
    let project = small();
    let plan = project.run(["plan"]).success();
    assert!(plan.stdout.contains("x"), "{}", plan.stdout);
    assert_eq!(project.names(""), ["image.toml"], "it writes nothing outside of the store");
    project.run(["plan"]).success();
    let digest = project.digest();
    assert_eq!(project.run(["plan"]).fails(10).stderr, "");
    let document = project.run(["--format", "json", "plan"]).fails(10).json();
    assert_eq!((&document["changed"], &document["digest"]), (&json!(false), &json!(digest)));
    let entries = &document["entries"]["linux/amd64"][0];
    assert_eq!(entries["name"], "files");
    assert_eq!(
        entries["entries"],
        json!([{"path": "x", "kind": "file", "size": 1, "target": null, "mode": "0644", "uid": 0, "gid": 0}])
    );
    project.write("image.toml", scratch("created = \"fixed\""));
    let document = project.run(["--format", "json", "plan"]).success().json();
    assert_eq!(document["changed"], true);
    Project::of("schema = 1\n").run(["plan"]).fails(2);
}

#[test]
fn plan_lists_entries_under_their_platform_with_their_modes() {
    let rest = "platforms = [\"linux/arm64\", \"linux/amd64\"]\ncreated = \"fixed\"\n\
        [[file]]\nsrc = \"tree/\"\ndest = \"/{{ platform.arch }}/\"\n[[symlink]]\ndest = \"/link\"\ntarget = \"x\"";
    let project = Project::of(&scratch(rest)).file("tree/program", "#!/bin/x\n").file("tree/text", "text");
    let text = project.run(["plan"]).success().stdout;
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for platform in ["arm64", "amd64"] {
        let at = lines.iter().position(|line| line.starts_with(&format!("linux/{platform} "))).unwrap();
        let listed: Vec<&str> = lines[at + 2..at + 6].iter().map(String::as_str).collect();
        let program = format!("0755 0:0 /{platform}/program (9 bytes)");
        let plain = format!("0644 0:0 /{platform}/text (4 bytes)");
        let directory = format!("0755 0:0 /{platform}/");
        assert!(listed.contains(&&*program) && listed.contains(&&*plain) && listed.contains(&&*directory), "{text}");
        assert!(listed.contains(&"0777 0:0 /link -> x"), "{text}");
    }
    let document = project.run(["--format", "json", "plan"]).success().json();
    let path = &document["entries"]["linux/amd64"][0]["entries"][1];
    assert_eq!((&path["path"], &path["mode"]), (&json!("amd64/program"), &json!("0755")));
}

#[test]
fn plan_without_a_network_compares_with_the_store() {
    let project = named("\"registry.example.com/app\"");
    git(&project, &["init", "-q"]);
    project.write(".gitignore", "/out/\n");
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "one"]);
    let plan = project.run(["--offline", "plan"]).success();
    assert!(plan.stdout.contains("unknown (offline)"), "{}", plan.stdout);
    project.digest();
    let plan = project.run(["--offline", "plan"]).fails(10);
    assert!(plan.stdout.contains("unknown (offline)"), "{}", plan.stdout);
}

#[test]
fn the_schema_is_committed_and_knows_every_key() {
    let text = small().run(["schema"]).success().stdout;
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/image.schema.json");
    assert_eq!(fs::read_to_string(committed).unwrap(), text, "write `stillframe schema` to docs/image.schema.json");
    let schema: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    for (table, keys) in [
        (
            "",
            "schema format vars image env labels annotations binary file dir symlink user group archive copy trust-store skeleton remove",
        ),
        (
            "image",
            "name base platforms user workdir entrypoint cmd ports volumes stop-signal created context unset compression compression-level hard-links",
        ),
        ("binary", "src dest link mode owner capabilities layer replace"),
        ("file", "src dest content template include exclude mode dir-mode owner layer replace"),
        ("archive", "src url sha256 dest platforms strip include exclude mode dir-mode owner layer replace"),
        ("copy", "from src dest platform include exclude mode dir-mode owner layer replace"),
        ("dir", "dest mode owner layer replace"),
        ("symlink", "dest target owner layer replace"),
        ("user", "name uid gid home shell comment"),
        ("group", "name gid members"),
        ("remove", "dest"),
    ] {
        let at = if table.is_empty() { &schema } else { &schema["properties"][table] };
        let properties = if at["type"] == "array" { &at["items"]["properties"] } else { &at["properties"] };
        for key in keys.split(' ') {
            assert!(properties[key].is_object(), "{table}.{key}: {properties}");
        }
    }
}

#[test]
fn completions_for_five_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = Project::new().run(["completions", shell]).success();
        // The others ask the program itself.
        let whole = ["elvish", "powershell"].contains(&shell);
        for word in ["build", "plan", "check", "push", "platform", "receipt"].iter().filter(|_| whole) {
            assert!(done.stdout.contains(word), "{shell}: {word}");
        }
        assert!(done.stdout.contains("stillframe"), "{shell}");
    }
    Project::new().run(["completions", "csh"]).fails(2);
}

#[test]
fn a_receipt_says_what_was_made() {
    let project = named("\"registry.example.com/app\"");
    let done = project.run(["--format", "json", "build", "-o", "oci:out", "--receipt", "receipt.json"]).success();
    let receipt: Value = serde_json::from_slice(&fs::read(project.path("receipt.json")).unwrap()).unwrap();
    let mut document = done.json();
    for key in ["findings", "notes"] {
        document.as_object_mut().unwrap().remove(key);
    }
    assert_eq!(receipt, document);
    assert_eq!(receipt["digest"], project.layout("out").digest());
    assert_eq!(receipt["references"][0], format!("registry.example.com/app@{}", project.layout("out").digest()));
    assert_eq!(receipt["pushed"], json!([]));
    let failed = Project::of("schema = 1\n");
    failed.run(["build", "--receipt", "receipt.json"]).fails(2);
    assert_eq!(failed.names(""), ["image.toml"]);
}

/// The writing end of a pipe, as soon as somebody reads from it.
fn opened_by_a_reader(pipe: &Path) -> fs::File {
    let mut writing = fs::OpenOptions::new();
    writing.write(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    for _ in 0..6000 {
        match writing.open(pipe) {
            Ok(file) => return file,
            Err(_) => sleep(Duration::from_millis(10)),
        }
    }
    panic!("nobody reads `{}`", pipe.display());
}

/// The program waits for git here: one of its files is a pipe to which nobody writes.
#[test]
fn a_signal_ends_it_while_it_reads() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let project = small();
        git(&project, &["init", "-q"]);
        git(&project, &["add", "."]);
        git(&project, &["commit", "-qm", "one"]);
        let pipe = project.path(".git/packed-refs");
        Command::new("mkfifo").arg(&pipe).status().unwrap();
        let running = project.run(["check"]).start();
        let held = opened_by_a_reader(&pipe);
        Command::new("kill").args([format!("-{signal}"), running.id().to_string()]).status().unwrap();
        running.ends().expect(code);
        drop(held);
    }
}

#[test]
fn a_registry_that_does_not_answer_is_told_with_the_cause() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::of(&super::support::manifest(&format!("127.0.0.1:{port}/app:1"), ""));
    let done = project.run(["check"]).fails(2);
    assert!(done.stderr.contains("could not be asked for it: ") && done.stderr.contains("refused"), "{}", done.stderr);
}
