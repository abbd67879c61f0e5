//! Stage 10: what stands at each place of the command line today: images of the store, platforms, variables and pins of the manifest,
//! members of the workspace, rules. The words before the cursor in, a grammar that knows them out. May read manifests and the store's list.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, Command};
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};

use crate::cli::session::home;
use crate::event::Sink;
use crate::manifest::glance::{Glance, glance};
use crate::manifest::locate::locate;
use crate::manifest::rules;
use crate::manifest::workspace::workspace;
use crate::oci::platform::KNOWN;
use crate::store::{Memory, Store};

/// Hex digits of an image without a name.
const DIGITS: usize = 12;
/// What destinations begin with, or are.
const DESTINATIONS: [(&str, &str); 6] = [
    ("oci:", "an OCI layout"),
    ("oci-archive:", "the same as a file"),
    ("docker-archive:", "a file for `docker load`"),
    ("docker", "Docker's images"),
    ("podman", "Podman's images"),
    ("registry", "where `name` says"),
];

/// From where things are looked at.
#[derive(Clone, Debug)]
pub struct Sight {
    /// What `-f` says.
    file: PathBuf,
}

impl Sight {
    /// The sight of a line that begins with these words.
    pub fn of(words: &[OsString]) -> Sight {
        let mut file = PathBuf::from(".");
        for (at, word) in words.iter().enumerate() {
            let word = word.to_string_lossy();
            let joined =
                word.strip_prefix("--file=").or_else(|| word.strip_prefix("-f").filter(|rest| !rest.is_empty()));
            match joined {
                Some(path) => file = PathBuf::from(path),
                None if word == "-f" || word == "--file" => file = words.get(at + 1).map(PathBuf::from).unwrap_or(file),
                None => {}
            }
        }
        Sight { file }
    }

    fn manifest(&self) -> Glance {
        locate(&self.file).map(|location| glance(&location)).unwrap_or_default()
    }
}

/// The grammar with what may stand for its values.
pub fn attached(command: Command, sight: &Sight) -> Command {
    let name = command.get_name().to_string();
    let inner: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_string()).collect();
    let command = command.mut_args(|arg| offer(&name, arg, sight));
    inner.into_iter().fold(command, |command, name| command.mut_subcommand(name, |inner| attached(inner, sight)))
}

/// An argument with what may stand for it, by the command and by what its value is called.
fn offer(command: &str, arg: Arg, sight: &Sight) -> Arg {
    let value = arg.get_value_names().and_then(|names| names.first()).map(|name| name.to_string()).unwrap_or_default();
    let sight = sight.clone();
    let with =
        |arg: Arg, make: fn(&Sight) -> Vec<CompletionCandidate>| arg.add(ArgValueCandidates::new(move || make(&sight)));
    match (command, value.as_str()) {
        ("init", "REF" | "NAME" | "REPOSITORY") => arg,
        ("rm", "REF") => with(arg, |_| images(true)),
        (_, "REF" | "SRC" | "A" | "B") => arg.add(ArgValueCompleter::new(or_path(|| images(false)))),
        ("images", "NAME") => with(arg, |_| repositories(&Glance::default())),
        (_, "REPO" | "REPO:TAG") => with(arg, |sight| repositories(&sight.manifest())),
        ("update", "NAME") => with(arg, |sight| pins(&sight.manifest())),
        (_, "PLATFORM") => with(arg, |sight| platforms(&sight.manifest())),
        (_, "VAR=VALUE") => with(arg, |sight| variables(&sight.manifest())),
        (_, "CODE") => with(arg, |_| codes()),
        (_, "DEST") => with(arg, |_| DESTINATIONS.iter().map(|(value, about)| told(*value, *about)).collect()),
        (_, "PATH") | ("fmt", _) if arg.get_action().takes_values() => {
            arg.add(ArgValueCompleter::new(or_path(move || members(Path::new(".")))))
        }
        _ => arg,
    }
}

fn told(value: impl Into<OsString>, about: impl Into<String>) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(about.into().into()))
}

/// These values, and what lies in the directory where none of them fits.
fn or_path(values: impl Fn() -> Vec<CompletionCandidate> + Send + Sync + 'static) -> impl ValueCompleter + 'static {
    move |current: &OsStr| {
        let begun = current.to_string_lossy().into_owned();
        let fits = |value: &CompletionCandidate| value.get_value().to_string_lossy().starts_with(&begun);
        let fitting: Vec<CompletionCandidate> = values().into_iter().filter(fits).collect();
        match fitting.is_empty() {
            true => PathCompleter::any().complete(current),
            false => fitting,
        }
    }
}

/// The names of all images in the local store, and the beginnings of digests of those that have none.
fn stored() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut names, mut nameless) = (BTreeSet::new(), BTreeSet::new());
    let Ok(home) = home() else { return (names, nameless) };
    let nobody: Sink = Arc::new(|_| {});
    for image in Store::new(&home, Memory::Off, nobody).kept() {
        if image.references.is_empty() {
            nameless.extend(image.root.digest.hex().get(..DIGITS).map(str::to_string));
        }
        names.extend(image.references);
    }
    (names, nameless)
}

fn images(with_nameless: bool) -> Vec<CompletionCandidate> {
    let (names, nameless) = stored();
    let nameless = nameless.into_iter().filter(|_| with_nameless).map(|hex| told(hex, "has no name"));
    names.into_iter().map(CompletionCandidate::new).chain(nameless).collect()
}

/// Where the manifest is pushed, and where images of the store are from.
fn repositories(manifest: &Glance) -> Vec<CompletionCandidate> {
    let (names, _) = stored();
    let of = |name: &String| {
        let reference: crate::oci::Reference = name.parse().ok()?;
        Some(reference.repository.to_string())
    };
    let mut all: BTreeSet<String> = names.iter().filter_map(of).collect();
    all.extend(manifest.repositories.iter().cloned());
    all.into_iter().map(CompletionCandidate::new).collect()
}

fn pins(manifest: &Glance) -> Vec<CompletionCandidate> {
    let mut all = vec![told("base", "what the image stands on")];
    all.extend(manifest.packages.then(|| told("packages", "all packages")));
    all.extend(manifest.pinned.iter().map(CompletionCandidate::new));
    all
}

/// The platforms of the manifest, else all that are known.
fn platforms(manifest: &Glance) -> Vec<CompletionCandidate> {
    match manifest.platforms.is_empty() {
        true => KNOWN.iter().map(|(name, _)| CompletionCandidate::new(*name)).collect(),
        false => manifest.platforms.iter().map(CompletionCandidate::new).collect(),
    }
}

fn variables(manifest: &Glance) -> Vec<CompletionCandidate> {
    manifest.variables.iter().map(|name| CompletionCandidate::new(format!("{name}="))).collect()
}

fn codes() -> Vec<CompletionCandidate> {
    rules::all().map(|rule| told(rule.code, rule.about)).collect()
}

/// The directories of the members of the workspace whose root is here.
fn members(root: &Path) -> Vec<CompletionCandidate> {
    let members = workspace(root).ok().flatten().map(|workspace| workspace.members).unwrap_or_default();
    let directory = |file: PathBuf| {
        let directory = file.parent()?;
        let directory = directory.strip_prefix(".").unwrap_or(directory);
        (!directory.as_os_str().is_empty()).then(|| told(directory, "a member of the workspace"))
    };
    members.into_iter().filter_map(directory).collect()
}
