//! Stage 6: where everything goes. Items, listings and the base's file index in; one canonical tree for each layer out.
//! Conflicts are refused with both places; nothing of the base is hidden unseen. Pure.

use std::collections::BTreeSet;

use super::accounts::{self, Accounts};
use super::found::Found;
use super::paths::Paths;
use super::tree::{Body, Content, Entry, Mode, Tree};
use crate::error::{Finding, Report, printable};
use crate::manifest::{Item, What};
use crate::plan::ImagePlan;
use crate::source::{FileIndex, Kind, Obstacle, Parent};

mod bundle;
mod items;
mod remove;
mod shape;
mod skeleton;

/// The mode of directories that nobody declared, and of declared ones without a mode.
const DIR_MODE: u16 = 0o755;
/// The mode of account files that the base does not have, and of whiteouts.
const PLAIN_MODE: u16 = 0o644;
/// The mode of links.
const LINK_MODE: u16 = 0o777;

/// Everything of one image at its place.
#[derive(Clone, Debug)]
pub struct Placed {
    /// One tree for each layer of the plan, in its order.
    pub trees: Vec<Tree>,
    /// The user of the config, in numbers.
    pub user: String,
}

/// Places all items of one image. What is wrong goes into the report; then the trees are not to be used.
pub fn place(image: &ImagePlan, found: &[Found], index: &FileIndex, base_user: &str, report: &mut Report) -> Placed {
    let mut layers = vec![0u32; image.items.len()];
    for (at, layer) in image.layers.iter().enumerate() {
        layer.items.iter().for_each(|item| layers[*item as usize] = at as u32);
    }
    let gone = remove::gone(&image.items, index);
    let view = (!gone.is_empty()).then(|| index.without(&gone));
    let (base, index) = (index, view.as_ref().unwrap_or(index));
    let packaged = items::accounts(found, index);
    let index = packaged.as_ref().unwrap_or(index);
    let peopled = skeleton::accounts(&image.items, index);
    let index = peopled.as_ref().unwrap_or(index);
    let accounts = Accounts::new(index, &image.items);
    let user = user(image, &accounts, base_user, report);
    let mut place = Place {
        items: &image.items,
        layers,
        base,
        index,
        accounts,
        report,
        own: Own::new(),
        parents: None,
        told: BTreeSet::new(),
    };
    place.packages(found);
    for (at, (item, found)) in image.items.iter().zip(found).enumerate() {
        place.item(at as u32, item, found);
    }
    for file in accounts::files(index, &image.items, &place.accounts, place.report) {
        place.account_file(file);
    }
    place.packaged_accounts(found);
    place.skeleton();
    let whiteouts = place.whiteouts();
    let own = shape::shape(place.own, index, &image.items, whiteouts, place.report);
    let mut trees = vec![Tree::new(); image.layers.len()];
    for (path, (layer, entry)) in own {
        if let Some(tree) = trees.get_mut(layer as usize) {
            tree.insert(&path, entry);
        }
    }
    Placed { trees, user }
}

/// Where an entry comes from, for under a caret.
fn origin(item: &Item, here: &str) -> String {
    match &item.what {
        What::Copy(copy) => format!("{here}, from `{}`", printable(&copy.source.written)),
        What::Archive(archive) => format!("{here}, from `{}`", printable(archive.location.written())),
        What::Taken(taken) => format!("{here}, from `{}`", taken.from),
        What::Libraries(wanted) => format!("{here}, a library from `{}`", wanted.from),
        _ => here.to_string(),
    }
}

/// The config's user: declared, or the base's in numbers.
fn user(image: &ImagePlan, accounts: &Accounts, base_user: &str, report: &mut Report) -> String {
    let unset = image.config.unset.iter().any(|edit| edit.field == "user");
    match &image.config.user {
        Some((who, place)) => accounts.config(who, place, report).unwrap_or_default(),
        None if unset || base_user.is_empty() => String::new(),
        None => match crate::manifest::words::who(base_user) {
            Ok(who) => accounts.config(&who, &image.base.1, report).unwrap_or_default(),
            Err(error) => {
                let finding = Finding::error("user", format!("the base's user is odd: {}", error.message()));
                report.add(finding.at(&image.base.1, "").help("set `user` under `[image]`"));
                String::new()
            }
        },
    }
}

/// All own entries by their real path, each with its layer.
pub(super) type Own = Paths<(u32, Entry)>;

struct Place<'a> {
    items: &'a [Item],
    layers: Vec<u32>,
    /// All that the base has.
    base: &'a FileIndex,
    /// The same without what the items take away.
    index: &'a FileIndex,
    accounts: Accounts,
    report: &'a mut Report,
    own: Own,
    /// The directory that was resolved last, and where it really is.
    parents: Option<(String, Option<String>)>,
    /// The pairs of items whose conflict was told.
    told: BTreeSet<(u32, u32)>,
}

impl Place<'_> {
    /// The real path of a destination: links of the base in its parents are followed.
    fn real(&mut self, at: u32, dest: &str) -> Option<String> {
        let (directory, name) = dest.rsplit_once('/').unwrap_or(("", dest));
        if self.parents.as_ref().is_none_or(|(known, _)| known != directory) {
            let real = match self.index.resolve_parent(dest) {
                Parent::Real { path, .. } => Some(path[..path.len() - name.len()].to_string()),
                Parent::Blocked { at: obstacle, why } => {
                    self.blocked(at, dest, &obstacle, why);
                    None
                }
            };
            self.parents = Some((directory.to_string(), real));
        }
        let (_, real) = self.parents.as_ref()?;
        real.as_ref().map(|parent| format!("{parent}{name}"))
    }

    fn blocked(&mut self, at: u32, dest: &str, obstacle: &str, why: Obstacle) {
        let item = &self.items[at as usize];
        let (dest, obstacle) = (printable(dest), printable(obstacle));
        let why = match why {
            Obstacle::NoDirectory => format!("`/{obstacle}` is a file in the base"),
            Obstacle::Loop => format!("the links at `/{obstacle}` in the base lead in a circle"),
            Obstacle::NotText => format!("`/{obstacle}` leads to a name that is not UTF-8"),
        };
        self.report.add(
            Finding::error("base-conflict", format!("nothing can be put at `/{dest}`: {why}"))
                .at(&item.place, "")
                .help("choose another destination, or put a directory there: `[[dir]]` with `replace = true`"),
        );
    }

    fn put(&mut self, at: u32, dest: &str, entry: Entry) {
        if let Some(part) = dest.split('/').find(|part| part.starts_with(".wh.")) {
            let (dest, part) = (printable(dest), printable(part));
            let message = format!("`/{dest}` would delete files of the base: `{part}` is the name of a whiteout");
            let finding = Finding::error("path", message).at(&self.items[at as usize].place, "");
            self.report
                .add(finding.help("rename it, or leave it out with `exclude`; `[[remove]]` hides a path of the base"));
            return;
        }
        let Some(real) = self.real(at, dest) else { return };
        let item = &self.items[at as usize];
        if !self.suits_base(item, &real, &entry) {
            return;
        }
        let layer = self.layers[at as usize];
        let Some((_, known)) = self.own.get(&real) else {
            self.own.insert(&real, (layer, entry));
            return;
        };
        let other = &self.items[known.item as usize];
        // Two programs may bring the same library along.
        let both = [item, other].iter().all(|item| matches!(item.what, What::Libraries(_)));
        let alike = matches!((&known.body, &entry.body), (Body::Directory, Body::Directory));
        let same = (alike || both && known.body == entry.body)
            && (known.mode, known.uid, known.gid) == (entry.mode, entry.uid, entry.gid);
        match (item.replace, other.replace) {
            _ if same => {
                if let Some((known, _)) = self.own.get_mut(&real) {
                    *known = layer.min(*known);
                }
            }
            (true, false) => drop(self.own.insert(&real, (layer, entry))),
            (false, true) => {}
            // Of the many files of two copied directories, the first says it for all.
            _ if !self.told.insert((at, known.item)) => {}
            _ => self.report.add(
                Finding::error("conflict", format!("`/{}` is written twice", printable(&real)))
                    .at(&item.place, origin(item, "here"))
                    .and(&other.place, origin(other, "and here"))
                    .help("leave one out, or say `replace = true` in the one that shall win"),
            ),
        }
    }

    /// Whether the entry may stand where the base has something; `false` too where there is nothing left to do.
    fn suits_base(&mut self, item: &Item, real: &str, entry: &Entry) -> bool {
        let Some(node) = self.index.get(real) else { return true };
        if matches!(item.what, What::Libraries(_)) && node.kind != Kind::Directory {
            self.libraries_of_its_own(item, real, entry.item);
            return false;
        }
        let (has, what) = match (&node.kind, &entry.body) {
            (Kind::Directory, Body::Directory) if item.table != "dir" => return false,
            (Kind::Directory, Body::Directory) if item.replace => return true,
            (Kind::Directory, Body::Directory) => return self.as_declared(item, real, entry),
            (Kind::File { .. }, Body::File(_) | Body::Link(_)) => return true,
            (Kind::Link(_), Body::Directory)
                if self.leads_to_directory(real) && !(item.replace && item.table == "dir") =>
            {
                return false;
            }
            (Kind::Link(old), Body::Link(new)) if **old == *new.as_bytes() => return false,
            _ if item.replace => return true,
            (Kind::Directory, Body::Link(_)) => ("a directory", "a link"),
            (Kind::Directory, _) => ("a directory", "a file"),
            (Kind::Link(_), Body::Directory) => ("a link", "a directory"),
            (Kind::Link(_), Body::Link(_)) => ("another link", "a link"),
            (Kind::Link(_), _) => ("a link", "a file"),
            (Kind::File { .. }, _) => ("a file", "a directory"),
            (Kind::Other, _) => ("a device or FIFO", "something"),
        };
        let shown = printable(real);
        let origin = match &self.index.resolve(real) {
            Some(target) if matches!(node.kind, Kind::Link(_)) => format!("it leads to `/{}`", printable(target)),
            _ => format!("it comes from layer {} of the base", node.layer + 1),
        };
        self.report.add(
            Finding::error("base-conflict", format!("the base has {has} at `/{shown}`, {origin}"))
                .at(&item.place, format!("{what} is put over it"))
                .help("choose another destination, or say `replace = true` to replace what the base has"),
        );
        false
    }

    /// Libraries of two images do not fit together; said once of each program.
    fn libraries_of_its_own(&mut self, item: &Item, real: &str, at: u32) {
        if self.told.insert((at, at)) {
            let what = format!("`libs = \"copy\"` would replace `/{}` of the base", printable(real));
            let finding = Finding::error("base-conflict", what).at(&item.place, "copied for this program");
            self.report.add(finding.help(
                "the base has libraries of its own: leave `libs` out, or take a base without any, such as `scratch`",
            ));
        }
    }

    /// A declared directory that the base has stays as it is; where it was declared in another way, that is said. Nothing is left
    /// to do then, so this is always `false`.
    fn as_declared(&mut self, item: &Item, real: &str, entry: &Entry) -> bool {
        let Some(node) = self.index.get(real) else { return false };
        let mode = item.mode.is_none_or(|mode| mode == node.mode);
        let owner = item.owner.is_none() || (entry.uid, entry.gid) == (node.uid, node.gid);
        if !(mode && owner) {
            let has = format!("mode {:04o} and owner {}:{}", node.mode, node.uid, node.gid);
            self.report.add(
                Finding::warning(
                    "base-directory",
                    format!("the base has the directory `/{}` with {has}, which stay", printable(real)),
                )
                .at(&item.place, "declared with another mode or owner")
                .help("say `replace = true` to change them; what is in the directory stays"),
            );
        }
        false
    }

    fn leads_to_directory(&self, path: &str) -> bool {
        let real = self.index.resolve(path);
        real.and_then(|real| self.index.get(&real)).is_some_and(|node| node.kind == Kind::Directory)
    }

    /// Puts a new account file where the base's is, with the base's mode and owner.
    fn account_file(&mut self, file: accounts::NewFile) {
        let real = self.index.resolve(file.path).unwrap_or_else(|| file.path.to_string());
        let node = self.index.get(&real);
        let (mode, uid, gid) = node.map_or((PLAIN_MODE, 0, 0), |node| (node.mode, node.uid, node.gid));
        let body = Body::File(Content::Inline(file.content.into()));
        let entry = Entry { body, mode: Mode::Fixed(mode), uid, gid, capabilities: 0, item: file.item };
        self.put(file.item, &real, entry);
    }
}
