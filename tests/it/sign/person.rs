//! A person at a terminal, who signs in with a browser somewhere and brings back a code.

use std::fs::File;
use std::io::Write;

use super::{Keyless, SERVICES, WHO};
use crate::sigstore::Rekor;
use crate::support::project::{Run, Running};
use crate::support::terminal;

fn run(keyless: &Keyless, words: &[&str], read: File) -> Run {
    let reference = keyless.world.pinned();
    keyless.world.project.run([&["sign", &reference, "--keyless"], &SERVICES[..], words].concat()).stdin(read)
}

/// Waits for the address, opens it as a browser would, and types the code.
async fn sign_in(running: &mut Running, typed: &mut File) {
    let address = loop {
        let line = running.says();
        if line.trim().starts_with("http://") {
            break line.trim().to_string();
        }
    };
    assert!(address.contains("code_challenge_method=S256") && address.contains("oob"), "{address}");
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let page = browser.get(&address).send().await.unwrap();
    let back = page.headers()["location"].to_str().unwrap();
    let code = back.split_once("code=").unwrap().1.split('&').next().unwrap();
    writeln!(typed, "{code}").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_once_they_agreed() {
    let keyless = Keyless::new(Rekor::V1, false).await;
    let (mut typed, read) = terminal();
    let mut running = run(&keyless, &[], read).start();
    let notice = running.says();
    assert!(notice.contains("publishes who signs") && notice.contains("nothing is ever deleted"), "{notice}");
    writeln!(typed, "yes").unwrap();
    sign_in(&mut running, &mut typed).await;
    running.ends().expect(0);
    keyless.verify(WHO, &[]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn yes_answers_the_question_and_no_ends_the_work() {
    let keyless = Keyless::new(Rekor::V2, true).await;
    for answer in ["", "n", "nope"] {
        let (mut typed, read) = terminal();
        let running = run(&keyless, &[], read).start();
        writeln!(typed, "{answer}").unwrap();
        let refused = running.ends().expect(2);
        assert!(refused.stderr.contains("nothing was signed"), "{}", refused.stderr);
    }
    assert_eq!(keyless.sigstore.count("*", "/oidc/auth") + keyless.sigstore.count("POST", ""), 0);
    let (mut typed, read) = terminal();
    let mut running = run(&keyless, &["--yes"], read).start();
    sign_in(&mut running, &mut typed).await;
    let done = running.ends().expect(0);
    assert!(!done.stderr.contains("Go on?"), "{}", done.stderr);
    keyless.verify(WHO, &[]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_signs_nothing() {
    let keyless = Keyless::new(Rekor::V1, false).await;
    let (mut typed, read) = terminal();
    let running = run(&keyless, &["-y"], read).start();
    writeln!(typed, "code-0").unwrap();
    let refused = running.ends().expect(3);
    assert!(refused.stderr.contains("signing in at"), "{}", refused.stderr);
    assert_eq!(keyless.beside(), (0, 0));
}
