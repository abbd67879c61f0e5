//! Check SIG-04: the cases of sigstore-conformance through our own door. See README.md.

use std::fs;
use std::path::{Path, PathBuf};

use stillframe::error::Result;
use stillframe::manifest::Matcher;
use stillframe::oci::Digest;
use stillframe::trust::root::Roots;
use stillframe::trust::verify::{Policy, Proof, PublicKey, check_blob};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
/// How many cases there are.
const CASES: usize = 52;

fn cases() -> Vec<PathBuf> {
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/conformance/sigstore-bundle-verify");
    let entries = fs::read_dir(room).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

fn policy(case: &Path) -> Result<Policy> {
    let text = |name: &str| fs::read_to_string(case.join(name)).ok();
    if let Some(key) = text("key.pub") {
        return Ok(Policy { require_log: true, ..Policy::key(PublicKey::from_pem(&key, "key.pub")?) });
    }
    let or = |name: &str, usual: &str| text(name).map_or(usual.to_string(), |text| text.trim().to_string());
    let (identity, issuer) = (or("identity", IDENTITY), or("issuer", ISSUER));
    Ok(Policy::identity(Matcher::exact(&identity)?, Matcher::exact(&issuer)?))
}

fn check(case: &Path) -> Result<Proof> {
    let artifact = [case.join("artifact"), case.with_file_name("a.txt")].into_iter().find(|path| path.exists());
    let artifact = Digest::of(&fs::read(artifact.unwrap()).unwrap());
    let roots = match fs::read_to_string(case.join("trusted_root.json")) {
        Ok(text) => Roots::read(&text, "trusted_root.json")?,
        Err(_) => Roots::embedded()?,
    };
    let bundle = fs::read(case.join("bundle.sigstore.json")).unwrap();
    check_blob(&bundle, &artifact, &policy(case)?, Some(&roots))
}

#[test]
fn sig_04_all_conformance_cases_are_judged_as_they_should_be() {
    let cases = cases();
    assert_eq!(cases.len(), CASES);
    let mut wrong = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap().to_string();
        match (check(&case), name.ends_with("_fail")) {
            (Ok(_), true) => wrong.push(format!("{name} is accepted")),
            (Err(error), false) => wrong.push(format!("{name} is refused: {error:?}")),
            (Err(error), true) if ![2, 4].contains(&error.kind().exit_code()) => {
                wrong.push(format!("{name} is refused as {:?}: {error:?}", error.kind()));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
