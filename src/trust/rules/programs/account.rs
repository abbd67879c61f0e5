//! Stage 8: what the user of an image may do with its files, by their permission bits. Numbers in, yes or no out. Pure.

use super::super::Seen;
use crate::layer::{Thing, What as Kind};
use crate::manifest::What;

/// The bit that lets somebody execute a file or enter a directory, and how far it is shifted for owner and group.
const EXECUTE: u16 = 0o1;
const GROUP: u16 = 3;
const OWNER: u16 = 6;

/// The user of an image in numbers.
pub(super) struct Account {
    uid: u32,
    groups: Vec<u32>,
}

impl Account {
    /// The user that the image runs as; none is root. A lone number has the groups that the image's accounts give it, as in engines.
    pub(super) fn new(image: &Seen<'_>) -> Account {
        let mut parts = image.user.split(':');
        let uid = parts.next().and_then(|uid| uid.parse().ok()).unwrap_or(0);
        let gid = parts.next().and_then(|gid| gid.parse().ok());
        let groups = match gid {
            Some(gid) => vec![gid],
            None => groups(image, uid),
        };
        Account { uid, groups }
    }

    /// Whether it may execute a file.
    pub(super) fn may_execute(&self, file: &Thing) -> bool {
        if self.uid == 0 { file.mode & 0o111 != 0 } else { self.has_bit(file) }
    }

    /// Whether it may enter a directory.
    pub(super) fn may_enter(&self, directory: &Thing) -> bool {
        self.uid == 0 || self.has_bit(directory)
    }

    /// The first of owner, group and all others that fits decides, as in Linux.
    fn has_bit(&self, thing: &Thing) -> bool {
        let shift = match (self.uid == thing.uid, self.groups.contains(&thing.gid)) {
            (true, _) => OWNER,
            (false, true) => GROUP,
            (false, false) => 0,
        };
        thing.mode >> shift & EXECUTE != 0
    }
}

/// The groups of a user by the accounts of the base and the manifest.
fn groups(image: &Seen<'_>, uid: u32) -> Vec<u32> {
    let declared = image.plan.items.iter().find_map(|item| match &item.what {
        What::User { name, uid: number, gid, .. } if *number == uid => Some((name.as_str(), *gid)),
        _ => None,
    });
    let Some((name, main)) = image.index.user_by_id(uid).or(declared) else { return vec![0] };
    let text = String::from_utf8_lossy(image.index.group_file());
    let member = |line: &str| {
        let mut fields = line.split(':');
        let gid = fields.nth(2)?.trim().parse().ok()?;
        fields.next()?.split(',').any(|member| member.trim() == name).then_some(gid)
    };
    let declared = image.plan.items.iter().filter_map(|item| match &item.what {
        What::Group { gid, members, .. } if members.iter().any(|member| member == name) => Some(*gid),
        _ => None,
    });
    [main].into_iter().chain(text.lines().filter_map(member)).chain(declared).collect()
}

/// Whether a thing is a file.
pub(super) fn is_file(thing: &Thing) -> bool {
    thing.what == Kind::File
}
