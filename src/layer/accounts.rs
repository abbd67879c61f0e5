//! Stage 6: users and groups of an image. The base's and the declared ones in, numbers and new account files out. Pure.

use std::collections::BTreeMap;

use crate::error::{Finding, Place, Report, printable};
use crate::manifest::grammar::nearest;
use crate::manifest::{Account, Item, What, Who};
use crate::source::FileIndex;

/// Where users stand.
pub const PASSWD: &str = "etc/passwd";
/// Where groups stand.
pub const GROUP: &str = "etc/group";

/// All users and groups by name.
pub struct Accounts {
    users: BTreeMap<String, (u32, u32)>,
    groups: BTreeMap<String, u32>,
    main: BTreeMap<u32, u32>,
}

/// A new account file: which it is, its content, and the first item that it is for.
pub struct NewFile {
    /// [`PASSWD`] or [`GROUP`].
    pub path: &'static str,
    /// The whole content.
    pub content: Vec<u8>,
    /// A place in the plan's items.
    pub item: u32,
}

impl Accounts {
    /// The accounts of the base and the items together.
    pub fn new(index: &FileIndex, items: &[Item]) -> Accounts {
        let mut accounts = Accounts { users: BTreeMap::new(), groups: BTreeMap::new(), main: BTreeMap::new() };
        for user in index.users() {
            accounts.users.entry(user.name.to_string()).or_insert((user.uid, user.gid));
            accounts.main.entry(user.uid).or_insert(user.gid);
        }
        for (name, gid) in index.groups() {
            accounts.groups.entry(name.to_string()).or_insert(gid);
        }
        for item in items {
            match &item.what {
                What::User { name, uid, gid, .. } => {
                    accounts.users.insert(name.clone(), (*uid, *gid));
                    accounts.main.entry(*uid).or_insert(*gid);
                    if !accounts.groups.values().any(|known| known == gid) {
                        accounts.groups.entry(name.clone()).or_insert(*gid);
                    }
                }
                What::Group { name, gid, .. } => drop(accounts.groups.insert(name.clone(), *gid)),
                _ => {}
            }
        }
        accounts
    }

    /// The numbers of an owner: without a group a name's main group counts; a number's too where it is known, else the number itself.
    pub fn owner(&self, who: &Who, place: &Place, report: &mut Report) -> Option<(u32, u32)> {
        let (uid, main) = match &who.user {
            Account::Id(uid) => (*uid, self.main.get(uid).copied().unwrap_or(*uid)),
            Account::Name(name) => self.user(name, place, report)?,
        };
        match &who.group {
            None => Some((uid, main)),
            Some(group) => Some((uid, self.group(group, place, report)?)),
        }
    }

    /// The text of a config's user, in numbers: `uid:gid` for a name, a lone number stays alone.
    pub fn config(&self, who: &Who, place: &Place, report: &mut Report) -> Option<String> {
        match who {
            Who { user: Account::Id(uid), group: None } => Some(uid.to_string()),
            who => self.owner(who, place, report).map(|(uid, gid)| format!("{uid}:{gid}")),
        }
    }

    fn user(&self, name: &str, place: &Place, report: &mut Report) -> Option<(u32, u32)> {
        let found = self.users.get(name).copied();
        if found.is_none() {
            report.add(unknown("user", name, place, self.users.keys().map(String::as_str)));
        }
        found
    }

    fn group(&self, group: &Account, place: &Place, report: &mut Report) -> Option<u32> {
        let name = match group {
            Account::Id(gid) => return Some(*gid),
            Account::Name(name) => name,
        };
        let found = self.groups.get(name).copied();
        if found.is_none() {
            report.add(unknown("group", name, place, self.groups.keys().map(String::as_str)));
        }
        found
    }
}

fn unknown<'a>(what: &str, name: &str, place: &Place, known: impl Iterator<Item = &'a str>) -> Finding {
    let name = printable(name);
    let finding = Finding::error("unknown-account", format!("the image has no {what} `{name}`"));
    match nearest(&name, known) {
        Some(near) => finding.at(place, format!("did you mean `{}`?", printable(near))),
        None => finding.at(place, "").help(format!("declare it with `[[{what}]]`, or write its number")),
    }
}

/// The account files that the items change; what contradicts the base, or names nobody, is reported.
pub fn files(index: &FileIndex, items: &[Item], accounts: &Accounts, report: &mut Report) -> Vec<NewFile> {
    let mut new = New {
        index,
        items,
        passwd: Vec::new(),
        group: index.group_file().to_vec(),
        made: Vec::new(),
        first: (None, None),
    };
    for (at, item) in items.iter().enumerate() {
        match &item.what {
            What::User { name, uid, gid, home, shell, comment } => {
                let known = index.user(name).map(|(uid, gid)| (uid, Some(gid)));
                if fresh("user", name, (*uid, Some(*gid)), known, item, report) {
                    new.passwd.extend(format!("{name}:x:{uid}:{gid}:{comment}:{home}:{shell}\n").bytes());
                    new.first.0.get_or_insert(at as u32);
                }
                new.main_group(at as u32, name, *gid);
            }
            What::Group { name, gid, members } => {
                for member in members.iter().filter(|member| !accounts.users.contains_key(*member)) {
                    report.add(unknown("user", member, &item.place, accounts.users.keys().map(String::as_str)));
                }
                let known = index.group(name).map(|gid| (gid, None));
                if fresh("group", name, (*gid, None), known, item, report) {
                    new.line(at as u32, &format!("{name}:x:{gid}:{}\n", members.join(",")));
                } else {
                    new.join(at as u32, name, members);
                }
            }
            _ => {}
        }
    }
    let passwd = [index.passwd(), line_feed(index.passwd()), &new.passwd].concat();
    let files = [
        new.first.0.map(|item| NewFile { path: PASSWD, content: passwd, item }),
        new.first.1.map(|item| NewFile { path: GROUP, content: new.group.clone(), item }),
    ];
    files.into_iter().flatten().collect()
}

/// The line feed that a file lacks at its end.
fn line_feed(file: &[u8]) -> &'static [u8] {
    if file.is_empty() || file.ends_with(b"\n") { b"" } else { b"\n" }
}

/// The account files in the making.
struct New<'a> {
    index: &'a FileIndex,
    items: &'a [Item],
    /// New lines only.
    passwd: Vec<u8>,
    /// The whole file.
    group: Vec<u8>,
    /// The numbers that got a group of a user's name.
    made: Vec<u32>,
    /// The first items that changed them.
    first: (Option<u32>, Option<u32>),
}

impl New<'_> {
    fn line(&mut self, at: u32, line: &str) {
        self.group.extend(line_feed(&self.group));
        self.group.extend(line.bytes());
        self.first.1.get_or_insert(at);
    }

    /// A group of the user's name for a number that has none, unless that name is taken.
    fn main_group(&mut self, at: u32, name: &str, gid: u32) {
        let declared = |item: &Item| match &item.what {
            What::Group { name: other, gid: number, .. } => other == name || *number == gid,
            _ => false,
        };
        let taken = self.index.group_by_id(gid).is_some() || self.index.group(name).is_some();
        if !taken && !self.items.iter().any(declared) && !self.made.contains(&gid) {
            self.made.push(gid);
            self.line(at, &format!("{name}:x:{gid}:\n"));
        }
    }

    /// Adds members to the line of a group that the base has.
    fn join(&mut self, at: u32, name: &str, members: &[String]) {
        let start = format!("{name}:");
        let mut lines: Vec<Vec<u8>> = self.group.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let Some(line) = lines.iter_mut().find(|line| line.starts_with(start.as_bytes())) else { return };
        let text = String::from_utf8_lossy(line).into_owned();
        let known: Vec<&str> =
            text.split(':').nth(3).unwrap_or_default().split(',').filter(|name| !name.is_empty()).collect();
        let mut comma = !known.is_empty();
        for member in members.iter().filter(|member| !known.contains(&member.as_str())) {
            line.extend(if comma { format!(",{member}") } else { member.clone() }.bytes());
            comma = true;
            self.first.1.get_or_insert(at);
        }
        self.group = lines.join(&b'\n');
    }
}

/// Whether the account is new; one that the base has in just this way is not, one that it has in another way is an error.
fn fresh(
    what: &str,
    name: &str,
    ids: (u32, Option<u32>),
    base: Option<(u32, Option<u32>)>,
    item: &Item,
    report: &mut Report,
) -> bool {
    let Some(known) = base else { return true };
    if known != ids {
        let show = |(id, main): (u32, Option<u32>)| main.map_or(id.to_string(), |main| format!("{id}:{main}"));
        report.add(
            Finding::error("conflict", format!("the base has the {what} `{}` as {}", printable(name), show(known)))
                .at(&item.place, format!("declared as {}", show(ids)))
                .help("choose another name, or the base's numbers"),
        );
    }
    false
}
