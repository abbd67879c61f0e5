//! Stage 8: the rules on the programs of an image: whether they would start. What is known of an image in, what was found out. Pure.
//!
//! What the manifest names itself (a `[[binary]]`, one file of a `[[file]]`, the entrypoint) is denied. What came along (in a copied
//! directory all but programs; in archives, packages, other images and the base all) is told of, many of one kind in one finding.
//! Of the base those programs count that its `PATH` leads to.

mod account;
mod file;
mod start;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use self::account::Account;
use super::view::View as Paths;
use super::{Found, Seen, Subject};
use crate::error::{Place, printable};
use crate::facts::programs::{Search, View};
use crate::image::settings;
use crate::layer::tree::{Body, Content, Entry};
use crate::layer::{Merged, What as Kind};
use crate::manifest::rules::{LINK, Rule, WRONG_MACHINE};
use crate::manifest::{Item, Source, What};
use crate::oci::Config;

/// Where programs are looked for in an image that does not say so, as engines do.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How many files a finding on many names.
const NAMED: usize = 3;

/// One image that is judged.
struct Room<'a> {
    image: &'a Seen<'a>,
    files: &'a Merged<'a>,
    search: &'a Search<'a>,
    config: &'a Config,
}

/// A file, and who put it there.
struct File {
    /// Its real path.
    path: String,
    /// As the manifest's author knows it.
    shown: String,
    /// Where that is said.
    place: Place,
    origin: Origin,
    /// Whether it brings libraries along.
    brings: bool,
}

/// How much the manifest has to do with a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It names this one file as a program.
    Program,
    /// It names this one file.
    Named,
    /// It names the directory that the file is copied from.
    Within,
    /// It came along with something else.
    Foreign,
}

/// Something that is wrong with a file.
struct Fault {
    rule: &'static Rule,
    path: Option<String>,
    what: String,
    help: Vec<String>,
    place: Place,
    related: Option<(Place, String)>,
    /// Whether it is only told of.
    foreign: bool,
    /// Whether it stands for all files of its kind.
    many: bool,
}

impl Fault {
    fn new(rule: &'static Rule, file: &File, what: String, help: Vec<String>) -> Fault {
        Fault {
            rule,
            path: Some(file.path.clone()),
            what,
            help,
            place: file.place.clone(),
            related: None,
            foreign: file.origin == Origin::Foreign,
            many: matches!(file.origin, Origin::Within | Origin::Foreign),
        }
    }
}

/// Whether the programs of an image would start.
pub(super) fn judge(subject: &Subject<'_>, paths: &Paths<'_>) -> Vec<Found> {
    let image = &paths.image;
    let unread = image.index.is_empty() && !image.base.manifest.layers.is_empty();
    if image.plan.platform.os != "linux" || unread {
        return Vec::new();
    }
    let files = Merged::new(image.trees, image.index, image.natures);
    let config = settings(&image.base.image, image.plan, image.user);
    let search = Search::new(&files, &config.env, &config.working_dir);
    let room = Room { image, files: &files, search: &search, config: &config };
    let (started, mut faults) = start::judge(&room);
    for (path, entry) in image.trees.iter().flatten() {
        if let Body::File(content) = &entry.body
            && started.as_deref() != Some(path)
        {
            faults.extend(own(&room, path, entry, content, false));
        }
    }
    faults.extend(commands(&room, started.as_deref()));
    faults.extend(start::health(&room));
    let several = subject.plan.images.len() > 1;
    let platform = |rule: &Rule| {
        let named = several || rule.code == WRONG_MACHINE.code;
        if named { format!("{}: ", image.plan.platform) } else { String::new() }
    };
    grouped(subject, faults).into_iter().map(|(fault, more)| found(fault, &more, &platform)).collect()
}

/// The faults of one of the image's own files; `started` says that the image starts it.
fn own(room: &Room<'_>, path: &str, entry: &Entry, content: &Content, started: bool) -> Vec<Fault> {
    let Some(item) = room.image.plan.items.get(entry.item as usize) else { return Vec::new() };
    let nature = room.image.natures.files.get(path);
    // Data, as most files are.
    if nature.is_none() && !matches!(item.what, What::Binary { .. }) {
        return Vec::new();
    }
    let whole = |origin: Origin, source: &Source| File {
        path: path.to_string(),
        shown: printable(&source.written),
        place: source.place.clone(),
        origin,
        brings: brings(room, source),
    };
    let file = match (&item.what, content) {
        (What::Binary { source, .. }, _) => whole(Origin::Program, source),
        (What::Copy(copy), Content::Disk(disk)) => match disk.below() {
            None => whole(Origin::Named, &copy.source),
            Some(below) => {
                let shown = format!("{}/{}", printable(copy.source.written.trim_end_matches('/')), printable(below));
                File { shown, ..whole(Origin::Within, &copy.source) }
            }
        },
        (What::Template(template), _) => whole(Origin::Named, &template.source),
        (What::Inline(_), _) => File { place: item.place.clone(), ..base_file(room, path, Origin::Named) },
        _ => File { place: item.place.clone(), ..base_file(room, path, Origin::Foreign) },
    };
    let file = if started { File { origin: Origin::Program, ..file } } else { file };
    let mut faults: Vec<Fault> = Vec::new();
    if let What::Binary { link, .. } = &item.what {
        faults.extend(words::link(*link, nature).map(|(what, help)| {
            let what = format!("`{}` {what}", file.shown);
            Fault::new(&LINK, &file, what, vec![help.to_string()])
        }));
    }
    if let Some(nature) = nature {
        faults.extend(file::faults(room, &file, nature));
    }
    faults
}

/// A file by its path in the image.
fn base_file(room: &Room<'_>, path: &str, origin: Origin) -> File {
    let place = room.image.plan.base.1.clone();
    File { path: path.to_string(), shown: format!("/{}", printable(path)), place, origin, brings: false }
}

/// Whether a program brings its libraries along.
fn brings(room: &Room<'_>, program: &Source) -> bool {
    let of = |item: &Item| matches!(&item.what, What::Libraries(wanted) if wanted.program.place == program.place);
    room.image.plan.items.iter().any(of)
}

/// The faults of the base's programs that `PATH` leads to.
fn commands(room: &Room<'_>, started: Option<&str>) -> Vec<Fault> {
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for directory in directories(room.config) {
        for name in room.files.names(directory) {
            let Some(real) = room.files.file(&format!("{directory}/{name}")) else { continue };
            let startable =
                |real: &str| room.files.at(real).is_some_and(|it| it.item.is_none() && it.mode & 0o111 != 0);
            if started == Some(&real) || !startable(&real) || !seen.insert(real.clone()) {
                continue;
            }
            let file = base_file(room, &real, Origin::Foreign);
            faults.extend(room.files.nature(&real).map(|nature| file::faults(room, &file, nature)).unwrap_or_default());
        }
    }
    faults
}

/// The directories of `PATH`.
fn directories(config: &Config) -> impl Iterator<Item = &str> {
    let path = config.env.iter().rev().find_map(|pair| pair.strip_prefix("PATH="));
    path.unwrap_or(PATH).split(':').filter(|directory| directory.starts_with('/'))
}

/// The path of a program that is looked for by its name, if `account` may execute one; `None` counts everybody's permissions.
fn on_path(room: &Room<'_>, name: &str, account: Option<&Account>) -> Option<String> {
    directories(room.config).map(|directory| format!("{directory}/{name}")).find(|path| {
        let thing = room.files.file(path).and_then(|real| room.files.at(&real));
        thing.is_some_and(|thing| {
            thing.what == Kind::File && account.map_or(thing.mode & 0o111 != 0, |account| account.may_execute(&thing))
        })
    })
}

/// Puts the faults of one kind together, where one finding is enough for them and the manifest weighs them alike.
fn grouped(subject: &Subject<'_>, faults: Vec<Fault>) -> Vec<(Fault, Vec<String>)> {
    let mut groups: Vec<(Fault, Vec<String>)> = Vec::new();
    let mut known: BTreeMap<_, usize> = BTreeMap::new();
    for fault in faults {
        let ruling = subject.plan.checks.ruling(fault.rule, fault.path.as_deref());
        let key =
            (fault.rule.code, fault.place.span.start, fault.foreign, ruling.map(|ruling| ruling.place.span.start));
        match known.get(&key).and_then(|at| groups.get_mut(*at)).filter(|_| fault.many) {
            // A program may be wrong in several ways of one kind.
            Some((first, _)) if first.path == fault.path => {}
            Some((_, more)) => {
                let path = fault.path.unwrap_or_default();
                if more.last() != Some(&path) {
                    more.push(path);
                }
            }
            None => {
                if fault.many {
                    known.insert(key, groups.len());
                }
                groups.push((fault, Vec::new()));
            }
        }
    }
    groups
}

fn found(fault: Fault, more: &[String], platform: &dyn Fn(&Rule) -> String) -> Found {
    let Fault { rule, path, what, help, place, related, foreign, .. } = fault;
    let mut message = format!("{}{what}", platform(rule));
    if !more.is_empty() {
        let names: Vec<String> = more.iter().take(NAMED).map(|path| format!("`/{}`", printable(path))).collect();
        let rest = more.len().saturating_sub(NAMED);
        let rest = if rest == 0 { String::new() } else { format!(" and {rest} more") };
        message += &format!("; the same goes for {}{rest}", names.join(", "));
    }
    let mut finding = rule.finding(message).at(&place, "");
    if let Some((place, label)) = related {
        finding = finding.and(&place, label);
    }
    finding.help.extend(help);
    Found { path, foreign, ..Found::new(rule, finding) }
}
