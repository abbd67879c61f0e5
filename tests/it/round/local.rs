//! `images`, `rm` and `prune`: the local store, alone and beside builds (check STA-07).

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::project::{Project, names};
use crate::support::{Base, file, manifest, scratch};

/// An image of this name that holds this text.
fn named(project: &Project, path: &str, name: &str, text: &str) -> String {
    let name = if name.is_empty() { String::new() } else { format!("name = \"{name}\"\n") };
    let tags = "[tags]\nfixed = [\"1\"]\n";
    let tags = if name.is_empty() { "" } else { tags };
    let item = format!("[[file]]\ndest = \"/x\"\ncontent = \"{text}\"\n");
    project.write(&format!("{path}/image.toml"), scratch(&format!("{name}created = \"fixed\"\n{item}{tags}")));
    project.run(["-f", path, "build"]).success().digest()
}

/// Makes everything in the store look as if it was used so long ago.
fn age(directory: &Path, days: u64) {
    for name in names(directory) {
        let path = directory.join(name);
        match fs::symlink_metadata(&path) {
            Ok(facts) if facts.is_dir() => age(&path, days),
            Ok(_) => {
                let long_ago = SystemTime::now() - Duration::from_secs(days * 86_400);
                // Somebody may have removed it meanwhile.
                let _ = File::options().write(true).open(&path).and_then(|file| file.set_modified(long_ago));
            }
            Err(_) => {}
        }
    }
}

#[test]
fn images_are_listed_as_text_and_as_json() {
    let project = Project::new();
    assert_eq!(project.run(["images"]).success().stdout, "NAME  TAG  DIGEST  PLATFORMS  SIZE  CREATED\n");
    let api = named(&project, "api", "r.test/acme/api", "api");
    let web = named(&project, "web", "", "web");
    let text = project.run(["images"]).success().stdout;
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "TAG", "DIGEST", "PLATFORMS", "SIZE", "CREATED"]);
    let short = |digest: &str| digest[7..19].to_string();
    assert_eq!(lines[1][..4], ["-", "-", &short(&web), "linux/amd64"]);
    assert_eq!(lines[2][..4], ["r.test/acme/api", "1", &short(&api), "linux/amd64"]);
    assert_eq!(*lines[2].last().unwrap(), "1980-01-01T00:00:00Z");
    let listed = project.run(["--format", "json", "images", "r.test/acme/api"]).success().json();
    assert_eq!(listed["images"].as_array().unwrap().len(), 1);
    let one = &listed["images"][0];
    assert_eq!((&one["digest"], &one["references"]), (&json!(api), &json!(["r.test/acme/api:1"])));
    let size = one["size"].as_u64().unwrap();
    project.run(["-f", "api", "build", "-o", "oci:out"]).success();
    let blobs = project.path("out/blobs/sha256");
    let total: u64 = names(&blobs).iter().map(|name| fs::metadata(blobs.join(name)).unwrap().len()).sum();
    assert_eq!(size, total, "all of it once");
}

#[test]
fn an_image_whose_parts_are_gone_is_listed_as_such() {
    let project = Project::new();
    let digest = named(&project, "api", "r.test/acme/api", "api");
    fs::remove_file(project.store().join("blobs/sha256").join(&digest[7..])).unwrap();
    assert!(project.run(["images"]).success().stdout.contains("incomplete"));
}

#[test]
fn rm_takes_names_away_and_with_the_last_one_the_image() {
    let project = Project::new();
    let api = named(&project, "api", "r.test/acme/api", "same");
    let other = named(&project, "other", "r.test/acme/other", "other");
    // The same bytes under one more name.
    named(&project, "twin", "r.test/acme/twin", "same");
    let blobs = project.store().join("blobs/sha256");
    let before = names(&blobs).len();
    assert_eq!(project.run(["rm", "r.test/acme/twin"]).success().stdout, "untagged r.test/acme/twin:1\n");
    assert_eq!(names(&blobs).len(), before);
    let done = project.run(["rm", "r.test/acme/api:1"]).success();
    assert_eq!(done.stdout, format!("untagged r.test/acme/api:1\nremoved {api}\n"));
    assert!(names(&blobs).len() < before && !blobs.join(&api[7..]).exists());
    assert!(blobs.join(&other[7..]).exists(), "what others need stays");
    project.run(["pull", &other, "-o", "oci:out"]).success();
    let done = project.run(["--format", "json", "rm", &other[7..13]]).success().json();
    assert_eq!(done["removed"], json!([other]));
    assert_eq!(names(&blobs), Vec::<String>::new());
}

#[test]
fn rm_tells_all_it_does_not_know_and_removes_nothing_then() {
    let project = Project::new();
    let api = named(&project, "api", "r.test/acme/api", "api");
    let done = project.run(["rm", "r.test/acme/apu:1", "r.test/acme/api:1", "nothing"]).fails(2);
    assert!(done.stderr.contains("did you mean `r.test/acme/api:1`?"), "{}", done.stderr);
    assert!(done.stderr.contains("holds no image `nothing`") && done.stderr.contains("2 problems"), "{}", done.stderr);
    project.run(["inspect", &api]).success();
}

#[test]
fn prune_goes_by_use_age_and_size() {
    let project = Project::new();
    let api = named(&project, "api", "r.test/acme/api", "api");
    let nameless = named(&project, "web", "", "web");
    let blobs = project.store().join("blobs/sha256");
    let all = names(&blobs);
    // Young things stay where an age is asked for, and a dry run removes nothing.
    assert!(project.run(["prune", "--older-than", "1d"]).success().stdout.starts_with("freed 0 B: 0 images, 0 blobs"));
    let dry = project.run(["prune", "--dry-run"]).success().stdout;
    assert!(dry.starts_with(&format!("would remove {nameless}\nwould free ")), "{dry}");
    assert_eq!(names(&blobs), all);
    let done = project.run(["--format", "json", "prune"]).success().json();
    assert_eq!(done["images"], json!([{"digest": nameless, "references": []}]));
    assert!(done["freed"].as_u64().unwrap() > 0);
    project.run(["pull", &api, "-o", "oci:out"]).success();
    project.layout("out");
    age(&project.store(), 10);
    let left = project.run(["--format", "json", "prune", "--all", "--older-than", "2w"]).success().json();
    assert_eq!(left["images"], json!([]));
    // With room for all of it nothing goes; with none everything.
    project.run(["prune", "--all", "--keep-size", "1GiB"]).success();
    project.run(["inspect", &api]).success();
    let done = project.run(["prune", "--all", "--keep-size", "0"]).success().stdout;
    assert!(done.contains("1 image,") && done.ends_with("0 B left\n"), "{done}");
    assert_eq!(names(&blobs), Vec::<String>::new());
    assert_eq!(named(&project, "api", "r.test/acme/api", "api"), api, "and it is built again as it was");
}

#[test]
fn prune_keeps_what_is_used_and_forgets_what_killed_processes_left() {
    let project = Project::new();
    let api = named(&project, "api", "r.test/acme/api", "api");
    age(&project.store(), 10);
    // Opening an image counts as using it.
    project.run(["pull", &api, "-o", "oci:out"]).success();
    project.run(["prune", "--all", "--older-than", "1d"]).success();
    project.run(["inspect", &api]).success();
    let using = project.store().join("using");
    fs::create_dir_all(&using).unwrap();
    fs::write(using.join("at-killed"), "").unwrap();
    project.run(["prune"]).success();
    assert_eq!(names(&using), Vec::<String>::new());
}

#[test]
fn sta_07_prune_in_a_loop_beside_builds_harms_none_of_them() {
    let project = Project::new().file("tree/a", "a".repeat(50_000)).file("tree/b", "b");
    let base = Base::debian().layer([file("etc/upper", "u")]).write(&project, "base");
    for (name, dest) in [("one", "/lib/tree"), ("two", "/lib/other")] {
        let rest = format!("created = \"fixed\"\n[[file]]\nsrc = \"../tree\"\ndest = \"{dest}\"\n");
        let base = base.replacen("base", "../base", 1);
        project.write(&format!("{name}/image.toml"), manifest(&base, &rest));
    }
    fs::create_dir(project.path(".git")).unwrap();
    let plain = ["one", "two"]
        .map(|name| project.run(["-f", name, "build", "-o", &format!("oci:plain-{name}")]).success().digest());
    let over = AtomicBool::new(false);
    let pruned = thread::scope(|scope| {
        let pruning = scope.spawn(|| {
            let mut pruned = 0;
            while !over.load(Ordering::SeqCst) {
                let done = project.run(["--format", "json", "prune", "--all"]).success().json();
                pruned += done["blobs"].as_array().unwrap().len();
            }
            pruned
        });
        for round in 0..20 {
            // Everything looks old, so that only what the builds say of themselves keeps it.
            age(&project.store().join("blobs"), 1);
            age(&project.store().join("images"), 1);
            let out = |name: &str| format!("oci-archive:{name}-{}.tar", round % 2);
            let running: Vec<_> = ["one", "two"]
                .map(|name| project.run(["-f", name, "build", "-o", &out(name)]).start())
                .into_iter()
                .collect();
            for (one, plain) in running.into_iter().zip(&plain) {
                assert_eq!(&one.ends().expect(0).digest(), plain, "round {round}");
            }
        }
        over.store(true, Ordering::SeqCst);
        pruning.join().unwrap()
    });
    assert!(pruned > 0, "it did remove something");
    for (name, plain) in ["one", "two"].iter().zip(&plain) {
        assert_eq!(&project.run(["copy", &format!("oci-archive:{name}-0.tar"), "oci:again"]).success().digest(), plain);
    }
}
