//! Stage 4: whose word goes where (checks AUT-06 to AUT-10).

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn inline(text: &str) -> Source {
    Source { places: vec![Place::Inline("TEST", text.to_string())], ..Source::default() }
}

async fn user(source: &Source, registry: &str, path: &str) -> Option<String> {
    let found = source.find(&registry.parse().unwrap(), path, PATIENCE).await.unwrap();
    found.credential.map(|credential| match credential {
        Credential::Password { user, .. } => user,
        other => format!("{other:?}"),
    })
}

#[tokio::test]
async fn aut_06_each_host_has_its_own_entry() {
    let source = inline(
        r#"{"auths":{
            "r.test":{"username":"plain","password":"p"},
            "r.test:5000":{"username":"port","password":"p"},
            "r.test/team":{"username":"team","password":"p"},
            "r.test/team/app":{"username":"app","password":"p"},
            "https://index.docker.io/v1/":{"auth":"aHViOnA="},
            "idt.test":{"auth":"dTo=","identitytoken":"t"},
            "https://url.test/v2/":{"username":"url","password":"p"},
            "empty.test":{}
        }}"#,
    );
    for (registry, path, expected) in [
        ("r.test", "x", Some("plain")),
        ("r.test:5000", "x", Some("port")),
        ("r.test:5001", "x", None),
        ("r.test.evil.test", "x", None),
        ("evil.r.test", "x", None),
        ("r.test", "team/x", Some("team")),
        ("r.test", "teamwork", Some("plain")),
        ("r.test", "team/app/deep", Some("app")),
        ("docker.io", "library/nginx", Some("hub")),
        ("index.docker.io", "library/nginx", Some("hub")),
        ("idt.test", "x", Some("identity token")),
        ("url.test", "x", Some("url")),
        ("empty.test", "x", None),
    ] {
        assert_eq!(user(&source, registry, path).await.as_deref(), expected, "{registry}/{path}");
    }
}

struct Stub(tempfile::TempDir);

impl Stub {
    fn new(script: &str) -> Stub {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker-credential-stub");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Stub(directory)
    }

    async fn find(&self, config: &str, patience: Duration) -> Result<Found> {
        let source = Source { search: Some(self.0.path().into()), ..inline(config) };
        source.find(&"r.test".parse().unwrap(), "x", patience).await
    }
}

const FOR_R: &str = r#"{"credHelpers":{"r.test":"stub"}}"#;

#[tokio::test]
async fn aut_07_a_missing_helper_is_an_error() {
    let stub = Stub::new(r#"read server; [ "$server" = r.test ] && echo '{"Username":"me","Secret":"s"}'"#);
    let found = stub.find(FOR_R, PATIENCE).await.unwrap();
    assert_eq!(found.credential, Some(Credential::Password { user: "me".into(), password: "s".into() }));
    let error = stub.find(r#"{"credHelpers":{"r.test":"gone"}}"#, PATIENCE).await.unwrap_err();
    assert!(error.causes()[0].contains("`docker-credential-gone`"), "{error:?}");
    let program = stub.0.path().join("docker-credential-stub");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(stub.find(FOR_R, PATIENCE).await.is_err());
    assert!(stub.find(r#"{"credsStore":"stub"}"#, PATIENCE).await.is_err());
}

#[tokio::test]
async fn aut_08_helper_names_have_a_grammar() {
    let stub = Stub::new(r#"echo '{"Username":"me","Secret":"s"}'"#);
    for name in ["../x", "a/b", "-x", "/bin/sh", "a b", ".x", "a;b", "é", "stub\n"] {
        let config = serde_json::json!({ "credsStore": name }).to_string();
        let error = stub.find(&config, PATIENCE).await.unwrap_err();
        assert!(error.causes()[0].contains("not the name of a credential helper"), "{name}: {error:?}");
    }
    assert!(stub.find(r#"{"credsStore":"stub"}"#, PATIENCE).await.unwrap().credential.is_some());
}

#[tokio::test]
async fn aut_09_helpers_are_bounded_and_their_words_not_shown() {
    let error = Stub::new("exec sleep 30").find(FOR_R, Duration::from_millis(200)).await.unwrap_err();
    assert!(format!("{error:?}").contains("did not answer within"), "{error:?}");
    for script in [
        "cat /dev/zero | head -c 100000000",
        "echo CANARY; echo CANARY >&2",
        "echo CANARY >&2; exit 1",
        "echo CANARY; exit 1",
        "kill -9 $$",
    ] {
        let error = Stub::new(script).find(FOR_R, PATIENCE).await.unwrap_err();
        assert!(!format!("{error:?}{:?}", error.hints()).contains("CANARY"), "{error:?}");
    }
    let nothing = Stub::new("echo 'credentials not found in native keychain'; exit 1");
    assert_eq!(nothing.find(FOR_R, PATIENCE).await.unwrap().credential, None);
    let token = Stub::new(r#"echo '{"Username":"<token>","Secret":"s"}'"#);
    let found = token.find(FOR_R, PATIENCE).await.unwrap().credential;
    assert_eq!(found, Some(Credential::Identity { user: String::new(), token: "s".into() }));
}

#[tokio::test]
async fn aut_10_no_control_character_reaches_a_helper() {
    let stub = Stub::new("touch \"$(dirname \"$0\")/canary\"");
    let search = OsString::from(stub.0.path());
    for server in ["r.test\nhost=evil", "r.test\r", "r.test\0", ""] {
        assert!(helper::get("stub", server, Some(&search), PATIENCE).await.is_err());
    }
    assert!(!stub.0.path().join("canary").exists());
}

#[tokio::test]
async fn a_broken_file_is_an_error_that_quotes_nothing() {
    let source = inline(r#"{"auths":{"r.test":{"auth":["CANARY"]}}}"#);
    let error = source.find(&"r.test".parse().unwrap(), "x", PATIENCE).await.unwrap_err();
    assert!(!format!("{error:?}").contains("CANARY"));
    let source = inline(r#"{"auths":{"r.test":{"auth":"CANARY!"}}}"#);
    let error = source.find(&"r.test".parse().unwrap(), "x", PATIENCE).await.unwrap_err();
    assert!(!format!("{error:?}").contains("CANARY"));
    assert!(inline("").find(&"r.test".parse().unwrap(), "x", PATIENCE).await.unwrap().credential.is_none());
}
