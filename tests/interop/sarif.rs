//! The findings of `check` as SARIF, held against the standard's own schema.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::peers::{cache, checkout, done};
use crate::project::Project;

const JUDGE: &str = r#"
import json, sys
from jsonschema import Draft4Validator
log, schema = (json.load(open(name)) for name in sys.argv[1:])
print("\n".join(f"{list(error.path)}: {error.message}" for error in Draft4Validator(schema).iter_errors(log)))
"#;

/// What the schema has against a log.
fn wrong(log: &Path) -> String {
    let python = cache().join("sbom/bin/python");
    assert!(python.is_file(), "`{}` is missing; run `bash .ci/peers`", python.display());
    let schema = checkout().join("tests/interop/schemas/sarif-2.1.0.json");
    done(Command::new(python).args(["-c", JUDGE]).arg(log).arg(schema)).trim().to_string()
}

fn log(project: &Project, code: i32) -> Value {
    let output = project.run(&["--format", "sarif", "check"]);
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stdout));
    let file = project.out("log.sarif");
    fs::write(&file, &output.stdout).unwrap();
    assert_eq!(wrong(&file), "");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn findings_are_sarif_as_the_schema_has_it() {
    let found = Project::new(
        "[image]\nbase = \"scratch\"\n[[file]]\nsrc = \"tree\"\ndest = \"/tree\"\nmode = \"4666\"\n[env]\nTOKEN = \"hunter2\"\n\
         [check]\nforbidden-paths = [\"*.map\"]\nsetuid = { level = \"allow\", reason = \"a test\" }\n",
    );
    let found = found.file("tree/.env", "").file("tree/a.map", "").file("tree/A.map", "");
    let results = log(&found, 4)["runs"][0]["results"].as_array().unwrap().len();
    assert!(results >= 8, "{results} results");
    let clean = Project::new("[image]\nbase = \"scratch\"\n[check]\nroot-user = \"allow\"\n");
    assert_eq!(log(&clean, 0)["runs"][0]["results"], Value::Array(Vec::new()));
    log(&Project::new("[image\n"), 2);
    let gone = Project::new("");
    fs::remove_file(gone.app().join("image.toml")).unwrap();
    log(&gone, 2);
    // The schema does refuse something.
    let file = found.out("other.sarif");
    fs::write(&file, "{\"version\": \"2.1.0\", \"runs\": [{}]}").unwrap();
    assert!(wrong(&file).contains("'tool' is a required property"));
}
