//! What README and `docs/` say, tried: every manifest is checked, every `stillframe` line is run, every key is listed.

use std::fs;
use std::path::{Path, PathBuf};

use stillframe::manifest::grammar::{Kind, MANIFEST, Table};
use stillframe::manifest::rules;

use crate::imports::{Part, tar};
use crate::support::{Elf, Project, elf, program};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// README and all pages of `docs/`.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect();
    pages.extend([root().join("README.md"), root().join("CONTRIBUTING.md")]);
    pages.sort();
    pages
}

/// The fenced blocks of a kind on a page.
fn blocks(page: &Path, kind: &str) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut blocks = Vec::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        match &mut current {
            None if line == format!("```{kind}") => current = Some(String::new()),
            None => {}
            Some(_) if line == "```" => blocks.extend(current.take()),
            Some(block) => *block += &format!("{line}\n"),
        }
    }
    blocks
}

/// A project with everything that the pages' manifests name, and a database of vulnerabilities in its store.
fn project(manifest: &str) -> Project {
    let project = files(manifest);
    let records = project.store().join("osv");
    fs::create_dir_all(&records).unwrap();
    fs::write(records.join("X-1.json"), r#"{"id":"X-1","modified":"2026-01-01T00:00:00Z","affected":[]}"#).unwrap();
    project
}

fn files(manifest: &str) -> Project {
    with_files(Project::of(manifest))
}

fn with_files(project: Project) -> Project {
    let arm = Elf::program().on(elf::AARCH64).bytes();
    let ui = [Part::File("ui-1.0/dist/index.html", b"<p>ui</p>\n", 0o600), Part::File("ui-1.0/README", b"ui\n", 0o600)];
    project
        .file("target/server", program(false))
        .file("target/x86_64-unknown-linux-musl/release/server", program(false))
        .file("target/aarch64-unknown-linux-musl/release/server", &arm)
        .file("dist/server-amd64", program(false))
        .file("dist/server-arm64", &arm)
        .file("config/app.toml", "port = 8080\n")
        .file("config/ca.pem", include_str!("golden/ca.pem"))
        .file("site/index.html", "<p>hello</p>\n")
        .file("site/app.js.map", "{}\n")
        .file("templates/server.toml", "port = {{ port }}\n")
        .file("vendor/ui-1.0.tar", tar(&ui, 0, 0))
        .file("vendor/server-amd64.tar", tar(&[Part::File("server", &program(false), 0o600)], 0, 0))
        .file("vendor/server-arm64.tar", tar(&[Part::File("server", &arm, 0o600)], 0, 0))
        .file("examples/static-binary/hello", program(false))
        .file("examples/static-binary/image.toml", include_str!("../../examples/static-binary/image.toml"))
}

#[test]
fn every_manifest_of_the_pages_is_right() {
    let mut tried = 0;
    for page in pages() {
        for block in blocks(&page, "toml") {
            let done = project(&block).run(["check"]).env("SOURCE_DATE_EPOCH", "1767225600").ends();
            assert_eq!(done.code, Some(0), "{}:\n{block}\n{}", page.display(), done.stderr);
            assert!(!done.stderr.contains("warning"), "{}: {}", page.display(), done.stderr);
            tried += 1;
        }
    }
    assert!(tried >= 2);
}

#[test]
fn every_recipe_of_the_cookbook_is_built_twice_and_equal() {
    let recipes = blocks(&root().join("docs/cookbook.md"), "toml");
    for recipe in &recipes {
        let digests = [("one", "8"), ("another place, ä", "1")].map(|(directory, jobs)| {
            let project = with_files(Project::named(directory).file("image.toml", recipe));
            project.run(["fmt", "--check"]).success();
            let done = project.run(["--no-cache", "--jobs", jobs, "build", "-o", "oci:out"]).success();
            project.layout("out");
            done.stdout
        });
        assert!(digests[0].contains("sha256:"), "{recipe}\n{}", digests[0]);
        assert_eq!(digests[0], digests[1], "{recipe}");
    }
    assert!(recipes.len() >= 20, "{} recipes", recipes.len());
}

/// The book's list of contents leads to each page once, and nowhere else.
#[test]
fn the_summary_lists_every_page_once() {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let mut listed: Vec<&str> = summary.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    listed.sort_unstable();
    let pages = pages();
    let mut there: Vec<&str> = pages
        .iter()
        .filter(|page| page.parent() == Some(docs.as_path()))
        .map(|page| page.file_name().unwrap().to_str().unwrap())
        .filter(|name| *name != "SUMMARY.md")
        .collect();
    there.sort_unstable();
    assert_eq!(listed, there);
}

#[test]
fn every_command_of_the_pages_runs() {
    let mut tried = 0;
    let manifest = "schema = 1\n[vars]\nversion = { default = \"0\" }\n[image]\nbase = \"scratch\"\nuser = \"65532\"\n[[binary]]\nsrc = \"target/server\"\ndest = \"/server\"\n";
    for page in pages() {
        let project = project(manifest);
        for line in blocks(&page, "sh").iter().flat_map(|block| block.lines()).filter(|line| !line.is_empty()) {
            match line.strip_prefix("stillframe ") {
                Some(words) => drop(project.run(words.split(' ')).success()),
                // The two set-up commands and the gate are run by whoever runs this, and from a fresh clone before a release.
                None => assert!(line.starts_with("cargo "), "{}: nobody runs `{line}`", page.display()),
            }
            tried += 1;
        }
    }
    assert!(tried >= 8);
}

#[test]
fn links_of_the_pages_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        // Every second part stands in a fenced block.
        let text = text.split("```").step_by(2).collect::<String>();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            let target = page.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
}

/// The section of a table, and those of the tables in it.
fn single(text: &mut String, table: &Table) {
    section(text, &format!("`[{}]`", table.name), table);
    for key in table.keys {
        match key.kind {
            // The defaults of a workspace are tables that have a section already.
            Kind::Table(inner) if inner.name.starts_with(table.name) => single(text, inner),
            Kind::Table(_) => {}
            Kind::Tables(inner) => section(text, &format!("`[[{}]]`", inner.name), inner),
            _ => {}
        }
    }
}

/// The page of all keys, made from the grammar that the checker uses. `UPDATE_DOCS=1 cargo test` writes it.
#[test]
fn a_page_of_keys_is_current() {
    let mut text = String::from(
        "# Keys of image.toml\n\nMade from the reader's own grammar; do not edit (`UPDATE_DOCS=1 cargo test`). Keys in **bold** must be there.\n",
    );
    section(&mut text, "The whole file", &MANIFEST);
    for key in MANIFEST.keys {
        match key.kind {
            Kind::Tables(table) => section(&mut text, &format!("`[[{}]]`", table.name), table),
            Kind::Table(table) => single(&mut text, table),
            _ => {}
        }
    }
    if let Some(Kind::Named(table)) = MANIFEST.key("vars").map(|key| &key.kind) {
        section(&mut text, "A variable of `[vars]`", table);
    }
    let path = root().join("docs/keys.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "run `UPDATE_DOCS=1 cargo test`");
}

/// What the page of rules begins with.
const CHECKS: &str = "\
# What an image is judged by

Made from the table of rules; do not edit (`UPDATE_DOCS=1 cargo test`).

```toml
schema = 1

[image]
base = \"scratch\"
user = \"65532:65532\"

[[file]]
dest    = \"/etc/app/.env\"
content = \"MODE=demo\\n\"

[[file]]
dest    = \"/etc/motd\"
content = \"hello\\n\"

[check]
max-size        = \"large\"
max-layers      = 20
forbidden-paths = [\"*.map\", \"/usr/share/doc\"]
world-writable  = \"deny\"
secrets         = { level = \"allow\", reason = \"holds no secret\", paths = [\"/etc/app/.env\"] }

[[check.file]]
path     = \"/etc/motd\"
mode     = \"0644\"
contains = \"hello\"
```

```sh
stillframe check
stillframe --format sarif check
stillframe check --explain secrets
```

`check`, `plan`, `build`, `push` and `release` judge the image by these rules before anything is shipped. What is denied ends the work with
exit code 4, and all of it is told at once; what is warned of is shown, and the work goes on. `check` packs nothing: it reads every file
once. Each finding points at the line of the manifest that is to blame, in text, in JSON and, for code scanning, in SARIF 2.1.0.

**Levels.** A rule is set below `[check]`: to `\"deny\"`, to `\"warn\"`, or to a table. `\"allow\"` needs a `reason`, which is shown with what it
allows, as a note; only `root-user = \"allow\"` may stand alone. With `paths` a table counts for these paths only, and a list of tables can say
several things; globs follow gitignore from the root of the image. An exception that nothing needs any more is told too.

**Whose files.** What the manifest puts into the image is judged. Files of the base are as its maker left them: their modes are judged where
the manifest sets the rule, and their contents are not read.
";

/// The page of all rules. `UPDATE_DOCS=1 cargo test` writes it.
#[test]
fn a_page_of_rules_is_current() {
    let mut text = format!("{CHECKS}\n| rule | finds | default |\n|---|---|---|\n");
    for rule in rules::all() {
        let default = if rule.key.is_some() { rule.default.name() } else { "always refused" };
        let cell = rule.about.trim_end_matches('.').replace('|', "\\|");
        text += &format!("| [`{0}`](#{0}) | {cell} | {default} |\n", rule.code);
    }
    for rule in rules::all() {
        let takes = match rule.key {
            None => "It cannot be set.".to_string(),
            Some(Kind::Tables(table)) => format!("Takes tables, `[[{}]]` ([keys](keys.md)).", table.name),
            Some(kind) => format!("Takes {}.", kind.expects()),
        };
        text += &format!("\n## {}\n\n{}\n\n{} {takes}\n", rule.code, rule.about, rule.why);
    }
    let path = root().join("docs/checks.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "run `UPDATE_DOCS=1 cargo test`");
}

fn section(text: &mut String, title: &str, table: &Table) {
    *text += &format!("\n## {title}\n\n{}\n\n| key | takes | what it does |\n|---|---|---|\n", table.about);
    for key in table.keys {
        let name = if key.required { format!("**`{}`**", key.name) } else { format!("`{}`", key.name) };
        *text +=
            &format!("| {name} | {} | {} |\n", key.kind.expects().replace('|', "\\|"), key.about.replace('|', "\\|"));
    }
}
