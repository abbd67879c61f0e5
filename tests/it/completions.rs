//! What a shell is told while a line is typed: images, manifests, rules; below any shell, and the scripts that ask.

use std::fs;

use crate::support::{Project, on_scratch, rooted};

/// What may follow these words, the last of which is begun; without the explanations.
fn offered(project: &Project, words: &[&str]) -> Vec<String> {
    told(project, words).iter().map(|line| line.split('\t').next().unwrap().to_string()).collect()
}

fn told(project: &Project, words: &[&str]) -> Vec<String> {
    let at = words.len().to_string();
    let line = ["complete", &at, "--", "stillframe"].into_iter().chain(words.iter().copied());
    let done = project.run(line).success();
    assert_eq!(done.stderr, "", "{words:?}");
    done.stdout.lines().map(str::to_string).collect()
}

/// Two images with names and one without, in the local store.
fn stocked() -> Project {
    let project = on_scratch(&[("file", "dest = '/a'; content = 'a'")]);
    project.run(["build"]).success();
    for (name, tag) in [("acme/api", "1.2"), ("acme/web", "2")] {
        let text = format!(
            "schema = 1\n[vars]\nversion = {{ default = \"1\" }}\n[image]\nname = \"registry.example.com:5000/{name}\"\nbase = \"scratch\"\n\
             platforms = [\"linux/arm64\", \"linux/s390x\"]\n[tags]\nfixed = [\"{tag}\"]\n[[file]]\ndest = \"/n\"\ncontent = \"{name}\"\n"
        );
        project.write("image.toml", rooted(&text));
        project.run(["build"]).success();
    }
    project
}

#[test]
fn commands_and_options_are_offered() {
    let project = Project::new();
    let commands = offered(&project, &[""]);
    for name in ["init", "build", "tags", "completions"] {
        assert!(commands.contains(&name.to_string()), "{commands:?}");
    }
    assert!(!commands.contains(&"complete".to_string()) && !commands.iter().any(|word| word.starts_with('-')));
    assert_eq!(offered(&project, &["upd"]), ["update", "update-db"]);
    assert!(told(&project, &["upd"])[0].starts_with("update\tMoves the pins"));
    assert_eq!(offered(&project, &["tags", ""]).iter().filter(|word| *word != "help").count(), 2);
    assert_eq!(offered(&project, &["build", "--rec"]), ["--receipt"]);
    assert!(offered(&project, &["init", "--template", ""]).contains(&"rust-static".to_string()));
    assert_eq!(offered(&project, &["init", "--template", "go"]), ["go-static"]);
    assert_eq!(offered(&project, &["completions", "fi"]), ["fish"]);
    assert_eq!(offered(&project, &["check", "--explain", "root-"]), ["root-user"]);
    assert_eq!(offered(&project, &["build", "-o", "docker"]), ["docker-archive:", "docker"]);
    // A word that no argument begins with, and a place far behind the line.
    assert!(offered(&project, &["build", "--no-such"]).is_empty());
    let far = project.run(["complete", "9", "--", "stillframe"]).success();
    assert_eq!(far.stderr, "");
}

#[test]
fn images_of_the_store_are_offered() {
    let project = stocked();
    let (api, web) = ("registry.example.com:5000/acme/api:1.2", "registry.example.com:5000/acme/web:2");
    for command in ["run", "inspect", "files", "history", "save", "scan", "pull", "verify", "sign"] {
        assert_eq!(offered(&project, &[command, "reg"]), [api, web], "{command}");
        assert_eq!(offered(&project, &[command, "registry.example.com:5000/acme/w"]), [web], "{command}");
    }
    assert_eq!(offered(&project, &["diff", web, "registry.example.com:5000/acme/a"]), [api]);
    assert_eq!(offered(&project, &["copy", "reg"]), [api, web]);
    // What has no name is removed by its digest.
    let removable = offered(&project, &["rm", ""]);
    assert_eq!((removable.len(), &removable[..2]), (3, &[api.to_string(), web.to_string()][..]));
    project.run(["rm", &removable[2]]).success();
    assert_eq!(offered(&project, &["rm", api, ""]), [api, web]);
    let repositories = ["registry.example.com:5000/acme/api", "registry.example.com:5000/acme/web"];
    assert_eq!(offered(&project, &["images", ""]), repositories);
    assert_eq!(offered(&project, &["tags", "ls", ""]), repositories);
    // Without a store nothing is offered, and none is made.
    let empty = Project::new();
    assert!(!offered(&empty, &["rm", ""]).iter().any(|word| word.contains('/')));
    assert!(!empty.store().join("v1").exists());
    // Where no image fits, files are.
    empty.write("saved/index.json", "{}");
    assert_eq!(offered(&empty, &["inspect", "sav"]), ["saved/"]);
}

#[test]
fn what_the_manifest_says_is_offered_whatever_is_wrong_with_it() {
    let project = stocked();
    assert_eq!(offered(&project, &["build", "--platform", ""]), ["linux/arm64", "linux/s390x"]);
    assert_eq!(offered(&project, &["--set", "v"]), ["version="]);
    let digest = format!("sha256:{}", "1".repeat(64));
    project.write(
        "other/image.toml",
        format!("schema = 7\nnonsense = 1\n[image]\nbase = \"gcr.io/base:1@{digest}\"\nplatforms = [\"linux/riscv64\"]\n[packages.debian]\n"),
    );
    for words in [&["-f", "other"][..], &["--file", "other"], &["--file=other"], &["-fother"]] {
        let line: Vec<&str> = words.iter().copied().chain(["build", "--platform", ""]).collect();
        assert_eq!(offered(&project, &line), ["linux/riscv64"], "{words:?}");
    }
    assert_eq!(offered(&project, &["-f", "other", "update", ""]), ["base", "packages", "gcr.io/base"]);
    // Without a manifest it is all platforms that there are.
    let empty = Project::new();
    assert!(offered(&empty, &["build", "--platform", "linux/a"]).contains(&"linux/amd64".to_string()));
    fs::write(empty.path("image.toml"), [0xff]).unwrap();
    assert!(offered(&empty, &["build", "--platform", "linux/a"]).contains(&"linux/amd64".to_string()));
}

#[test]
fn members_of_a_workspace_and_their_defaults_are_offered() {
    let project = Project::new()
        .file(
            "image.toml",
            "schema = 1\n[workspace]\nmembers = [\"services/*\"]\n[workspace.defaults.image]\nplatforms = [\"linux/ppc64le\"]\n",
        )
        .file("services/api/image.toml", "schema = 1\n")
        .file("services/web/image.toml", "schema = 1\n")
        .file("services/docs/README", "");
    assert_eq!(offered(&project, &["-f", ""]), ["services/api", "services/web"]);
    assert_eq!(offered(&project, &["-f", "services/a"]), ["services/api"]);
    assert_eq!(offered(&project, &["fmt", "services/w"]), ["services/web"]);
    // Another path is completed as a path.
    assert_eq!(offered(&project, &["-f", "services/d"]), ["services/docs/"]);
    assert_eq!(offered(&project, &["-f", "services/api", "build", "--platform", ""]), ["linux/ppc64le"]);
}

/// The scripts are what the program prints; none of them names a directory of this machine, and each asks for the words.
#[test]
fn the_scripts_ask_the_program() {
    for (shell, word) in [
        ("bash", "complete -F _stillframe stillframe"),
        ("zsh", "#compdef stillframe"),
        ("fish", "complete --command stillframe"),
    ] {
        let script = Project::new().run(["completions", shell]).success().stdout;
        assert!(script.contains(word) && script.contains("complete "), "{script}");
        assert!(!script.contains(env!("CARGO_MANIFEST_DIR")), "{script}");
    }
}

#[test]
fn every_command_has_a_manual_page_with_an_example() {
    let project = Project::new();
    project.run(["man", "--dir", "man"]).success();
    let page = |name: &str| fs::read_to_string(project.path(&format!("man/stillframe{name}.1"))).unwrap();
    let commands = offered(&project, &[""]).into_iter().filter(|name| name != "help");
    let inner = ["tags-ls", "tags-rm"].map(str::to_string);
    let mut pages = vec!["stillframe.1".to_string()];
    for name in commands.chain(inner) {
        let words = name.replace('-', " ");
        let text = page(&format!("-{name}")).replace("\\-", "-");
        let example = [format!("stillframe {name}"), format!("stillframe {words} ")];
        let after = text.split("Examples:").nth(1).unwrap_or_else(|| panic!("`{name}` has no examples: {text}"));
        assert!(example.iter().any(|example| after.contains(example)) || after.contains("-f "), "{name}: {after}");
        pages.push(format!("stillframe-{name}.1"));
    }
    // The page of the program has its examples too, and there is none that nobody asked for.
    assert!(page("").contains("Examples:"));
    pages.sort();
    assert_eq!(project.names("man"), pages);
    assert_eq!(project.run(["man"]).success().stdout, page(""));
}
