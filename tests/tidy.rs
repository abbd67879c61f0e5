//! Keeps the rules of `src/lib.rs`: direction, who touches the world, size, no leftovers, the map.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The stages in their order; what stands in one line may use each other only by being one stage.
const STAGES: [&str; 20] = [
    "error", "event", "oci", "versions", "facts", "manifest", "import", "plan", "store", "registry", "shared", "ctx",
    "source", "layer", "image", "trust", "ship", "build", "cli", "fuzzing",
];

/// The longest a file and a function may be, in lines.
const FILE: usize = 400;
const FUNCTION: usize = 60;

/// Who may touch what: a pattern, and the files and rooms that may hold it.
const WORLD: &[(&str, &[&str])] = &[
    (
        "fs::",
        &[
            "store/",
            "manifest/locate.rs",
            "manifest/read.rs",
            "manifest/workspace.rs",
            "layer/gather.rs",
            "layer/gather/walk.rs",
            "layer/read.rs",
            "source/",
            "ship/",
            "trust/keys/file.rs",
            "registry/",
            "shared/",
            "trust/root.rs",
            // A database of vulnerabilities is read where the user keeps it, and written by `update-db`.
            "trust/scan/database.rs",
            "trust/scan/state.rs",
            "trust/scan/update.rs",
            "cli/init/",
            "cli/ci.rs",
            // The directory of the manual pages is made.
            "cli/man.rs",
        ],
    ),
    (
        "File::open",
        &[
            "store/",
            "cli/init/beside.rs",
            "manifest/locate.rs",
            "layer/read.rs",
            "source/",
            "ship/",
            "registry/",
            "shared/folder.rs",
            "trust/root.rs",
            "trust/scan/database.rs",
            "trust/scan/state.rs",
            "trust/scan/update.rs",
        ],
    ),
    // `run` looks for an engine's program, and for what this machine can run.
    (
        "env::",
        &[
            "cli/session.rs",
            "cli/terminal.rs",
            "cli/local/run.rs",
            "ship/engine.rs",
            "ship/start.rs",
            "registry/",
            "main.rs",
        ],
    ),
    ("Command::new", &["ship/engine.rs", "ship/start.rs", "registry/program.rs"]),
    ("TcpStream", &[]),
    ("UnixStream", &[]),
    ("reqwest", &["registry/", "ship/engine.rs"]),
    ("SystemTime", &["store/", "registry/"]),
    ("Instant", &["registry/"]),
    // A scan writes no byte of an image, so it may know which day it is.
    ("Timestamp::now", &["registry/", "cli/scan/mod.rs"]),
    ("println!", &[]),
    ("eprintln!", &[]),
    ("print!", &[]),
    ("stdout()", &["cli/terminal.rs"]),
    ("stderr()", &["cli/terminal.rs"]),
    ("HashMap", &["registry/"]),
    ("HashSet", &["registry/"]),
];

/// What never lands, split so that this file does not hold it.
const LEFTOVERS: &[&[&str]] =
    &[&["to", "do!"], &["db", "g!("], &["unimple", "mented!"], &["TO", "DO"], &["FIX", "ME"], &["XX", "X"]];

struct Source {
    path: String,
    text: String,
}

fn sources(below: &str) -> Vec<Source> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        let mut entries: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(below);
    let mut found = Vec::new();
    walk(&root, &mut found);
    let read = |path: PathBuf| Source {
        path: path.strip_prefix(&root).unwrap().to_str().unwrap().to_string(),
        text: fs::read_to_string(&path).unwrap(),
    };
    found.into_iter().map(read).collect()
}

/// The text without the test module at its end, and without comments and doc comments.
fn code(source: &Source) -> String {
    let text = source.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

fn is_test(source: &Source) -> bool {
    let name = source.path.rsplit('/').next().unwrap();
    ["tests.rs", "golden.rs", "fixture.rs"].contains(&name) || source.path.contains("/tests/")
}

fn stage(path: &str) -> Option<usize> {
    let room = path.split('/').next().unwrap().trim_end_matches(".rs");
    STAGES.iter().position(|stage| *stage == room)
}

fn fail(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn a_stage_uses_only_what_stands_above_it() {
    let mut broken = Vec::new();
    for source in sources("src").iter().filter(|source| !is_test(source)) {
        let Some(own) = stage(&source.path) else { continue };
        for (at, line) in code(source).lines().enumerate() {
            for (start, _) in line.match_indices("crate::") {
                let rest = &line[start + "crate::".len()..];
                let used = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                match STAGES.iter().position(|stage| *stage == used) {
                    Some(used) if used <= own => {}
                    Some(_) => broken.push(format!("src/{}:{}: uses the later stage `{used}`", source.path, at + 1)),
                    None => broken.push(format!("src/{}:{}: `crate::{used}` is no stage", source.path, at + 1)),
                }
            }
            if line.contains("super::*") || line.contains("::*;") && line.trim_start().starts_with("use ") {
                broken.push(format!("src/{}:{}: imports are by name", source.path, at + 1));
            }
        }
    }
    fail(broken);
}

#[test]
fn only_named_files_touch_the_world() {
    let mut broken = Vec::new();
    for source in sources("src").iter().filter(|source| !is_test(source)) {
        for (at, line) in code(source).lines().enumerate() {
            for (pattern, allowed) in WORLD {
                let may = allowed
                    .iter()
                    .any(|room| source.path == *room || room.ends_with('/') && source.path.starts_with(room));
                let word = line.match_indices(pattern).any(|(start, _)| {
                    !line[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_')
                });
                if word && !may {
                    broken.push(format!("src/{}:{}: `{pattern}` is not for this room", source.path, at + 1));
                }
            }
        }
    }
    fail(broken);
}

#[test]
fn files_and_functions_stay_small() {
    let mut broken = Vec::new();
    for source in sources("src") {
        let lines: Vec<&str> = source.text.lines().collect();
        if lines.len() >= FILE {
            broken.push(format!("src/{}: {} lines; make it a folder", source.path, lines.len()));
        }
        let mut start: Option<(usize, usize)> = None;
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(super) ");
            let head = head.trim_start_matches("pub(crate) ").trim_start_matches("async ").trim_start_matches("const ");
            if start.is_none() && head.starts_with("fn ") && !line.trim_end().ends_with(['}', ';']) {
                start = Some((at, indent));
            }
            if let Some((first, outer)) = start
                && line.trim_end() == format!("{}}}", " ".repeat(outer))
            {
                if at - first + 1 > FUNCTION {
                    broken.push(format!("src/{}:{}: a function of {} lines", source.path, first + 1, at - first + 1));
                }
                start = None;
            }
        }
    }
    fail(broken);
}

#[test]
fn nothing_is_left_over() {
    let mut broken = Vec::new();
    for below in ["src", "tests"] {
        for source in sources(below) {
            for (at, line) in source.text.lines().enumerate() {
                if LEFTOVERS.iter().any(|parts| line.contains(&parts.concat())) {
                    broken.push(format!("{below}/{}:{}: left over: {}", source.path, at + 1, line.trim()));
                }
                if line.trim() == format!("#[{}]", "ignore") {
                    broken.push(format!("{below}/{}:{}: a test is switched off without a reason", source.path, at + 1));
                }
            }
        }
    }
    fail(broken);
}

#[test]
fn each_file_says_its_stage_and_each_public_item_what_it_is() {
    let mut broken = Vec::new();
    for source in sources("src") {
        if !source.text.starts_with("//! ") {
            broken.push(format!("src/{}: the first line says what the file is", source.path));
        }
        if is_test(&source) {
            continue;
        }
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let item = line.trim_start();
            let public = [
                "pub fn ",
                "pub async fn ",
                "pub struct ",
                "pub enum ",
                "pub trait ",
                "pub const ",
                "pub static ",
                "pub type ",
            ];
            if !public.iter().any(|start| item.starts_with(start)) {
                continue;
            }
            let above = lines[..at].iter().rev().map(|line| line.trim_start());
            let documented = above
                .take_while(|line| {
                    line.starts_with("///")
                        || line.starts_with("#[")
                        || line.starts_with(')')
                        || line.starts_with("Args")
                })
                .any(|line| line.starts_with("///"));
            if !documented {
                broken.push(format!("src/{}:{}: a public item without a sentence: {item}", source.path, at + 1));
            }
        }
    }
    fail(broken);
}

#[test]
fn the_map_names_every_room() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let mut rooms: BTreeMap<String, bool> = BTreeMap::new();
    for source in sources("src") {
        let room = source.path.split('/').next().unwrap().trim_end_matches(".rs").to_string();
        if !["lib", "main"].contains(&room.as_str()) {
            rooms.entry(room).or_default();
        }
    }
    for room in rooms.keys() {
        assert!(map.contains(&format!("[`{room}`]")), "src/lib.rs does not name the room `{room}`");
        assert!(STAGES.contains(&room.as_str()), "tests/tidy.rs does not know the stage `{room}`");
    }
}

#[test]
fn ctx_holds_five_things_at_most() {
    let ctx = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ctx.rs")).unwrap();
    let body = ctx.split("pub struct Ctx {").nth(1).unwrap().split("\n}").next().unwrap();
    assert!(body.lines().filter(|line| line.trim_start().starts_with("pub ")).count() <= 5);
}
