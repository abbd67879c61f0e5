//! The shared cache where it really lies: a repository of docker-registry, and a bucket of a server that speaks S3.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::peers::{Server, cache, done, peer, registry, said, serve};
use crate::project::{Project, digest, noise};

const ARCHIVE: &str = "large.tar";

/// A server that speaks S3, with one bucket.
fn buckets() -> Server {
    let program = cache().join("buckets/bin/moto_server");
    assert!(program.is_file(), "the peer `moto_server` is missing; run `bash .ci/peers`");
    let server = serve("moto_server", |host, _| {
        let (address, port) = host.split_once(':').unwrap();
        let mut command = Command::new(&program);
        command.args(["-H", address, "-p", port]);
        command
    });
    done(peer("curl").args(["-sS", "--fail", "-X", "PUT", &format!("http://{}/blobs", server.host)]));
    server
}

/// A web server with an archive of 20 MiB, which an upload to a bucket takes in parts, and the archive's digest.
fn archive() -> (Server, String) {
    let from = Project::new("[image]\nbase = \"scratch\"\n").file("tree/noise", noise(20 << 20, 3));
    let server = serve("python3", |host, room| {
        let port = host.split_once(':').unwrap().1;
        done(peer("tar").args(["-C"]).arg(from.app()).arg("-cf").arg(room.join(ARCHIVE)).arg("tree"));
        let mut command = peer("python3");
        command.current_dir(room).args(["-m", "http.server", "--bind", "127.0.0.1", port]);
        command
    });
    let sum = done(peer("sha256sum").arg(server.log().with_file_name(ARCHIVE)));
    (server, sum.split(' ').next().unwrap().to_string())
}

/// Builds on a machine of its own with this cache.
fn build(manifest: &str, variables: &[(&str, &str)]) -> String {
    let project = Project::new(manifest);
    let mut command = project.command(&["build"]);
    digest(&command.envs(variables.iter().copied()).output().unwrap())
}

/// One machine fetches, the other one finds all of it in the cache after its origin has gone.
fn passed_on(variables: &[(&str, &str)]) {
    let base = registry(None);
    let given =
        Project::new("[image]\nbase = \"scratch\"\n[[file]]\nsrc = \"of\"\ndest = \"/of\"\n").file("of", "the base\n");
    let name = format!("{}/base:1", base.host);
    let (layout, pinned) = given.layout("base");
    let copied = given.run(&["copy", &format!("oci:{}", layout.display()), &name]);
    assert!(copied.status.success(), "{}", said(&copied));
    let (web, sum) = archive();
    let manifest = format!(
        "[image]\nbase = \"{name}@{pinned}\"\n[[archive]]\nurl = \"http://{}/{ARCHIVE}\"\nsha256 = \"{sum}\"\ndest = \"/a\"\n",
        web.host
    );
    let right = build(&manifest, variables);
    // The archive's origin goes away; the base's layers vanish from its registry, its documents stay.
    drop(web);
    let blobs = base.data().join("blobs/sha256");
    let large = |path: &Path| fs::read(path).unwrap().starts_with(&[0x1f, 0x8b]);
    let layers = fs::read_dir(&blobs).unwrap().flat_map(|room| fs::read_dir(room.unwrap().path()).unwrap());
    let layers = layers.map(|entry| entry.unwrap().path().join("data")).filter(|path| large(path));
    let gone = layers.map(|path| fs::remove_file(path).unwrap()).count();
    assert_eq!(gone, 1);
    assert_eq!(build(&manifest, variables), right);
}

#[test]
fn a_repository_of_docker_registry_passes_blobs_on() {
    let cache = registry(None);
    passed_on(&[("STILLFRAME_SHARED_CACHE", &format!("oci://{}/team/cache", cache.host))]);
}

#[test]
fn a_bucket_passes_blobs_on() {
    let server = buckets();
    passed_on(&[
        ("STILLFRAME_SHARED_CACHE", "s3://blobs/team"),
        ("AWS_ENDPOINT_URL", &format!("http://{}", server.host)),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
    ]);
}
