//! What a push asks of a registry and sends to it, counted: nothing twice, nothing that is there, nothing that can be mounted.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stillframe::ctx::Ctx;
use stillframe::error::{Place, Text};
use stillframe::event::{Cancel, nowhere};
use stillframe::facts::Facts;
use stillframe::layer::{Packed, done};
use stillframe::manifest::TagRules;
use stillframe::oci::{Descriptor, DiffId, media};
use stillframe::plan::Tags;
use stillframe::ship::{Target, ahead};
use stillframe::store::{Memory, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::registry::{Registry, Stand, noise, on};
use super::support::{Base, Project, file, manifest, rooted};

const MIB: usize = 1 << 20;

/// A project whose image goes to these repositories, with these tags and lines.
fn project(names: &[String], base: &str, rest: &str) -> Project {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let head = format!("[image]\nname = [{}]\n", names.join(", "));
    let text = format!(
        "{rest}\n[[file]]\nsrc = \"one\"\ndest = \"/one\"\nlayer = \"one\"\n[[file]]\nsrc = \"two\"\ndest = \"/two\"\nlayer = \"two\"\n"
    );
    let text = manifest(base, &text).replacen("[image]\n", &head, 1);
    Project::of(&rooted(&text)).file("one", "one").file("two", "two")
}

/// The requests so far, sorted, `3 × PUT …` for several alike; the log is emptied.
#[track_caller]
fn asks(registry: &Registry, expected: &[&str]) {
    let mut told = registry.told();
    told.sort();
    let mut counted: Vec<(String, usize)> = Vec::new();
    for line in told {
        match counted.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => counted.push((line, 1)),
        }
    }
    let counted: Vec<String> = counted.into_iter().map(|(line, count)| format!("{count} × {line}")).collect();
    assert_eq!(counted, expected, "{:#?}", registry.told());
    registry.forget();
}

const PLAIN: &str = "[tags]\nfixed = [\"edge\"]";
const NOTHING: [&str; 1] = ["1 × HEAD /v2/app/manifests/edge"];

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_push_takes_three_requests_for_each_blob_and_a_warm_one_one_for_each_tag() {
    let registry = Registry::start().await;
    let project = project(&[format!("{}/app", registry.name())], "scratch", PLAIN);
    project.run(["push"]).success();
    // Two layers and the config; the root, first by its digest.
    let cold = [
        "3 × HEAD /v2/app/blobs/DIGEST",
        "1 × HEAD /v2/app/manifests/DIGEST",
        "1 × HEAD /v2/app/manifests/edge",
        "3 × POST /v2/app/blobs/uploads/",
        "3 × PUT /v2/app/blobs/uploads/SESSION",
        "1 × PUT /v2/app/manifests/DIGEST",
        "1 × PUT /v2/app/manifests/edge",
    ];
    asks(&registry, &cold);
    project.run(["push"]).success();
    asks(&registry, &NOTHING);
    // Another store knows nothing, and asks no more.
    project.run(["push"]).env("STILLFRAME_HOME", project.home().join("other")).success();
    asks(&registry, &NOTHING);
    project.write("two", "changed");
    project.run(["push"]).success();
    let changed = [
        "3 × HEAD /v2/app/blobs/DIGEST",
        "1 × HEAD /v2/app/manifests/DIGEST",
        "1 × HEAD /v2/app/manifests/edge",
        "2 × POST /v2/app/blobs/uploads/",
        "2 × PUT /v2/app/blobs/uploads/SESSION",
        "1 × PUT /v2/app/manifests/DIGEST",
        "1 × PUT /v2/app/manifests/edge",
    ];
    asks(&registry, &changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoilt_blob_of_the_store_is_noticed_while_it_is_sent_and_never_arrives() {
    let (first, second) = (Registry::start().await, Registry::start().await);
    let project = Project::new();
    let more: String = noise(MIB).iter().map(|byte| format!("{byte:02x}")).collect();
    Base::debian().layer([file("etc/more", &more)]).write(&project, "base");
    let copy = |to: &Registry| project.run(["copy", "oci:base", &format!("{}/app:1", to.name())]);
    copy(&first).success();
    // Another process reads the blobs while it sends them, and goes on where it was interrupted.
    let third = Registry::start().await;
    third.fault(on("PUT", "/uploads/").times(1).cut_body(64 << 10));
    copy(&third).success();
    assert_eq!(third.shelf("app").blobs, first.shelf("app").blobs);
    let mut spoilt = 0;
    for entry in std::fs::read_dir(project.store().join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        // Documents are read before anything is sent.
        if bytes.first() != Some(&b'{') {
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&path, bytes).unwrap();
            spoilt += 1;
        }
    }
    assert_eq!(spoilt, 2);
    let said = copy(&second).success().stderr;
    assert_eq!(said.matches("was damaged").count(), spoilt, "{said}");
    assert_eq!(second.shelf("app").blobs, first.shelf("app").blobs);
    // Each of them was begun twice and given up once.
    let uploads = ["POST", "DELETE"].map(|method| second.count(method, "/blobs/uploads/"));
    assert_eq!(uploads, [5, 2], "{:#?}", second.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_of_the_same_registry_takes_a_mount_and_nothing_else() {
    let registry = Registry::start().await;
    let name = registry.name();
    let given = Project::new();
    let reference = Base::debian().layer([file("etc/more", "more")]).write(&given, "base");
    let digest = reference.rsplit("sha256:").next().unwrap().to_string();
    given.run(["copy", "oci:base", &format!("{name}/base/image:1")]).success();
    let base = format!("{name}/base/image:1@sha256:{digest}");
    let project = project(&[format!("{name}/app")], &base, PLAIN);
    project.run(["build"]).success();
    registry.forget();
    project.run(["push"]).success();
    let puts = registry.count("PUT", "/blobs/uploads/");
    let mounts = registry.count("POST", "mount=");
    // One layer each of the base, and no request for any of them but the mount.
    assert_eq!((puts, mounts, registry.count("HEAD", "/blobs/")), (3, 2, 3), "{:#?}", registry.told());
    assert_eq!(registry.count("GET", ""), 0, "nothing of the base is fetched: {:#?}", registry.told());
    // Where mounts do not work, the upload that is opened in their place is used.
    registry.set(|model| model.mounts = false);
    registry.set(|model| drop(model.shelves.remove("app")));
    registry.forget();
    project.run(["push"]).success();
    let told = registry.told();
    let (asked, opened) = (registry.count("HEAD", "/blobs/"), registry.count("POST", "/uploads/"));
    assert_eq!((asked, opened, registry.count("PUT", "/blobs/uploads/")), (5, 5, 5), "{told:#?}");
    assert_eq!(registry.count("DELETE", ""), 0, "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_of_another_registry_is_asked_for_once_and_fetched_if_it_lacks() {
    let (from, to) = (Registry::start().await, Registry::start().await);
    let given = Project::new();
    let reference = Base::debian().write(&given, "base");
    let digest = reference.rsplit("sha256:").next().unwrap().to_string();
    given.run(["copy", "oci:base", &format!("{}/base:1", from.name())]).success();
    let base = format!("{}/base:1@sha256:{digest}", from.name());
    let project = project(&[format!("{}/app", to.name())], &base, PLAIN);
    project.run(["push"]).success();
    let cold = [
        "4 × HEAD /v2/app/blobs/DIGEST",
        "1 × HEAD /v2/app/manifests/DIGEST",
        "1 × HEAD /v2/app/manifests/edge",
        "4 × POST /v2/app/blobs/uploads/",
        "4 × PUT /v2/app/blobs/uploads/SESSION",
        "1 × PUT /v2/app/manifests/DIGEST",
        "1 × PUT /v2/app/manifests/edge",
    ];
    asks(&to, &cold);
    from.forget();
    project.run(["push"]).success();
    asks(&to, &NOTHING);
    assert!(from.log().is_empty(), "what is known of the base is not asked for: {:?}", from.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tags_and_platforms_take_a_head_for_each_tag() {
    let registry = Registry::start().await;
    let rest = "platforms = [\"linux/amd64\", \"linux/arm64\"]\n[tags]\nfixed = [\"a\", \"b\", \"c\"]";
    let project = project(&[format!("{}/app", registry.name())], "scratch", rest);
    project.run(["push"]).success();
    // Both platforms have the same two layers, but configs and manifests of their own.
    let cold = [
        "4 × HEAD /v2/app/blobs/DIGEST",
        "1 × HEAD /v2/app/manifests/DIGEST",
        "1 × HEAD /v2/app/manifests/a",
        "1 × HEAD /v2/app/manifests/b",
        "1 × HEAD /v2/app/manifests/c",
        "4 × POST /v2/app/blobs/uploads/",
        "4 × PUT /v2/app/blobs/uploads/SESSION",
        "3 × PUT /v2/app/manifests/DIGEST",
        "1 × PUT /v2/app/manifests/a",
        "1 × PUT /v2/app/manifests/b",
        "1 × PUT /v2/app/manifests/c",
    ];
    asks(&registry, &cold);
    project.run(["push"]).success();
    let warm = ["a", "b", "c"].map(|tag| format!("1 × HEAD /v2/app/manifests/{tag}"));
    asks(&registry, &warm.each_ref().map(String::as_str));
    // An image of the index that was deleted behind the tags' back: `--no-cache` asks for each.
    let index = registry.shelf("app").tags["a"].clone();
    let child = registry.shelf("app").manifests.keys().find(|digest| **digest != index).unwrap().clone();
    registry.set(|model| drop(model.shelf("app").manifests.remove(&child)));
    project.run(["--no-cache", "push"]).success();
    assert!(registry.shelf("app").manifests.contains_key(&child));
    assert_eq!(registry.count("PUT", "/blobs/uploads/"), 0, "{:#?}", registry.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_repository_of_a_registry_takes_all_from_the_first() {
    let registry = Registry::start().await;
    let names = ["app", "more"].map(|path| format!("{}/{path}", registry.name()));
    let project = project(&names, "scratch", PLAIN);
    project.run(["push"]).success();
    assert_eq!(registry.count("PUT", "/v2/app/blobs/uploads/"), 3);
    assert_eq!(registry.count("POST", "/v2/more/blobs/uploads/"), 3, "{:#?}", registry.told());
    assert_eq!(registry.count("PUT", "/v2/more/blobs/"), 0, "all is mounted: {:#?}", registry.told());
    assert_eq!(registry.shelf("app").tags, registry.shelf("more").tags);
    registry.forget();
    project.run(["push"]).success();
    asks(&registry, &["1 × HEAD /v2/app/manifests/edge", "1 × HEAD /v2/more/manifests/edge"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_tokens_is_asked_for_no_more_of_them_than_it_takes() {
    let registry = Registry::start().await;
    registry.bearer("user", "word");
    let project = project(&[format!("{}/app", registry.name())], "scratch", PLAIN);
    let auth = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjp3b3Jk"}}}}}}"#, registry.name());
    let push = || project.run(["push"]).env("DOCKER_AUTH_CONFIG", &auth).success();
    push();
    assert_eq!(registry.count("GET", "/token"), 2, "one that reads, one that writes: {:#?}", registry.told());
    registry.forget();
    push();
    asks(&registry, &["1 × GET /token", "2 × HEAD /v2/app/manifests/edge"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_is_uploaded_before_the_next_one_is_packed() {
    let registry = Registry::start().await;
    let stand = Stand::new();
    let home = tempfile::tempdir().unwrap();
    let sink = nowhere();
    let ctx = Ctx {
        store: Store::new(home.path(), Memory::Full, sink.clone()),
        registries: stand.client.clone(),
        sink,
        jobs: NonZeroUsize::MIN,
        cancel: Cancel::default(),
    };
    let packed = |bytes: &[u8], secrets: bool| {
        ctx.store.put(bytes).unwrap();
        let token = ["ghp_", "Zq3vKx9TbW2mLr8NdYc5HjPf7GsA4eUo1iXy"].concat();
        let facts = secrets.then(|| ("x".to_string(), Facts::of(token.as_bytes())));
        let descriptor = Descriptor::of(media::LAYER, bytes);
        let diff_id = DiffId(descriptor.digest);
        Packed { descriptor, diff_id, tar_size: 0, modes: Vec::new(), facts: facts.into_iter().collect() }
    };
    let (one, two, secret) = (packed(b"one", false), packed(b"two", false), packed(b"secret", true));
    let text = Arc::new(Text { path: "image.toml".into(), text: String::new() });
    let (fixed, place) = (vec!["edge".parse().unwrap()], Place { text, span: 0..0 });
    let rules =
        TagRules { fixed, semver: vec![], prefix: String::new(), sha: None, branch: false, latest: false, place };
    let target =
        Target { names: vec![registry.repository("app")], tags: Tags::of(Some(&rules), None), ..Target::default() };
    let (told, waiting) = done();
    let packing = async {
        for (at, packed) in [&one, &secret, &two].into_iter().enumerate() {
            told.tell(packed);
            registry.saw(1 + at / 2, "PUT", "/v2/app/blobs/uploads/").await;
        }
        drop(told);
    };
    let (ahead, ()) = tokio::join!(ahead(&ctx, &target, waiting), packing);
    let ahead = ahead.unwrap();
    let how = |packed: &Packed| ahead.how(&registry.repository("app"), &packed.descriptor.digest);
    assert_eq!((how(&one), how(&secret), how(&two)), (Some("uploaded"), None, Some("uploaded")));
    assert_eq!(registry.shelf("app").blobs.len(), 2, "what is judged first does not go ahead");
    // And the command does it: layers go before anything is asked about the image itself.
    registry.set(|model| model.shelves.clear());
    registry.forget();
    let project = project(&[format!("{}/app", registry.name())], "scratch", PLAIN);
    project.run(["push"]).success();
    let told = registry.told();
    let at = |text: &str| told.iter().position(|line| line.contains(text)).unwrap();
    assert!(at("PUT /v2/app/blobs/uploads/") < at("HEAD /v2/app/manifests/DIGEST"), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_ahead_that_is_judged_first() {
    let registry = Registry::start().await;
    let project = project(&[format!("{}/app", registry.name())], "scratch", PLAIN);
    let token = ["ghp_", "Zq3vKx9TbW2mLr8NdYc5HjPf7GsA4eUo1iXy"].concat();
    // Both layers: one without a finding may go while the other is judged.
    project.write("one", format!("token = {token}\n"));
    project.write("two", format!("other = {token}\n"));
    project.run(["push"]).fails(4);
    assert_eq!(registry.count("POST", ""), 0, "{:#?}", registry.told());
    assert!(registry.shelf("app").blobs.is_empty());
}

/// A relay to a registry that counts all bytes in both directions.
async fn relay(to: &Registry) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (name, port) = (listener.local_addr().unwrap().to_string(), to.port());
    let count: Arc<AtomicU64> = Arc::default();
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((ours, _)) = listener.accept().await {
            let theirs = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let ((a, b), (c, d)) = (ours.into_split(), theirs.into_split());
            for (mut from, mut to) in [(a, d), (c, b)] {
                let counted = counted.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(read @ 1..) = from.read(&mut buffer).await {
                        counted.fetch_add(read as u64, Ordering::SeqCst);
                        if to.write_all(&buffer[..read]).await.is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown().await;
                });
            }
        }
    });
    (name, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wire_carries_the_missing_blobs_and_less_than_20_kib_more() {
    let registry = Registry::start().await;
    let (name, count) = relay(&registry).await;
    let project = project(&[format!("{name}/app")], "scratch", PLAIN);
    let noise = |seed: u64| noise((3 << 20) + seed as usize);
    project.write("one", noise(1));
    project.write("two", noise(2));
    let sizes = || registry.shelf("app").blobs.values().map(|bytes| bytes.len() as u64).sum::<u64>();
    let mut before = 0;
    for (at, changed) in ["cold", "one layer", "nothing"].into_iter().enumerate() {
        if changed == "one layer" {
            project.write("two", noise(3));
        }
        count.store(0, Ordering::SeqCst);
        project.run(["push"]).success();
        let (wire, missing) = (count.load(Ordering::SeqCst), sizes() - before);
        assert!(wire >= missing && wire - missing < 20 << 10, "{changed}: {wire} bytes for {missing}");
        assert_eq!(missing > 3 << 20, at < 2, "{changed}: {missing}");
        before = sizes();
    }
}
