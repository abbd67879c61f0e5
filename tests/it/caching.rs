//! Nothing twice: what is remembered saves work and changes no byte, whatever became of it (`docs/caching.md`).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop};
use proptest::{prop_assert_eq, prop_oneof, proptest};

use super::registry::Registry;
use super::support::project::{Done, names};
use super::support::{Project, rooted, scratch};

/// Longer than the grain of a file's times, so that what was written before is old enough to be remembered.
const GRAIN: Duration = Duration::from_millis(60);

const TREE: &str = "[[file]]\nsrc = \"tree\"\ndest = \"/t\"\n[[binary]]\nsrc = \"app\"\ndest = \"/app\"\n";

fn project() -> Project {
    let project = Project::of(&rooted(&scratch(TREE))).file("app", "no program, but long enough to be one");
    let project = (0..40).fold(project, |project, at| project.file(&format!("tree/{at}"), format!("content {at:04}")));
    sleep(GRAIN);
    project
}

/// What a build read and packed: `read 1 packed 0`, and its digest.
fn work(project: &Project, words: &[&str]) -> (String, String) {
    let done = project.run(["-v"].iter().chain(words)).success();
    (told(&done), done.digest())
}

fn told(done: &Done) -> String {
    let lines = || done.stderr.lines().map(str::trim);
    let read = lines().find_map(|line| line.split_once(" contents read, ")).map_or("?", |(count, _)| count);
    let packed = lines().filter(|line| line.starts_with("layer ") && line.contains(": packed, ")).count();
    format!("read {read} packed {packed}")
}

/// The digest of the same files, made by a program that remembers nothing.
fn fresh(project: &Project) -> String {
    let run = project.run(["--no-cache", "build"]).env("STILLFRAME_HOME", project.path("another-store"));
    let digest = run.success().digest();
    fs::remove_dir_all(project.path("another-store")).unwrap();
    digest
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for name in names(directory) {
        let path = directory.join(name);
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn a_build_without_a_change_reads_and_packs_nothing() {
    let project = project();
    for words in [&["build"][..], &["build", "-o", "oci:out"]] {
        let (first, digest) = work(&project, words);
        assert!(["read 41 packed 2", "read 0 packed 0"].contains(&first.as_str()), "{first}");
        sleep(GRAIN);
        assert_eq!(work(&project, words), ("read 0 packed 0".to_string(), digest.clone()));
        let looks = |project: &Project| -> Vec<_> {
            // The times of marks and memos tell when something was last used.
            let blobs = project.store().join("blobs");
            let files = files(&blobs).into_iter().chain(files(&project.path("app-none")));
            files.map(|path| (path.metadata().unwrap().modified().unwrap(), path)).collect()
        };
        fs::create_dir_all(project.path("app-none")).unwrap();
        // Once its blobs are old enough to be remembered as right, a build writes nothing either.
        work(&project, words);
        let before = looks(&project);
        assert_eq!(work(&project, words), ("read 0 packed 0".to_string(), digest));
        assert_eq!(looks(&project), before, "nothing is written");
    }
    assert_eq!(work(&project, &["--paranoid", "build"]).0, "read 41 packed 0");
    assert_eq!(work(&project, &["--no-cache", "build"]).0, "read 41 packed 2");
}

#[test]
fn only_what_changed_is_read() {
    let project = project();
    let (_, digest) = work(&project, &["build"]);
    let file = || File::options().write(true).open(project.path("tree/7")).unwrap();
    file().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    sleep(GRAIN);
    assert_eq!(work(&project, &["build"]), ("read 1 packed 0".to_string(), digest.clone()), "touched");
    project.write("tree/7", "content 7777");
    sleep(GRAIN);
    let (told, other) = work(&project, &["build"]);
    assert_eq!(told, "read 41 packed 1", "one of 40 is read to see that it is another; then its layer is packed");
    assert_eq!(other, fresh(&project));
    project.write("tree/7", "content 0007");
    sleep(GRAIN);
    assert_eq!(work(&project, &["build"]), ("read 1 packed 0".to_string(), digest), "as it was before");
}

#[test]
fn a_change_that_hides_is_seen() {
    let project = project();
    project.run(["build"]).success();
    let at = project.path("tree/1").metadata().unwrap().modified().unwrap();
    project.write("tree/1", "CONTENT 0001");
    File::options().write(true).open(project.path("tree/1")).unwrap().set_modified(at).unwrap();
    assert_eq!(project.run(["build"]).success().digest(), fresh(&project), "other bytes, the same size and time");
    fs::rename(project.path("tree/2"), project.path("aside")).unwrap();
    fs::rename(project.path("tree/3"), project.path("tree/2")).unwrap();
    fs::rename(project.path("aside"), project.path("tree/3")).unwrap();
    assert_eq!(project.run(["build"]).success().digest(), fresh(&project), "two files changed places");
    fs::remove_file(project.path("tree/4")).unwrap();
    fs::hard_link(project.path("tree/5"), project.path("tree/4")).unwrap();
    assert_eq!(project.run(["build"]).success().digest(), fresh(&project), "a hard link");
    fs::write(project.path("tree/4"), "CONTENT 0005").unwrap();
    assert_eq!(project.run(["build"]).success().digest(), fresh(&project), "both names of a file");
    for round in 0..20 {
        project.write("tree/6", format!("content {round:04}"));
        assert_eq!(project.run(["build"]).success().digest(), fresh(&project), "written just before, {round}");
    }
}

#[test]
fn what_layers_say_is_remembered_with_them() {
    let token = format!("{}{}", "ghp_", "Zq3vKx9TbW2mLr8NdYc5HjPf7GsA4eUo1iXy");
    let project = Project::of(&rooted(&scratch(TREE))).file("app", "app").file("tree/a", format!("x\n{token}\n"));
    sleep(GRAIN);
    for words in [&["build"][..], &["build"], &["check"], &["check"], &["--paranoid", "build"]] {
        let done = project.run(words).fails(4);
        assert!(done.stderr.contains("`/t/a` holds a GitHub token, line 2"), "{words:?}: {}", done.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_holds_is_not_made_again() {
    let registry = Registry::start().await;
    let name = format!("name = \"{}/app\"\n", registry.name());
    let project = Project::of(&rooted(&scratch(&(name + TREE)))).file("app", "app").file("tree/a", "a");
    sleep(GRAIN);
    let (_, digest) = work(&project, &["push"]);
    sleep(GRAIN);
    let drop_blobs = || fs::remove_dir_all(project.store().join("blobs")).unwrap();
    drop_blobs();
    registry.forget();
    assert_eq!(work(&project, &["push"]), ("read 0 packed 0".to_string(), digest.clone()));
    assert_eq!((registry.count("POST", ""), registry.count("PUT", "")), (0, 0), "{:?}", registry.told());
    // It lost one: only that is made, and only then.
    let gone = registry.shelf("app").blobs.len();
    registry.set(|model| model.shelf("app").blobs.clear());
    registry.set(|model| model.shelf("app").manifests.clear());
    assert_eq!(work(&project, &["push"]).1, digest);
    assert_eq!(registry.shelf("app").blobs.len(), gone);
    drop_blobs();
    assert_eq!(project.run(["build", "-o", "oci:out"]).success().digest(), digest);
    project.layout("out");
}

#[test]
fn a_wrong_memory_is_told_of_and_forgotten() {
    let project = project();
    let digest = project.run(["build"]).success().digest();
    // The layers of two trees are remembered under each other's keys, as no program of ours would.
    let kind = project.store().join("memo/layers-1");
    let paths = files(&kind);
    assert_eq!(paths.len(), 2);
    fs::rename(&paths[0], project.path("aside")).unwrap();
    fs::rename(&paths[1], &paths[0]).unwrap();
    fs::rename(project.path("aside"), &paths[1]).unwrap();
    fs::remove_dir_all(project.store().join("blobs")).unwrap();
    let mut ends = Vec::new();
    for _ in 0..3 {
        let done = project.run(["build"]).ends();
        ends.push((done.code, done.code == Some(0) && done.digest() == digest));
    }
    assert!(ends.iter().all(|(code, right)| *right || *code == Some(5)), "{ends:?}");
    assert_eq!(ends.last(), Some(&(Some(0), true)), "{ends:?}");
}

/// How many blocks of how many were known.
fn blocks(done: &Done) -> (u64, u64) {
    let words = || done.stderr.split_whitespace();
    let numbers = words()
        .zip(words().skip(2))
        .zip(words().skip(3))
        .filter(|((_, of), what)| *what == "blocks" && of.parse::<u64>().is_ok());
    let numbers: Vec<_> = numbers.map(|((known, of), _)| (known.parse().unwrap(), of.parse().unwrap())).collect();
    numbers.first().copied().unwrap_or_default()
}

#[test]
fn what_changed_of_a_large_layer_is_made_anew_and_no_more() {
    let text = |at: u32| (0..9000).map(|line| format!("{at} {} {line}\n", at * line)).collect::<String>();
    let project = Project::of(&rooted(&scratch("[[file]]\nsrc = \"tree\"\ndest = \"/t\"\n")));
    let project = (10..50).fold(project, |project, at| project.file(&format!("tree/{at}"), text(at)));
    sleep(GRAIN);
    project.run(["build"]).success();
    let change = |path: &str, what: &str| {
        let mut bytes = fs::read(project.path(path)).unwrap();
        let middle = bytes.len() / 2;
        bytes.splice(middle..middle + what.len(), what.bytes());
        project.write(path, bytes);
        sleep(GRAIN);
    };
    let again = |words: &[&str]| {
        let done = project.run(["-v"].iter().chain(words)).success();
        assert_eq!(done.digest(), fresh(&project), "{words:?}");
        (told(&done), blocks(&done))
    };
    change("tree/40", "x");
    let (told, (known, of)) = again(&["build"]);
    assert!(of >= 5 && known == of - 2, "{known} of {of}: {told}");
    assert!(told.starts_with("read 1") && told.ends_with(" packed 1"), "not the 30 files before it: {told}");
    // As in a fresh checkout, where every file looks new.
    change("tree/20", "y");
    let (_, (known, of)) = again(&["--paranoid", "build"]);
    assert_eq!(known, of - 2);
    project.write("tree/41", "short now");
    project.write("tree/25a", "new");
    fs::remove_file(project.path("tree/12")).unwrap();
    sleep(GRAIN);
    let (_, (known, _)) = again(&["build"]);
    assert!(known > 0);
    // A bit of each blob is another one: nothing of that is used, or the block where it is is made anew.
    let blobs = || files(&project.store().join("blobs"));
    for round in 0..3 {
        for blob in blobs() {
            let mut bytes = fs::read(&blob).unwrap();
            let at = bytes.len() * round / 3;
            bytes[at] ^= 1;
            fs::write(&blob, bytes).unwrap();
        }
        change("tree/30", &round.to_string());
        again(&["build"]);
    }
    blobs().iter().for_each(|blob| fs::remove_file(blob).unwrap());
    change("tree/30", "-");
    assert_eq!(again(&["build"]).1, (0, 0));
    change("tree/30", "+");
    assert_eq!(again(&["--no-cache", "build"]).1, (0, 0));
}

/// Something that becomes of a store or of files between two builds.
#[derive(Clone, Debug)]
enum Event {
    Remove(usize),
    Flip(usize, usize),
    Cut(usize, usize),
    Write(u8, u8),
    Swap(u8, u8),
    Forget,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any::<usize>().prop_map(Event::Remove),
        any::<(usize, usize)>().prop_map(|(at, bit)| Event::Flip(at, bit)),
        any::<(usize, usize)>().prop_map(|(at, size)| Event::Cut(at, size)),
        any::<(u8, u8)>().prop_map(|(at, what)| Event::Write(at, what)),
        any::<(u8, u8)>().prop_map(|(one, other)| Event::Swap(one, other)),
        Just(Event::Forget),
    ]
}

fn happen(project: &Project, event: &Event) {
    let stored = files(&project.store());
    let pick = |at: usize| stored.get(at % stored.len().max(1));
    match event {
        Event::Remove(at) => pick(*at).into_iter().for_each(|path| fs::remove_file(path).unwrap()),
        Event::Flip(at, bit) => {
            let Some(path) = pick(*at) else { return };
            let mut bytes = fs::read(path).unwrap();
            let length = bytes.len();
            bytes.get_mut(bit / 8 % length.max(1)).into_iter().for_each(|byte| *byte ^= 1 << (bit % 8));
            fs::write(path, bytes).unwrap();
        }
        Event::Cut(at, size) => {
            let Some(path) = pick(*at) else { return };
            let file = File::options().write(true).open(path).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(*size as u64 % (length + 1)).unwrap();
        }
        Event::Write(at, what) => project.write(&format!("tree/{}", at % 40), format!("content {what:04}")),
        Event::Swap(one, other) => {
            let (one, other) =
                (project.path(&format!("tree/{}", one % 40)), project.path(&format!("tree/{}", other % 40)));
            fs::rename(&one, project.path("aside")).unwrap();
            if other.exists() {
                fs::rename(&other, &one).unwrap();
            }
            fs::rename(project.path("aside"), if one.exists() { &other } else { &one }).unwrap();
        }
        Event::Forget => fs::remove_dir_all(project.store()).unwrap_or_default(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_state_of_the_store_changes_a_byte(rounds in prop::collection::vec((prop::collection::vec(event(), 1..6), 1..65usize), 1..5)) {
        let project = project();
        project.run(["build"]).success();
        for (events, jobs) in rounds {
            events.iter().for_each(|event| happen(&project, event));
            let jobs = jobs.to_string();
            let built = project.run(["--jobs", &jobs, "build", "-o", "oci:out"]).success().digest();
            prop_assert_eq!(built, fresh(&project), "{:?}", events);
            project.layout("out");
        }
    }
}
