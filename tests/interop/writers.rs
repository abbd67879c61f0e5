//! Two who sign at the same time, in a registry that keeps no list of referrers: nothing of either is lost (check SIG-14).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::peers::{done, output};
use crate::project::{Project, digest};
use crate::servers::{Make, Place};

const ROUNDS: usize = 20;
const PASSWORD: (&str, &str) = ("COSIGN_PASSWORD", "a password");

#[test]
fn sig_14_two_signers_at_once_lose_nothing_in_twenty_rounds() {
    let place = Place::start(Make::Plain);
    let name = place.name("team/app");
    let project = Project::new(&format!("[image]\nname = \"{name}\"\nbase = \"scratch\"\nuser = \"1\"\n"));
    let whole = digest(&output(&mut place.ours(&project, &["push"])));
    let reference = format!("{name}@{whole}");
    let keys = ["one", "two"];
    for key in keys {
        done(place.ours(&project, &["keygen", "--output-prefix", key]).env(PASSWORD.0, PASSWORD.1));
    }
    for round in 0..ROUNDS {
        let note = format!("round={round}");
        std::thread::scope(|scope| {
            for key in keys {
                let words = ["sign", &reference, "--key", &format!("{key}.key"), "-a", &note];
                let mut command = place.ours(&project, &words);
                command.env(PASSWORD.0, PASSWORD.1);
                scope.spawn(move || done(&mut command));
            }
        });
        for key in keys {
            let words = ["verify", &reference, "--key", &format!("{key}.pub"), "--annotation", &note];
            assert_eq!(digest(&output(&mut place.ours(&project, &words))), whole, "{round}");
        }
    }
    let get = |tag: &str| -> Value {
        serde_json::from_str(&place.ask("GET", &format!("/v2/team/app/manifests/{tag}"), None).body).unwrap()
    };
    let tag = whole.replace(':', "-");
    let (list, legacy) = (get(&tag), get(&format!("{tag}.sig")));
    let listed = list["manifests"].as_array().unwrap();
    assert_eq!(listed.len(), 2 * ROUNDS);
    for entry in listed {
        assert_eq!(entry["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
        assert_eq!(entry["annotations"]["dev.sigstore.bundle.predicateType"], "https://sigstore.dev/cosign/sign/v1");
    }
    // Every signature once: the payload of a round is the same for both, their signatures are not.
    let layers = legacy["layers"].as_array().unwrap();
    let signatures: BTreeSet<&str> = layers
        .iter()
        .map(|layer| layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap())
        .collect();
    assert_eq!((layers.len(), signatures.len()), (2 * ROUNDS, 2 * ROUNDS));
}
