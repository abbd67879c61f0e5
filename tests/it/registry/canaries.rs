//! No secret is ever said or kept, whatever a registry does, at the highest verbosity (check AUT-15). Passwords, tokens, the state of uploads
//! and signed addresses all hold the word that [`crate::support::canary`] looks for: in both streams of each run, and on the disk.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::stand::noise;
use super::{How, On, Registry, Request, Response, on};
use crate::support::{Project, scratch, tables};

const WORD: &str = "CANARY-word";

/// A project that goes to the registry, with an entry for it in its credential file.
fn project(registry: &Registry, auth: &str) -> Project {
    let manifest = scratch(&format!("name = \"{}/app\"\ncompression = \"none\"", registry.name()));
    let project = Project::of(&(manifest + &tables(&[("file", "src = 'large'; dest = '/large'")])));
    project.write("large", noise(300_000));
    project.write("docker/config.json", format!(r#"{{"auths":{{"{}":{auth}}}}}"#, registry.name()));
    project
}

fn password(word: &str) -> String {
    format!(r#"{{"auth":"{}"}}"#, STANDARD.encode(format!("user:{word}")))
}

/// Sends a reader to a signed address of a storage.
fn signed(storage: &Registry) -> impl Fn(&Request, Response) -> Response + Send + 'static {
    let url = storage.url();
    move |request, response| match response.status {
        200 => Response::new(307).header("Location", format!("{url}{}?X-Signature=CANARY-signed", request.path)),
        _ => response,
    }
}

/// What can go wrong in a push and in a pull. Each is met twice at most, so that no run waits for long.
fn faults() -> Vec<On> {
    let echo = |request: &Request, _: Response| {
        let said = request.header("authorization").unwrap_or("nothing").to_string();
        Response::error(403, "DENIED").header("X-Echo", said).header("X-State", request.query.clone())
    };
    let mut all = vec![
        on("GET", "/token").times(1).reply(Response::new(200).body(r#"{"token":"CANARY-broken"#)),
        on("GET", "/token").times(1).reply(Response::new(200).body(r#"{"token":"CANARY-x\nbroken"}"#)),
        on("GET", "/token").times(1).reply(Response::new(200).body(r#"["CANARY-x"]"#)),
        on("POST", "/uploads/").times(1).edit(|_, response| response.header("Location", "http://[CANARY-x")),
        on("POST", "/uploads/").times(1).edit(|_, response| response.header("Location", "ftp://x/?_state=CANARY-x")),
        on("POST", "/uploads/").times(1).edit(|_, response| {
            response.header("Location", "http://user:CANARY-x@10.0.0.1/x?_state=CANARY-x#CANARY-x")
        }),
        on("GET", "/blobs/")
            .times(1)
            .reply(Response::new(307).header("Location", "http://u:CANARY-x@169.254.169.254/?sig=CANARY-x")),
        on("PATCH", "/uploads/").times(1).status(416),
        on("PUT", "/uploads/").times(1).cut_body(70_000),
        on("GET", "/blobs/").times(1).how(How::Cut(1000)),
    ];
    for (method, path) in [
        ("GET", "/token"),
        ("HEAD", "/blobs/"),
        ("POST", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/"),
        ("GET", "/manifests/"),
        ("GET", "/blobs/"),
    ] {
        all.extend([400, 401, 403, 404, 405].map(|status| on(method, path).times(1).status(status)));
        all.push(on(method, path).times(1).how(How::Nothing));
        all.push(on(method, path).times(1).edit(echo));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn aut_15_whatever_happens_no_secret_is_said_or_kept() {
    let (registry, storage) = (Registry::start().await, Registry::start().await);
    registry.bearer("user", WORD);
    let mut failed = 0;
    for (at, fault) in faults().into_iter().enumerate() {
        registry.heal();
        registry.set(|model| {
            model.shelves.clear();
            model.tokens.clear();
            model.most = (at % 2 == 0).then_some((100_000, 413));
        });
        let project = project(&registry, &password(WORD));
        let run = |words: &[&str]| {
            let json = ["--format", if at % 3 == 0 { "json" } else { "text" }];
            project.run(json.iter().chain(&["-vvv"]).chain(words)).env("DOCKER_CONFIG", project.path("docker"))
        };
        registry.fault(fault);
        let push = run(&["push", "--receipt", "receipt.json"]).ends();
        failed += usize::from(push.code != Some(0));
        registry.fault(on("GET", "/blobs/").edit(signed(&storage)));
        let source = format!("{}/app", registry.name());
        if let Some(digest) = registry.shelf("app").manifests.keys().next() {
            let shelf = registry.shelf("app");
            storage.set(|model| drop(model.shelves.insert("app".into(), shelf)));
            let pull = run(&["--no-cache", "pull", &format!("{source}@{digest}"), "-o", "oci:out"]).ends();
            failed += usize::from(pull.code != Some(0));
        }
        assert!(!push.stderr.contains("panicked") && push.stderr.contains("credential for"), "{}", push.stderr);
        if at % 5 == 0 {
            run(&["doctor", &source]).ends();
        }
    }
    assert!(failed > 20, "only {failed} runs failed, so there was little to be said");
}

#[tokio::test(flavor = "multi_thread")]
async fn aut_15_wrong_credentials_of_every_kind_are_not_said() {
    let registry = Registry::start().await;
    registry.image("app", "1");
    let source = format!("{}/app:1", registry.name());
    for (auth, fine) in [
        (password(WORD), true),
        (r#"{"identitytoken":"CANARY-word"}"#.into(), true),
        (password("CANARY-wrong"), false),
        (r#"{"identitytoken":"CANARY-wrong"}"#.into(), false),
        (r#"{"registrytoken":"CANARY-wrong"}"#.into(), false),
        (r#"{"username":"user","password":"CANARY-wrong"}"#.into(), false),
        (r#"{"auth":"CANARY-x!"}"#.into(), false),
        (format!(r#"{{"auth":"{}"}}"#, STANDARD.encode("CANARY-without-colon")), false),
        (r#"{"auth":["CANARY-x"]}"#.into(), false),
        (r#"{"auth":"CANARY-x""#.into(), false),
    ] {
        for bearer in [true, false] {
            match bearer {
                true => registry.bearer("user", WORD),
                false => registry.basic("user", WORD),
            };
            let project = project(&registry, &auth);
            let run =
                |words: &[&str]| project.run(["-vvv"].iter().chain(words)).env("DOCKER_CONFIG", project.path("docker"));
            let pull = run(&["pull", &source]).ends();
            let identity = auth.contains("identitytoken");
            assert_eq!(pull.code == Some(0), fine && (bearer || !identity), "{auth} {bearer}: {}", pull.stderr);
            let _ = (run(&["push"]).ends(), run(&["doctor", &source]).ends());
        }
    }
}
