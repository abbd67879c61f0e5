//! The library's face: what is at the crate's root, in the shape that programs use. A change that breaks this file breaks theirs.

use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};

use stillframe::error::{Kind, Report};
use stillframe::event::{Cancel, Sink};
use stillframe::oci::{Digest, Platform};
use stillframe::registry::Settings;
use stillframe::ship::Pushed;
use stillframe::{Ctx, Destination, Error, Made, Manifest, Plan, Request, Result, build, event, ship};

/// A future that may go to another thread.
fn sent<T>(future: impl Future<Output = T> + Send) -> impl Future<Output = T> + Send {
    future
}

#[test]
fn the_items_have_their_types() {
    let _: fn(&Path, Settings, Sink) -> Result<Ctx> = Ctx::new;
    let _: fn(&Request) -> Result<Manifest> = Request::manifest;
    let _: fn(&Request) -> Result<Plan> = Request::plan;
    let _: fn(&Made) -> Digest = Made::digest;
    let _: fn(&Made) -> &Report = |made| &made.report;
    let _: fn(&Error) -> Kind = Error::kind;
    let _: fn(&Error) -> &str = Error::message;
    let _: fn(&Error) -> &[String] = Error::hints;
    let _: fn(&Error) -> Option<&Report> = Error::report;
    let _: fn(&Ctx) -> &Cancel = |ctx| &ctx.cancel;
    let Request { manifest, set, variable, platform, created, .. } = Request::new("image.toml");
    let _: (PathBuf, Option<Platform>, Option<i64>) = (manifest, platform, created);
    let _: Vec<(String, String)> = set;
    let _: fn(&str) -> Option<OsString> = variable;
    let all = ["store", "oci:a", "oci-archive:a", "docker-archive:a", "docker", "podman", "registry"];
    for text in all {
        assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
    }
    fn everywhere<T: Send + Sync>() {}
    everywhere::<(Ctx, Destination, Error, Made, Manifest, Plan, Request)>();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_built_and_shipped_is_what_the_program_makes() {
    let room = tempfile::tempdir().unwrap();
    let manifest = room.path().join("image.toml");
    let text = "schema = 1\n[vars]\nwho = { from = \"env:WHO\" }\n[image]\nbase = \"scratch\"\nuser = \"1000\"\ncreated = \"fixed\"\n\
                platforms = [\"linux/amd64\", \"linux/arm64\"]\n[[file]]\ndest = \"/who\"\ncontent = \"{{ who }}\"\n";
    std::fs::write(&manifest, text).unwrap();
    let settings = Settings { offline: true, ..Settings::default() };
    let ctx = Ctx::new(&room.path().join("store"), settings, event::nowhere()).unwrap();
    let asked = Request { set: vec![("who".into(), "you".into())], ..Request::new(&manifest) };
    let made: Made = sent(build(&ctx, &asked)).await.unwrap();
    let out = Destination::Layout(room.path().join("out"));
    let pushed: Vec<Pushed> = sent(ship(&ctx, &made, &out)).await.unwrap();
    assert!(pushed.is_empty(), "no registry was asked");
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_stillframe"))
        .args(["-q", "-f"])
        .arg(&manifest)
        .args(["--set", "who=you", "build"])
        .env("STILLFRAME_HOME", room.path().join("other"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&program.stdout).trim(), made.digest().to_string());
    // A value from outside comes only from where the request says.
    let error = Request::new(&manifest).plan().unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let named = Request { variable: |name| (name == "WHO").then(|| "you".into()), ..Request::new(&manifest) };
    assert_eq!(build(&ctx, &named).await.unwrap().digest(), made.digest());
    // Another time, one platform: another image, and no more than was asked for.
    let one = Request { platform: Some("linux/arm64".parse().unwrap()), created: Some(1), ..asked };
    let made = build(&ctx, &one).await.unwrap();
    assert_eq!(made.artifact.images.len(), 1);
    ctx.cancel.set(Kind::Interrupted);
    assert!(build(&ctx, &one).await.is_err(), "who was asked to stop builds nothing");
}
