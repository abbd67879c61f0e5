//! `[trust-store]`: certificates in every usual place, beside those of the base or in their stead.

use crate::support::{Base, Project, dir, file, link, manifest};

const MAIN: &str = "etc/ssl/certs/ca-certificates.crt";

fn certificate(name: &str) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::new(vec![name.to_string()]).unwrap().self_signed(&key).unwrap().pem();
    pem.replace('\r', "")
}

fn project(base: Option<&Base>, keys: &str) -> Project {
    let project = Project::new();
    let base = base.map_or("scratch".into(), |base| base.write(&project, "base"));
    project.file("image.toml", manifest(&base, &format!("[trust-store]\n{keys}")))
}

#[test]
fn certificates_stand_in_every_usual_place() {
    let (one, two) = (certificate("one.test"), certificate("two.test"));
    let project = project(None, "src = [\"ca/one.pem\", \"ca/two.pem\"]\n");
    let project = project.file("ca/one.pem", &one).file("ca/two.pem", format!("# again\n{one}{two}"));
    let image = project.build().image();
    assert_eq!(image.text(MAIN), format!("{one}{two}"));
    let listing: Vec<String> = image.listing().into_iter().filter(|line| !line.starts_with('d')).collect();
    let expect = [
        "l 0777 0:0 etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem -> ../../../../ssl/certs/ca-certificates.crt",
        "l 0777 0:0 etc/pki/tls/cacert.pem -> ../../ssl/certs/ca-certificates.crt",
        "l 0777 0:0 etc/pki/tls/certs/ca-bundle.crt -> ../../../ssl/certs/ca-certificates.crt",
        "l 0777 0:0 etc/ssl/ca-bundle.pem -> certs/ca-certificates.crt",
        "l 0777 0:0 etc/ssl/cert.pem -> certs/ca-certificates.crt",
        "f 0644 0:0 etc/ssl/certs/ca-certificates.crt",
    ];
    assert_eq!(listing, expect);
    assert_eq!(image.layer_names(), ["files"]);
}

#[test]
fn those_of_the_base_stay_or_go() {
    let (old, new) = (certificate("old.test"), certificate("new.test"));
    let text = format!("# remark\n{old}");
    let debian = Base::of([dir("etc"), dir("etc/ssl"), dir("etc/ssl/certs"), file(MAIN, &text)]);
    let own = format!("{new}{old}");
    let kept = project(Some(&debian), "src = \"ca.pem\"").file("ca.pem", &own).build().image();
    assert_eq!(kept.text(MAIN), format!("{text}{new}"));
    let gone = project(Some(&debian), "src = \"ca.pem\"\nbase = \"replace\"").file("ca.pem", &new).build().image();
    assert_eq!(gone.text(MAIN), new);
}

#[test]
fn a_base_has_its_bundle_elsewhere() {
    let (old, new) = (certificate("old.test"), certificate("new.test"));
    let real = "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem";
    let fedora = Base::of([
        dir("etc"),
        dir("etc/pki"),
        file(real, &old),
        dir("etc/pki/tls/certs"),
        link("etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
        dir("etc/ssl"),
        link("etc/ssl/certs", "/etc/pki/tls/certs"),
    ]);
    let image = project(Some(&fedora), "src = \"ca.pem\"").file("ca.pem", &new).build().image();
    assert_eq!(image.text(real), format!("{old}{new}"));
    let links: Vec<String> = image.listing().into_iter().filter(|line| line.starts_with('l')).collect();
    let expect = [
        "l 0777 0:0 etc/pki/tls/cacert.pem -> ../ca-trust/extracted/pem/tls-ca-bundle.pem",
        "l 0777 0:0 etc/pki/tls/certs/ca-certificates.crt -> ../../ca-trust/extracted/pem/tls-ca-bundle.pem",
        "l 0777 0:0 etc/ssl/ca-bundle.pem -> ../pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "l 0777 0:0 etc/ssl/cert.pem -> ../pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    ];
    assert_eq!(links, expect);
}

#[test]
fn what_cannot_be_trusted_is_refused() {
    let key = format!("-----BEGIN {} KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END {} KEY-----\n", "PRIVATE", "PRIVATE");
    for (text, word) in [
        (key, "`ca.pem` cannot be trusted: line 1: it holds a private key"),
        ("nothing\n".into(), "there is no certificate in it"),
        (certificate("a.test").replacen("-----END", "-----END-----\n-----END", 1), "line 1: its base64 is wrong"),
    ] {
        let done = project(None, "src = \"ca.pem\"").file("ca.pem", text).run(["build"]).fails(2);
        assert!(done.stderr.contains(word) && done.stderr.contains("image.toml:5:7"), "{}", done.stderr);
    }
    let done = project(None, "src = [\"no.pem\"]").run(["build"]).fails(2);
    assert!(done.stderr.contains("`no.pem` does not exist"), "{}", done.stderr);
    let done = project(None, "src = []").run(["build"]).fails(2);
    assert!(done.stderr.contains("`src` is empty"), "{}", done.stderr);
}
