//! What the policies of podman, CRI-O and skopeo make of a release: skopeo 1.18 under `sigstoreSigned`. What is not signed by the key that
//! the policy names, or not about this image, it does not copy; and what was tampered with nobody takes.

use std::fs;
use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stillframe::oci::{Digest, media};

use crate::mock::Rekor;
use crate::peers::{done, output, peer, said};
use crate::project::{digest, refused};
use crate::release::{Released, TAGS};
use crate::servers::{Make, Place};
use crate::signing::{KEYLESS, WHO, World};

/// skopeo under a policy: only what this key signed may come from the registry.
#[derive(Clone)]
struct Guard<'a> {
    released: &'a Released,
    key: &'a str,
    identity: Value,
}

impl Guard<'_> {
    /// Copies an image away, if the policy lets it.
    fn copy(&self, image: &str) -> Output {
        let Guard { released, key, identity } = self;
        let rule = json!({
            "type": "sigstoreSigned",
            "keyPath": released.project.app().join(key),
            "signedIdentity": identity,
        });
        copy_by(&released.place, &rule, image)
    }
}

/// Copies an image away by skopeo, if this rule for the registry lets it.
fn copy_by(place: &Place, rule: &Value, image: &str) -> Output {
    let (room, host) = (tempfile::tempdir().unwrap(), &place.host);
    let policy = json!({ "default": [{"type": "reject"}], "transports": {"docker": {host: [rule]}} });
    let file = |name: &str, text: String| {
        let path = room.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let policy = file("policy.json", policy.to_string());
    fs::create_dir(room.path().join("registries.d")).unwrap();
    file("registries.d/it.yaml", format!("docker:\n  \"{host}\":\n    use-sigstore-attachments: true\n"));
    let mut command = peer("skopeo-sigstore");
    place.introduce(&mut command);
    command.arg("--policy").arg(policy).arg("--registries.d").arg(room.path().join("registries.d"));
    command.args(["copy", "--quiet", "--all", "--src-tls-verify=false"]).arg(format!("docker://{image}"));
    output(command.arg(format!("dir:{}", room.path().join("out").display())))
}

/// A release without a key, under a policy that names an identity.
fn identities(make: Make) {
    let world = World::new(make, Rekor::V1, false, KEYLESS);
    let image = world.at(&world.digest);
    let rule = |who: &str, issuer: &str| {
        json!({
            "type": "sigstoreSigned",
            "fulcio": {
                "caPath": world.project.app().join("authority.pem"), "oidcIssuer": issuer, "subjectEmail": who,
            },
            "rekorPublicKeyPath": world.project.app().join("rekor.pub"),
            "signedIdentity": {"type": "matchRepository"},
        })
    };
    let url = world.sigstore.url();
    takes(&copy_by(&world.place, &rule(WHO, url), &image));
    refuses(&copy_by(&world.place, &rule("other@example.com", url), &image), "Required email");
    refuses(&copy_by(&world.place, &rule(WHO, "https://issuer.test"), &image), "Unexpected Fulcio OIDC issuer");
}

/// Something that refuses, for the reason that is looked for.
#[track_caller]
fn refuses(output: &Output, reason: &str) {
    let text = said(output);
    assert!(!output.status.success() && text.contains(reason), "{text}");
}

#[track_caller]
fn takes(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

fn policies(make: Make) {
    let released = Released::to(make);
    let (name, reference) = (released.place.name("team/app"), released.reference());
    let mine = Guard { released: &released, key: "mine.pub", identity: json!({"type": "matchRepository"}) };
    let other = Guard { key: "other.pub", ..mine.clone() };
    for image in TAGS.map(|tag| format!("{name}:{tag}")).iter().chain([&reference]) {
        takes(&mine.copy(image));
        refuses(&other.copy(image), "cryptographic signature verification failed");
    }
    for image in &released.images {
        takes(&mine.copy(&format!("{name}@{image}")));
    }
    // The rule that holds where a policy names none wants a tag or digest in what was signed. cosign signs none, and neither do we: a
    // policy has to say `matchRepository`.
    let usual = Guard { identity: json!({"type": "matchRepoDigestOrExact"}), ..mine.clone() };
    refuses(&usual.copy(&reference), "is not accepted");
    moved_tag(&released, &mine);
    flipped(&released, &mine);
}

/// A tag that somebody moves to what is not signed is refused by everybody.
fn moved_tag(released: &Released, mine: &Guard<'_>) {
    let (name, project) = (released.place.name("team/app"), &released.project);
    let manifest = fs::read_to_string(project.app().join("image.toml")).unwrap();
    let (head, _) = manifest.split_once("[tags]").unwrap();
    project.write(
        "image.toml",
        format!("{head}[[file]]\ndest = \"/evil\"\ncontent = \"x\"\n[tags]\nfixed = [\"latest\"]\n[check]\nroot-user = \"allow\"\n"),
    );
    let unsigned = digest(&output(&mut released.ours(&["push"])));
    project.write("image.toml", manifest);
    assert_ne!(unsigned, released.whole);
    let moved = format!("{name}:latest");
    refuses(&mine.copy(&moved), "A signature was required, but no signature exists");
    refused(&output(&mut released.ours(&["verify", &moved, "--key", "mine.pub"])), 4, &["has no signature"]);
    for which in ["cosign-2", "cosign-3"] {
        let words = ["verify", "--key", "mine.pub", "--insecure-ignore-tlog", &moved];
        refuses(&output(&mut released.cosign(which, &words)), "no signatures found");
    }
}

/// The release in two more repositories, its signatures put there by others: in one as they are, in the other with one other byte.
fn flipped(released: &Released, mine: &Guard<'_>) {
    let app = released.place.name("team/app");
    let identity = json!({"type": "exactRepository", "dockerRepository": app});
    let guard = Guard { identity, ..mine.clone() };
    let verify = |judge: &str, image: &str| {
        let words = ["verify", "--key", "mine.pub", "--insecure-ignore-tlog", image];
        match judge {
            "ours" => output(&mut released.ours(&["verify", image, "--key", "mine.pub"])),
            "skopeo" => guard.copy(image),
            which => output(&mut released.cosign(which, &words)),
        }
    };
    let judges = ["ours", "cosign-2", "cosign-3", "skopeo"];
    let same = carried(released, "team/same", |_| {});
    judges.iter().for_each(|judge| takes(&verify(judge, &same)));
    let other = carried(released, "team/flipped", |signature| {
        let mut bytes = STANDARD.decode(signature.as_str().unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        *signature = json!(STANDARD.encode(bytes));
    });
    refused(&verify("ours", &other), 4, &["the signature is not by this key"]);
    for judge in &judges[1..] {
        let output = verify(judge, &other);
        assert!(!output.status.success(), "{judge} takes a signature with another byte");
    }
}

/// Copies one image of the release, and puts its signatures beside it once they were changed.
fn carried(released: &Released, to: &str, change: impl Fn(&mut Value)) -> String {
    let (place, image) = (&released.place, &released.images[0]);
    let from = format!("{}@{image}", place.name("team/app"));
    takes(&output(&mut released.ours(&["copy", "--no-referrers", &from, &format!("{}:1", place.name(to))])));
    let reference = format!("{}@{image}", place.name(to));
    let get = |path: String| place.ask("GET", &format!("/v2/team/app/{path}"), None).body;
    let told = done(&mut released.ours(&["--format", "json", "verify", &from, "--key", "mine.pub"]));
    let told: Value = serde_json::from_str(&told).unwrap();
    let bundle = get(format!("blobs/{}", told["images"][0]["accepted"][0]["blob"].as_str().unwrap()));
    let mut bundle: Value = serde_json::from_str(&bundle).unwrap();
    change(&mut bundle["dsseEnvelope"]["signatures"][0]["sig"]);
    released.project.write("bundle.json", bundle.to_string());
    let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let file = format!("bundle.json:{kind}");
    let mut attach = place.oras(&["attach", "--no-tty", "--artifact-type", kind, &reference, &file]);
    done(attach.current_dir(released.project.app()));

    let tag = format!("manifests/{}.sig", image.replace(':', "-"));
    let mut legacy: Value = serde_json::from_str(&get(tag.clone())).unwrap();
    change(&mut legacy["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"]);
    for blob in [&legacy["layers"][0], &legacy["config"]] {
        upload(place, to, &get(format!("blobs/{}", blob["digest"].as_str().unwrap())));
    }
    let put = place.ask("PUT", &format!("/v2/{to}/{tag}"), Some((media::MANIFEST, &legacy.to_string())));
    assert_eq!(put.status, 201, "{}", put.body);
    reference
}

fn upload(place: &Place, to: &str, text: &str) {
    let begun = place.ask("POST", &format!("/v2/{to}/blobs/uploads/"), None);
    let location = begun.location.unwrap();
    let sign = if location.contains('?') { '&' } else { '?' };
    let digest = Digest::of(text.as_bytes());
    let url = format!("{location}{sign}digest={digest}");
    let put = place.ask("PUT", &url, Some(("application/octet-stream", text)));
    assert_eq!(put.status, 201, "{}", put.body);
}

#[test]
fn a_policy_takes_a_release_in_a_registry_without_referrers() {
    policies(Make::Plain);
}

#[test]
fn a_policy_takes_a_release_in_a_registry_with_referrers() {
    policies(Make::Ferro);
}

#[test]
fn a_policy_of_identities_takes_a_release_in_a_registry_without_referrers() {
    identities(Make::Plain);
}

#[test]
fn a_policy_of_identities_takes_a_release_in_a_registry_with_referrers() {
    identities(Make::Ferro);
}
