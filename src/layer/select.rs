//! Stage 6: what is taken of an archive, or of a directory of another image. Everything in it in, the chosen part with its new paths and
//! modes out; what cannot be taken goes into the report. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::{globs, stays_inside, unmatched};
use super::ignore::Globs;
use super::tree::Mode;
use crate::error::{Finding, Place, Report, printable};
use crate::manifest::Pick;

/// The mode of directories, where none is declared and none is kept.
const DIR_MODE: u16 = 0o755;
/// The mode of links.
const LINK_MODE: u16 = 0o777;
/// setuid and setgid, which are only made where a mode says so.
const SET_ID: u16 = 0o6000;

/// Something that may be taken.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Its path: relative, of plain parts.
    pub path: &'a str,
    /// What it is.
    pub kind: Kind<'a>,
    /// The permission bits that it has.
    pub mode: u16,
}

/// What is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and its target.
    Link(&'a str),
    /// What cannot be put into an image, in words.
    Odd(&'static str),
}

/// By which rules it is taken.
pub struct Rules<'a> {
    /// Where it is offered, for messages.
    pub from: &'a str,
    /// Where that stands in the manifest.
    pub place: &'a Place,
    /// What is asked for.
    pub pick: &'a Pick,
    /// How many leading parts of each path are dropped.
    pub strip: usize,
    /// The mode of files, if declared.
    pub mode: Option<u16>,
    /// Whether it is an image, whose modes are kept and whose links mean paths of an image; else it is an archive.
    pub image: bool,
}

/// Something that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its place among the offers.
    pub at: usize,
    /// Its path from the destination.
    pub path: String,
    /// The mode that it gets.
    pub mode: Mode,
}

/// Chooses among offers that are sorted by path, where each parent of a path is one of them. The same order comes out.
pub fn select(offers: &[Offer<'_>], rules: &Rules<'_>, report: &mut Report) -> Vec<Chosen> {
    let Some(globs) = globs(&rules.pick.include, &rules.pick.exclude, rules.place, report) else { return Vec::new() };
    let mut select = Select { offers, rules, report, taken: BTreeMap::new(), set_id: false };
    let matched = select.all(&globs);
    unmatched(&rules.pick.include, &matched, rules.from, select.report);
    if rules.pick.include.is_empty() && select.taken.is_empty() {
        let message = format!("there is nothing to take in `{}`", printable(rules.from));
        let label = if offers.is_empty() { "it is empty" } else { "all of it is excluded, or dropped by `strip`" };
        select.report.add(Finding::error("empty-source", message).at(rules.place, label));
    }
    let Select { taken, .. } = select;
    taken.into_iter().map(|(path, (at, mode))| Chosen { at, path, mode }).collect()
}

struct Select<'a, 'o> {
    offers: &'a [Offer<'o>],
    rules: &'a Rules<'a>,
    report: &'a mut Report,
    taken: BTreeMap<String, (usize, Mode)>,
    /// Whether setuid was told of.
    set_id: bool,
}

impl Select<'_, '_> {
    /// Goes through all offers; which of the `include`s matched something.
    fn all(&mut self, globs: &Globs) -> Vec<bool> {
        let mut matched = vec![false; self.rules.pick.include.len()];
        let mut left_out: BTreeSet<&str> = BTreeSet::new();
        let mut needed: BTreeSet<&str> = BTreeSet::new();
        let mut directories = Vec::new();
        for (at, offer) in self.offers.iter().enumerate() {
            let Some(path) = strip(offer.path, self.rules.strip) else { continue };
            let directory = offer.kind == Kind::Directory;
            if above(path).any(|above| left_out.contains(above)) || globs.excludes(path, directory) {
                if directory {
                    left_out.insert(path);
                }
                continue;
            }
            let mut wanted = !globs.chooses();
            for glob in globs.includes(path, directory) {
                wanted = true;
                matched.iter_mut().skip(glob).take(1).for_each(|it| *it = true);
            }
            match directory {
                true => directories.push((at, path, wanted)),
                false if wanted => {
                    if self.leaf(at, path) {
                        needed.extend(above(path));
                    }
                }
                false => {}
            }
        }
        let mode = |offer: &Offer<'_>, image: bool| if image { offer.mode & !SET_ID } else { DIR_MODE };
        for (at, path, _) in directories.into_iter().filter(|(_, path, wanted)| *wanted || needed.contains(path)) {
            let kept = mode(&self.offers[at], self.rules.image);
            self.take(at, path, Mode::Fixed(self.rules.pick.dir_mode.unwrap_or(kept)));
        }
        matched
    }

    /// Takes what is no directory, if it can be taken.
    fn leaf(&mut self, at: usize, path: &str) -> bool {
        let (offer, rules) = (self.offers[at], self.rules);
        let shown = || format!("`{}` in `{}`", printable(offer.path), printable(rules.from));
        let mode = match offer.kind {
            Kind::Link(target) if !rules.image && !stays_inside(path, target) => {
                let message = format!("the link {} leads out of the archive, to `{}`", shown(), printable(target));
                self.report.add(
                    Finding::error("link-outside", message)
                        .at(rules.place, "taken from here")
                        .help("leave it out with `exclude`, and declare it with `[[symlink]]` if the image needs it"),
                );
                return false;
            }
            Kind::Link(_) => Mode::Fixed(LINK_MODE),
            Kind::Odd(what) => {
                let finding = Finding::error("source", format!("{} is {what}, which cannot be taken", shown()));
                self.report.add(finding.at(rules.place, "taken from here").help("leave it out with `exclude`"));
                return false;
            }
            Kind::Directory => return false,
            Kind::File if !rules.image => rules.mode.map_or(Mode::ByContent, Mode::Fixed),
            Kind::File => {
                if offer.mode & SET_ID != 0 && rules.mode.is_none() && !self.set_id {
                    self.set_id = true;
                    let message = format!("{} is setuid or setgid there, and will not be", shown());
                    self.report.add(
                        Finding::warning("host-mode", message)
                            .at(rules.place, "")
                            .help("take it with an entry of its own and `mode = \"4755\"` if it must be"),
                    );
                }
                Mode::Fixed(rules.mode.unwrap_or(offer.mode & !SET_ID))
            }
        };
        self.take(at, path, mode);
        true
    }

    /// Takes something under its new path, which nothing else may have.
    fn take(&mut self, at: usize, path: &str, mode: Mode) {
        let Some((other, other_mode)) = self.taken.insert(path.to_string(), (at, mode)) else { return };
        let both = [at, other].map(|at| self.offers[at]);
        if both.iter().all(|offer| offer.kind == Kind::Directory) && mode == other_mode {
            return;
        }
        let [one, two] = both.map(|offer| printable(offer.path));
        let message = format!("`{two}` and `{one}` in `{}` become one path", printable(self.rules.from));
        self.report.add(
            Finding::error("conflict", message)
                .at(self.rules.place, format!("without their first {} parts", self.rules.strip))
                .help("leave one out with `exclude`, or strip less"),
        );
    }
}

/// A path without its first parts; none where nothing is left.
fn strip(path: &str, parts: usize) -> Option<&str> {
    (0..parts).try_fold(path, |path, _| path.split_once('/').map(|(_, rest)| rest))
}

/// The directories above a path, the nearest first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(path.rsplit_once('/'), |(above, _)| above.rsplit_once('/')).map(|(above, _)| above)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Text;

    fn place() -> Place {
        Place { text: Arc::new(Text { path: "image.toml".into(), text: String::new() }), span: 0..0 }
    }

    const OFFERS: [Offer<'_>; 9] = [
        Offer { path: "top", kind: Kind::Directory, mode: 0o2775 },
        Offer { path: "top/bin", kind: Kind::Directory, mode: 0o1777 },
        Offer { path: "top/bin/su", kind: Kind::File, mode: 0o4755 },
        Offer { path: "top/bin/x", kind: Kind::Link("../lib/x"), mode: 0o777 },
        Offer { path: "top/dev", kind: Kind::Odd("a device"), mode: 0o600 },
        Offer { path: "top/lib", kind: Kind::Directory, mode: 0o755 },
        Offer { path: "top/lib-x", kind: Kind::Link("/etc/x"), mode: 0o777 },
        Offer { path: "top/lib/empty", kind: Kind::Directory, mode: 0o755 },
        Offer { path: "top/lib/x", kind: Kind::File, mode: 0o600 },
    ];

    fn check(include: &[&str], exclude: &[&str], strip: usize, image: bool) -> (Vec<String>, Vec<&'static str>) {
        let own = |globs: &[&str]| globs.iter().map(|glob| (glob.to_string(), place())).collect();
        let pick = Pick { include: own(include), exclude: own(exclude), dir_mode: None };
        let place = place();
        let rules = Rules { from: "x.tar", place: &place, pick: &pick, strip, mode: None, image };
        let mut report = Report::default();
        let chosen = select(&OFFERS, &rules, &mut report);
        let show = |chosen: &Chosen| match chosen.mode {
            Mode::Fixed(mode) => format!("{} {mode:04o}", chosen.path),
            Mode::ByContent => chosen.path.clone(),
        };
        (chosen.iter().map(show).collect(), report.all().iter().map(|finding| finding.code).collect())
    }

    #[test]
    fn what_is_taken_of_an_archive() {
        let (taken, codes) = check(&[], &["dev", "lib-x"], 1, false);
        assert_eq!(taken, ["bin 0755", "bin/su", "bin/x 0777", "lib 0755", "lib/empty 0755", "lib/x"]);
        assert!(codes.is_empty(), "{codes:?}");
        assert_eq!(check(&[], &["/bin", "dev", "lib-x", "empty"], 1, false).0, ["lib 0755", "lib/x"]);
        assert_eq!(check(&["lib/x"], &[], 1, false).0, ["lib 0755", "lib/x"]);
        assert_eq!(check(&["lib"], &["x"], 1, false).0, ["lib 0755", "lib/empty 0755"]);
        assert_eq!(check(&["top/bin/su"], &[], 0, false).0, ["top 0755", "top/bin 0755", "top/bin/su"]);
        assert_eq!(check(&[], &["lib-x", "dev"], 3, false), (Vec::new(), vec!["empty-source"]));
        assert_eq!(check(&["nothing"], &[], 1, false), (Vec::new(), vec!["empty-include"]));
        assert_eq!(check(&["!x"], &[], 1, false), (Vec::new(), vec!["glob"]));
    }

    #[test]
    fn what_cannot_be_taken_is_told() {
        assert_eq!(check(&[], &[], 1, false).1, ["source", "link-outside"]);
        // `su` and `x` of two directories, and the link that then leads out.
        assert_eq!(check(&["x", "su"], &["lib-x"], 2, false).1, ["link-outside"]);
        assert_eq!(check(&[], &["dev", "lib-x"], 2, true).1, ["host-mode", "conflict"]);
    }

    #[test]
    fn an_image_keeps_modes_and_links() {
        let (taken, codes) = check(&[], &["dev"], 1, true);
        let expect =
            ["bin 1777", "bin/su 0755", "bin/x 0777", "lib 0755", "lib-x 0777", "lib/empty 0755", "lib/x 0600"];
        assert_eq!((taken, codes), (expect.map(str::to_string).to_vec(), vec!["host-mode"]));
    }
}
