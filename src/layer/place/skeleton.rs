//! Stage 6: what any system has, where neither the base nor an entry has it. Items and the base's files in, entries out. Pure.
//!
//! The texts are part of format 1 (`docs/format-1.md`).

use super::{DIR_MODE, PLAIN_MODE, Place};
use crate::layer::accounts::{GROUP, PASSWD};
use crate::layer::tree::{Body, Content, Entry, Mode};
use crate::manifest::{Item, Skeleton, What};
use crate::source::{FileIndex, Parent};

const ROOT_AND_NOBODY: &str =
    "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n";
const THEIR_GROUPS: &str = "root:x:0:\nnobody:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\n\
    services: files\nethers: files\nrpc: files\n";
const OS_RELEASE: &str = "NAME=\"Linux\"\nID=linux\nPRETTY_NAME=\"Linux\"\n";
/// Where all may write, and only their own may be removed.
const TMP_MODE: u16 = 0o1777;
/// The home of root is nobody else's.
const ROOT_MODE: u16 = 0o700;
/// Homes that stand for none.
const NOWHERE: [&str; 4] = ["", "nonexistent", "dev/null", "var/empty"];

/// The declared skeleton, and its place among the items.
fn declared(items: &[Item]) -> Option<(u32, Skeleton)> {
    let found = |(at, item): (u32, &Item)| match &item.what {
        What::Skeleton(skeleton) => Some((at, *skeleton)),
        _ => None,
    };
    (0u32..).zip(items).find_map(found)
}

/// The base's files with root and nobody among its accounts, if the skeleton has to bring them.
pub(super) fn accounts(items: &[Item], index: &FileIndex) -> Option<FileIndex> {
    let (_, skeleton) = declared(items).filter(|(_, skeleton)| skeleton.accounts)?;
    // Packages may have brought theirs already.
    let lacks = |path: &str, text: &[u8]| index.resolve(path).is_none() && text.is_empty() && skeleton.accounts;
    let passwd = lacks(PASSWD, index.passwd()).then_some(ROOT_AND_NOBODY);
    let group = lacks(GROUP, index.group_file()).then_some(THEIR_GROUPS);
    (passwd.is_some() || group.is_some()).then(|| index.with_accounts(passwd, group))
}

impl Place<'_> {
    /// Adds what is missing. It never stands in the way of an entry.
    pub(super) fn skeleton(&mut self) {
        let Some((at, skeleton)) = declared(self.items) else { return };
        let text = |text: &str| Body::File(Content::Inline(text.as_bytes().into()));
        if skeleton.tmp {
            for path in ["tmp", "var/tmp"] {
                self.lacking(at, path, Body::Directory, TMP_MODE, (0, 0));
            }
        }
        if skeleton.accounts {
            if self.index.resolve(PASSWD).is_none() {
                self.lacking(at, "root", Body::Directory, ROOT_MODE, (0, 0));
            }
            self.lacking(at, PASSWD, text(ROOT_AND_NOBODY), PLAIN_MODE, (0, 0));
            self.lacking(at, GROUP, text(THEIR_GROUPS), PLAIN_MODE, (0, 0));
        }
        if skeleton.nsswitch {
            self.lacking(at, "etc/nsswitch.conf", text(NSSWITCH), PLAIN_MODE, (0, 0));
        }
        if skeleton.os_release && self.index.resolve("usr/lib/os-release").is_none() {
            self.lacking(at, "etc/os-release", text(OS_RELEASE), PLAIN_MODE, (0, 0));
        }
        for item in self.items.iter().filter(|_| skeleton.homes) {
            let What::User { home, uid, gid, .. } = &item.what else { continue };
            let path = home.trim_matches('/');
            let plain = home.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
            if plain && !NOWHERE.contains(&path) {
                self.lacking(at, path, Body::Directory, DIR_MODE, (*uid, *gid));
            }
        }
    }

    /// Adds an entry where nothing stands, and nothing but directories above it.
    fn lacking(&mut self, at: u32, path: &str, body: Body, mode: u16, (uid, gid): (u32, u32)) {
        let Parent::Real { path, .. } = self.index.resolve_parent(path) else { return };
        let there = self.index.get(&path).or(self.base.get(&path)).is_some() || self.own.contains_key(&path);
        let directory = |path: &str| self.own.get(path).is_none_or(|(_, entry)| entry.body == Body::Directory);
        let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
        let below = format!("{path}/");
        let inside = |(own, _): (&str, _)| body != Body::Directory && own.starts_with(&below);
        if there || !above.all(directory) || self.own.starting(&below).next().is_some_and(inside) {
            return;
        }
        let entry = Entry { body, mode: Mode::Fixed(mode), uid, gid, capabilities: 0, item: at };
        self.own.insert(&path, (self.layers[at as usize], entry));
    }
}
