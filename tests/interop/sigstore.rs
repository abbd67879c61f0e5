//! The real cosign, in two generations, against the mock sigstore: what the mock makes is what cosign takes.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::mock::{Files, Flaw, Rekor, Sigstore};
use crate::peers::{Server, done, output, peer, registry, said, shell};
use crate::project::{Project, digest};

const DEV: &str = "dev@example.com";
const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
const PASSWORD: &str = "a password";

/// A registry with an image, a sigstore, and a room for cosign.
struct Scene {
    _server: Server,
    sigstore: Sigstore,
    reference: String,
    room: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let server = registry(None);
        let name = format!("{}/team/app", server.host);
        let text = format!(
            "[image]\nname = \"{name}\"\nbase = \"scratch\"\n[[file]]\ndest = \"/etc/motd\"\ncontent = \"signed\\n\"\n"
        );
        let digest = digest(&Project::new(&text).run(&["push"]));
        let reference = format!("{name}@{digest}");
        Scene { _server: server, sigstore: Sigstore::start(), reference, room: tempfile::tempdir().unwrap() }
    }

    fn files(&self, rekor: Rekor, stamps: bool) -> Files {
        self.sigstore.write(self.room.path(), rekor, stamps)
    }

    fn cosign(&self, name: &str) -> Command {
        let mut command = peer(name);
        command.current_dir(self.room.path()).env("HOME", self.room.path()).env("COSIGN_PASSWORD", PASSWORD);
        command
    }

    /// Signs with a token; `more` are other arguments.
    fn sign(&self, files: &Files, more: &[&str]) {
        done(&mut self.signing(files, more));
    }

    fn signing(&self, files: &Files, more: &[&str]) -> Command {
        let mut command = self.cosign("cosign-3");
        command.args(["sign", "-y"]).args(more).arg("--signing-config").arg(&files.signing_config);
        command.arg("--trusted-root").arg(&files.trusted_root).arg(&self.reference);
        command
    }

    fn verify(&self, root: &Path, more: &[&str]) -> Output {
        let mut command = self.cosign("cosign-3");
        output(command.arg("verify").args(more).arg("--trusted-root").arg(root).arg(&self.reference))
    }

    /// The arguments that demand a signer.
    fn demands<'a>(&'a self, identity: &'a str) -> [&'a str; 4] {
        ["--certificate-identity", identity, "--certificate-oidc-issuer", self.sigstore.url()]
    }
}

fn accepted(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

fn keyless(rekor: Rekor, stamps: bool) {
    let scene = Scene::new();
    let files = scene.files(rekor, stamps);
    scene.sign(&files, &["--identity-token", &scene.sigstore.token(DEV)]);
    accepted(&scene.verify(&files.trusted_root, &scene.demands(DEV)));
    assert!(!scene.verify(&files.trusted_root, &scene.demands("mallory@example.com")).status.success());
    let other = tempfile::tempdir().unwrap();
    let strange = Sigstore::start().write(other.path(), rekor, stamps);
    assert!(!scene.verify(&strange.trusted_root, &scene.demands(DEV)).status.success());
    let (old, new) = scene.sigstore.entries();
    assert_eq!((old, new), if rekor == Rekor::V1 { (1, 0) } else { (0, 1) });
}

#[test]
fn cosign_takes_the_mock_with_rekor_v1() {
    keyless(Rekor::V1, false);
}

#[test]
fn cosign_takes_the_mock_with_rekor_v1_and_stamps() {
    keyless(Rekor::V1, true);
}

#[test]
fn cosign_takes_the_mock_with_rekor_v2_and_stamps() {
    keyless(Rekor::V2, true);
}

#[test]
fn cosign_gets_its_token_as_a_job_on_github_does() {
    let scene = Scene::new();
    let files = scene.files(Rekor::V1, true);
    let mut command = scene.signing(&files, &[]);
    done(command.envs(scene.sigstore.env(WORKFLOW)));
    accepted(&scene.verify(&files.trusted_root, &scene.demands(WORKFLOW)));
    let issuer = scene.sigstore.url();
    let github = |repository: &str| {
        let demands =
            ["--certificate-identity-regexp", "^https://github.com/acme/", "--certificate-oidc-issuer", issuer];
        let more = ["--certificate-github-workflow-repository", repository];
        scene.verify(&files.trusted_root, &[&demands[..], &more].concat())
    };
    accepted(&github("acme/app"));
    assert!(!github("acme/other").status.success());
}

#[test]
fn cosign_logs_in_as_a_device() {
    let scene = Scene::new();
    let files = scene.files(Rekor::V1, true);
    scene.sigstore.set(|model| model.issuer.pending = 1);
    scene.sign(&files, &["--fulcio-auth-flow", "device"]);
    accepted(&scene.verify(&files.trusted_root, &scene.demands(DEV)));
    assert_eq!(scene.sigstore.count("POST", "/oidc/token"), 2);
}

#[test]
fn cosign_uses_a_key_and_the_log() {
    for rekor in [Rekor::V1, Rekor::V2] {
        let scene = Scene::new();
        done(scene.cosign("cosign-3").arg("generate-key-pair"));
        let files = scene.files(rekor, rekor == Rekor::V2);
        scene.sign(&files, &["--key", "cosign.key"]);
        accepted(&scene.verify(&files.trusted_root, &["--key", "cosign.pub"]));
        assert_eq!(scene.sigstore.entries(), if rekor == Rekor::V1 { (1, 0) } else { (0, 1) });
    }
}

/// Signs the older way, as `name` does it.
fn legacy(scene: &Scene, files: &Files) {
    let url = scene.sigstore.url();
    let mut command = scene.cosign("cosign-2");
    command.envs(files.env()).args(["sign", "-y", "--fulcio-url", url, "--rekor-url", url, "--oidc-issuer", url]);
    done(command.args(["--identity-token", &scene.sigstore.token(DEV), &scene.reference]));
}

#[test]
fn cosign_2_takes_the_mock() {
    let scene = Scene::new();
    let files = scene.files(Rekor::V1, false);
    legacy(&scene, &files);
    assert_eq!(scene.sigstore.count("POST", "/api/v1/signingCert"), 1);
    let verify = |identity: &str| {
        let mut command = scene.cosign("cosign-2");
        command.envs(files.env()).arg("verify").args(scene.demands(identity));
        output(command.args(["--rekor-url", scene.sigstore.url(), &scene.reference]))
    };
    accepted(&verify(DEV));
    assert!(!verify("mallory@example.com").status.success());
    accepted(&scene.verify(&files.trusted_root, &scene.demands(DEV)));
}

#[test]
fn cosign_takes_all_it_needs_from_tuf() {
    for served in [(Rekor::V1, true), (Rekor::V2, true)] {
        let scene = Scene::new();
        scene.sigstore.set(|model| model.served = served);
        let files = scene.files(Rekor::V1, true);
        let mirror = scene.sigstore.tuf_url();
        done(scene.cosign("cosign-3").args(["initialize", "--mirror", &mirror, "--root"]).arg(&files.tuf));
        let mut sign = scene.cosign("cosign-3");
        done(sign.envs(scene.sigstore.env(DEV)).args(["sign", "-y", &scene.reference]));
        let mut verify = scene.cosign("cosign-3");
        accepted(&output(verify.arg("verify").args(scene.demands(DEV)).arg(&scene.reference)));
        let (old, new) = scene.sigstore.entries();
        assert_eq!((old, new), if served.0 == Rekor::V1 { (1, 0) } else { (0, 1) });
    }
}

#[test]
fn cosign_sees_the_lies_too() {
    let lies = [
        (Flaw::ExpiredCertificate, Rekor::V1),
        (Flaw::WrongSct, Rekor::V1),
        (Flaw::WrongSet, Rekor::V1),
        (Flaw::LateEntry, Rekor::V1),
        (Flaw::WrongProof, Rekor::V1),
        (Flaw::WrongProof, Rekor::V2),
        (Flaw::WrongCheckpoint, Rekor::V2),
        (Flaw::WrongStamp, Rekor::V2),
        (Flaw::LateStamp, Rekor::V2),
    ];
    let scene = Scene::new();
    for (flaw, rekor) in lies {
        let files = scene.files(rekor, rekor == Rekor::V2);
        scene.sigstore.heal().fault(flaw);
        let token = scene.sigstore.token(DEV);
        let signed = output(&mut scene.signing(&files, &["--identity-token", &token]));
        let taken = signed.status.success() && scene.verify(&files.trusted_root, &scene.demands(DEV)).status.success();
        assert!(!taken, "{flaw:?} {rekor:?}");
    }
    scene.sigstore.heal();
    let files = scene.files(Rekor::V2, true);
    scene.sign(&files, &["--identity-token", &scene.sigstore.token(DEV)]);
    accepted(&scene.verify(&files.trusted_root, &scene.demands(DEV)));
}

#[tokio::test]
async fn openssl_takes_the_time_stamps() {
    let sigstore = Sigstore::start();
    let room = tempfile::tempdir().unwrap();
    let files = sigstore.write(room.path(), Rekor::V1, true);
    let elsewhere = tempfile::tempdir().unwrap();
    let strange = Sigstore::start().write(elsewhere.path(), Rekor::V1, true);
    for more in ["", "-cert", "-no_nonce", "-cert -no_nonce"] {
        shell(room.path(), &format!("echo data >data; openssl ts -query -data data -sha256 {more} -out ask"));
        let ask = std::fs::read(room.path().join("ask")).unwrap();
        let request =
            reqwest::Client::new().post(sigstore.tsa_url()).header("Content-Type", "application/timestamp-query");
        let answer = request.body(ask).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/timestamp-reply");
        std::fs::write(room.path().join("answer"), answer.bytes().await.unwrap()).unwrap();
        let verify = "openssl ts -verify -queryfile ask -in answer";
        let chain = files.stamps.display();
        shell(room.path(), &format!("{verify} -CAfile {chain} -untrusted {chain}"));
        let refused = format!("! {verify} -CAfile {} -untrusted {chain}", strange.stamps.display());
        shell(room.path(), &refused);
    }
}
