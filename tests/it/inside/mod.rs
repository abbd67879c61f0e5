//! What is inside of images: `inspect`, `files`, `diff`, `history`, on images of every place and on the work tree.

mod differences;
mod listings;
mod overview;
mod page;

use std::path::Path;

use serde_json::Value;

use crate::support::project::Done;
use crate::support::{Base, Project, dir, file, hard, link};

/// An image of three layers with everything that layers can do to each other.
fn odd() -> Base {
    Base::of([
        dir("etc"),
        file("etc/motd", "hello\n"),
        file("etc/shadow", "secret\n").owned(0o600, 0, 42),
        dir("opt"),
        file("opt/a", "12345678"),
        hard("opt/b", "opt/a"),
        dir("var"),
        dir("var/cache"),
        file("var/cache/old", "0123456789"),
        dir("doc"),
        file("doc/1", "one"),
        file("doc/2", "two"),
        link("lib", "usr/lib"),
    ])
    .layer([
        dir("etc"),
        file("etc/motd", "hello\n").owned(0o600, 0, 0),
        file("etc/.wh.shadow", ""),
        file("var/cache/.wh..wh..opq", ""),
        file("var/cache/new", "new"),
        file(".wh.doc", ""),
    ])
    .layer([hard("opt/c", "opt/a"), file("opt/twin", "12345678")])
}

/// A project with that image as the layout `odd`; its reference.
fn project() -> (Project, String) {
    let project = Project::new();
    let reference = odd().write(&project, "odd");
    (project, reference)
}

/// The same text with each digest, and each run of blanks, made short.
fn short(text: &str) -> String {
    let digest = |word: &str| match word.find("sha256:") {
        Some(at) if word.len() >= at + 71 => format!("{}{}", &word[..at + 11], &word[at + 71..]),
        _ => word.to_string(),
    };
    let line = |line: &str| line.split(' ').map(digest).collect::<Vec<_>>().join(" ");
    text.lines().map(|text| line(text) + "\n").collect()
}

/// The document that a command printed, which its schema allows.
fn document(done: &Done, of: &str) -> Value {
    let document = done.json();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("templates/schema/{of}.schema.json"));
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    let text: Value = serde_json::from_slice(&std::fs::read(&schema).unwrap()).unwrap();
    compiler.add_resource("https://stillframe.test/schema", text).unwrap();
    let index = compiler.compile("https://stillframe.test/schema", &mut schemas).unwrap();
    if let Err(cause) = schemas.validate(&document, index) {
        panic!("{of}: {cause:#}\n{document:#}");
    }
    document
}

/// The paths of a list of JSON objects.
fn paths(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect()
}

#[test]
fn schemas_are_printed_and_refuse_what_is_wrong() {
    let project = Project::new();
    for of in ["inspect", "files", "diff", "history"] {
        let printed = project.run(["schema", "--of", of]).success().stdout;
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("templates/schema/{of}.schema.json"));
        assert_eq!(printed, std::fs::read_to_string(committed).unwrap());
        let schema: Value = serde_json::from_str(&printed).unwrap();
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.add_resource("https://stillframe.test/schema", schema).unwrap();
        let index = compiler.compile("https://stillframe.test/schema", &mut schemas).unwrap();
        assert!(schemas.validate(&serde_json::json!({"findings": [], "notes": []}), index).is_err());
    }
    assert_eq!(project.run(["schema", "--of", "manifest"]).success().stdout, project.run(["schema"]).success().stdout);
}
