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
    pub content: String,
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

/// The account files that the items change; what contradicts the base is reported.
pub fn files(index: &FileIndex, items: &[Item], report: &mut Report) -> Vec<NewFile> {
    let mut passwd = String::new();
    let mut group = String::new();
    let (mut first_user, mut first_group) = (None, None);
    let declared: Vec<u32> = items
        .iter()
        .filter_map(|item| if let What::Group { gid, .. } = &item.what { Some(*gid) } else { None })
        .collect();
    let mut made: Vec<u32> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let at = at as u32;
        match &item.what {
            What::User { name, uid, gid, home, shell, comment } => {
                if fresh(
                    "user",
                    name,
                    (*uid, Some(*gid)),
                    index.user(name).map(|(uid, gid)| (uid, Some(gid))),
                    item,
                    report,
                ) {
                    passwd += &format!("{name}:x:{uid}:{gid}:{comment}:{home}:{shell}\n");
                    first_user.get_or_insert(at);
                }
                let known = index.group_by_id(*gid).is_some() || declared.contains(gid) || made.contains(gid);
                if !known && index.group(name).is_none() {
                    group += &format!("{name}:x:{gid}:\n");
                    made.push(*gid);
                    first_group.get_or_insert(at);
                }
            }
            What::Group { name, gid, members }
                if fresh("group", name, (*gid, None), index.group(name).map(|gid| (gid, None)), item, report) =>
            {
                group += &format!("{name}:x:{gid}:{}\n", members.join(","));
                first_group.get_or_insert(at);
            }
            _ => {}
        }
    }
    let whole =
        |old: &str, new: String| format!("{old}{}{new}", if old.is_empty() || old.ends_with('\n') { "" } else { "\n" });
    let files = [
        first_user.map(|item| NewFile { path: PASSWD, content: whole(index.passwd(), passwd), item }),
        first_group.map(|item| NewFile { path: GROUP, content: whole(index.group_file(), group), item }),
    ];
    files.into_iter().flatten().collect()
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
