//! Whom is trusted: a file, a TUF mirror, or what the program carries.

use std::fs;
use std::path::Path;

use stillframe::trust::root::Roots;

use super::World;

const KEYLESS: [&str; 4] = ["--identity", "a@example.com", "--issuer", "https://issuer.test"];

fn root() -> String {
    let case = "tests/it/conformance/sigstore-bundle-verify/intoto-with-custom-trust-root/trusted_root.json";
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(case)).unwrap()
}

#[test]
fn a_root_comes_alone_or_in_a_client_trust_config() {
    let alone = Roots::read(&root(), "root.json").unwrap();
    assert!(alone.signing.is_none() && !alone.trusted.certificate_authorities.is_empty());
    let config = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":[],"oidcUrls":[],"rekorTlogUrls":[],"rekorTlogConfig":{"selector":"ANY"},"tsaUrls":[],"tsaConfig":{"selector":"ANY"}}"#;
    let both = format!(r#"{{"mediaType":"x","trustedRoot":{},"signingConfig":{config}}}"#, root());
    let both = Roots::read(&both, "both.json").unwrap();
    assert_eq!(both.trusted.tlogs.len(), alone.trusted.tlogs.len());
    assert!(both.signing.is_some());
    for wrong in ["", "{}", "[]", "{\"trustedRoot\":1}"] {
        assert_eq!(Roots::read(wrong, "x").unwrap_err().kind().exit_code(), 2, "{wrong}");
    }
    assert!(Roots::embedded().unwrap().signing.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_needs_the_root_that_it_is_trusted_by() {
    let world = World::new().await;
    let url = world.registry.url();
    let run = |variables: &[(&str, &str)]| {
        let reference = format!("{}:1", world.name());
        let words = ["verify", &reference].into_iter().chain(KEYLESS);
        variables.iter().fold(world.project.run(words), |run, (name, value)| run.env(name, value)).ends()
    };
    let done = run(&[("TUF_MIRROR", &url)]).expect(2);
    assert!(done.stderr.contains("TUF_ROOT_JSON"), "{}", done.stderr);
    run(&[("TUF_MIRROR", &url), ("TUF_ROOT_JSON", "none.json")]).expect(2);
    run(&[("TUF_MIRROR", "not a url"), ("TUF_ROOT_JSON", "cosign.pub")]).expect(2);
    // A mirror that gives nothing is a failure, not a mirror that trusts nobody.
    let done = run(&[("TUF_MIRROR", &url), ("TUF_ROOT_JSON", "cosign.pub")]).expect(3);
    assert!(done.stderr.contains("--trusted-root"), "{}", done.stderr);
}
