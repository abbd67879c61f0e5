//! What others say of our bills of materials: the standards' own schemas, spdx-tools, cyclonedx-python-lib; and what real compilers and a
//! real package manager put into an image.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::peers::{cache, checkout, done, output, peer, run, said};
use crate::project::{Project, digest, program, refused};

/// Asks all judges about a bill in a file; what they refuse.
const JUDGES: &str = r#"
import json, sys
kind, file, schema = sys.argv[1:]
text = open(file).read()
if kind == "spdx":
    from jsonschema import Draft201909Validator
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
    wrong = [error.message for error in Draft201909Validator(json.load(open(schema))).iter_errors(json.loads(text))]
    wrong += [message.validation_message for message in validate_full_spdx_document(parse_file(file))]
else:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    wrong = [str(wrong)] if wrong else []
print("\\n".join(wrong))
"#;

fn judge(kind: &str, file: &Path) -> String {
    let python = cache().join("sbom/bin/python");
    assert!(python.is_file(), "`{}` is missing; run `bash .ci/peers`", python.display());
    let schema = checkout().join("tests/interop/schemas/spdx-2.3.schema.json");
    done(Command::new(python).args(["-c", JUDGES, kind]).arg(file).arg(schema)).trim().to_string()
}

fn bill(project: &Project, kind: &str) -> (Value, String) {
    let output = project.run(&["sbom", "--type", kind]);
    assert!(output.status.success(), "{}", said(&output));
    let file = project.out(&format!("{kind}.json"));
    let file = file.with_file_name(if kind == "spdx" { "bill.spdx.json" } else { "bill.cdx.json" });
    fs::write(&file, &output.stdout).unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), judge(kind, &file))
}

/// Name and version of every package of one purl type.
fn packages(spdx: &Value, kind: &str) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let all = spdx["packages"].as_array().unwrap().iter();
    let of_kind = all.filter(|package| text(&package["externalRefs"][0]["referenceLocator"]).starts_with(kind));
    of_kind.map(|package| (text(&package["name"]), text(&package["versionInfo"]))).collect()
}

/// A Rust program with one crate of the registry, and a Go program with one vendored module.
pub fn programs(project: &Project) {
    let crates = project.out("rust");
    fs::create_dir_all(crates.join("src")).unwrap();
    fs::write(
        crates.join("Cargo.toml"),
        "[package]\nname = \"tiny\"\nversion = \"0.3.1\"\nedition = \"2024\"\n[dependencies]\nitoa = \"1\"\n",
    )
    .unwrap();
    fs::write(crates.join("src/main.rs"), "fn main() { println!(\"{}\", itoa::Buffer::new().format(7)); }").unwrap();
    let mut cargo = peer("cargo");
    cargo.args(["auditable", "build", "--offline"]).current_dir(&crates).env_remove("CARGO_TARGET_DIR");
    done(&mut cargo);
    fs::copy(crates.join("target/debug/tiny"), project.app().join("tiny")).unwrap();

    let modules = project.out("go");
    fs::create_dir_all(modules.join("vendor/example.com/dep")).unwrap();
    let write = |name: &str, text: &str| fs::write(modules.join(name), text).unwrap();
    write("go.mod", "module example.com/acme/tiny\n\ngo 1.19\n\nrequire example.com/dep v1.2.3\n");
    write("main.go", "package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Word()) }\n");
    write("vendor/modules.txt", "# example.com/dep v1.2.3\n## explicit; go 1.19\nexample.com/dep\n");
    write("vendor/example.com/dep/dep.go", "package dep\n\nfunc Word() string { return \"word\" }\n");
    let mut go = peer("go");
    go.args(["build", "-mod=vendor", "-buildvcs=false", "-o"]).arg(project.app().join("gopher")).current_dir(&modules);
    done(
        go.env("GOCACHE", project.out("go-cache"))
            .env("GOFLAGS", "")
            .env("CGO_ENABLED", "0")
            .env("GOTOOLCHAIN", "local"),
    );
}

const MANIFEST: &str = "[image]\nname = \"example.com/acme/tiny\"\nbase = \"BASE\"\ncreated = \"fixed\"\n\
    [[binary]]\nsrc = \"tiny\"\ndest = \"/app/tiny\"\n[[binary]]\nsrc = \"gopher\"\ndest = \"/app/gopher\"\n\
    [[file]]\ndest = \"/etc/motd\"\ncontent = \"hello\\n\"\n[[file]]\ndest = \"/etc/empty\"\ncontent = \"\"\n";

#[test]
fn schemas_and_tools_take_the_bills_and_real_programs_are_listed() {
    // The base has the package database of this machine.
    let base = Project::new(
        "[image]\nbase = \"scratch\"\n[[file]]\nsrc = \"status\"\ndest = \"/var/lib/dpkg/status\"\n\
        [[file]]\nsrc = \"os-release\"\ndest = \"/etc/os-release\"\n",
    );
    base.write("status", fs::read("/var/lib/dpkg/status").unwrap());
    base.write("os-release", fs::read("/etc/os-release").unwrap());
    let (out, named) = base.layout("base");
    let project = Project::new("");
    fs::rename(&out, project.app().join("base")).unwrap();
    project.manifest(&MANIFEST.replace("BASE", &format!("oci:base@{named}")));
    programs(&project);
    for kind in ["spdx", "cyclonedx"] {
        assert_eq!(bill(&project, kind).1, "", "{kind}");
        assert_eq!(bill(&project, kind).0, bill(&project, kind).0);
    }
    let (spdx, _) = bill(&project, "spdx");
    let known = run("dpkg-query", ["-W", "-f", "${Package} ${Version} ${db:Status-Status}\\n"]);
    let installed = known.lines().filter_map(|line| line.strip_suffix(" installed")?.split_once(' '));
    let installed: BTreeSet<_> = installed.map(|(name, version)| (name.to_string(), version.to_string())).collect();
    assert!(installed.len() > 50);
    assert_eq!(packages(&spdx, "pkg:deb/"), installed);

    let lock = fs::read_to_string(project.out("rust/Cargo.lock")).unwrap();
    let itoa = lock.split("name = \"itoa\"\nversion = \"").nth(1).unwrap().split('"').next().unwrap().to_string();
    assert_eq!(packages(&spdx, "pkg:cargo/"), BTreeSet::from([("itoa".to_string(), itoa)]));
    let names: Vec<&str> = spdx["packages"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"tiny") && names.contains(&"example.com/acme/tiny"));

    // Go's own reader says the same.
    let told = run("go", ["version", "-m", project.app().join("gopher").to_str().unwrap()]);
    let library = told.split("go1").nth(1).unwrap().lines().next().unwrap();
    let expect = [("example.com/dep".to_string(), "v1.2.3".to_string()), ("stdlib".to_string(), format!("1{library}"))];
    assert!(told.contains("dep\texample.com/dep\tv1.2.3"), "{told}");
    assert_eq!(packages(&spdx, "pkg:golang/"), BTreeSet::from(expect));
}

#[test]
fn the_judges_refuse_a_bill_that_is_wrong() {
    let project = Project::new("[image]\nbase = \"scratch\"\n[[file]]\ndest = \"/a\"\ncontent = \"a\"\n");
    for (kind, key) in [("spdx", "dataLicense"), ("cyclonedx", "serialNumber")] {
        let (mut document, said) = bill(&project, kind);
        assert_eq!(said, "");
        document[key] = "nothing".into();
        let file = project.out(if kind == "spdx" { "wrong.spdx.json" } else { "wrong.cdx.json" });
        fs::write(&file, document.to_string()).unwrap();
        assert_ne!(judge(kind, &file), "", "{kind}");
    }
}

#[test]
fn another_user_in_another_directory_reproduces_what_was_built() {
    let project = crate::project::varied("gzip");
    let (out, named) = project.layout("out");
    let room = tempfile::tempdir().unwrap();
    done(peer("cp").arg("-a").arg(project.app()).arg(room.path().join("inputs")));
    done(peer("cp").arg("-a").arg(out).arg(room.path().join("out")));
    done(peer("cp").arg(program()).arg(room.path().join("program")));
    done(peer("chmod").args(["-R", "a+rX"]).arg(room.path()));
    done(peer("chmod").arg("777").arg(room.path()));
    let reproduce = || {
        let mut theirs = peer("setpriv");
        theirs.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(room.path().join("program"));
        theirs
            .arg("-f")
            .arg(room.path().join("inputs"))
            .arg("reproduce")
            .arg(format!("oci:{}", room.path().join("out").display()));
        theirs.env("STILLFRAME_HOME", room.path().join("store")).env("HOME", "/nonexistent").env("USER", "nobody");
        output(&mut theirs)
    };
    assert_eq!(digest(&reproduce()), named);
    let manifest = room.path().join("inputs/image.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text + "\n[[file]]\ndest = \"/one-more\"\ncontent = \"x\"\n").unwrap();
    refused(&reproduce(), 4, &["was not reproduced: layer 1", "`/one-more`: it is here, and not in the image"]);
}
