//! Between stages 1 and 2: `useradd`, `adduser`, `groupadd` and `addgroup` of Debian and of busybox → accounts. Pure.

use super::run::Fate;
use super::shell::options;
use super::stage::Stage;
use crate::import::draft::{Entry, What};
use crate::import::value::escape;
use crate::manifest::words as rules;

/// The number of the first account that no number is given for.
const FIRST: u32 = 1000;
/// The highest number of a system's account, as Debian counts down from.
const SYSTEM: u32 = 999;
/// The first number of a system's account, as busybox counts up from.
const BUSYBOX: u32 = 100;

/// Options that take a value.
const VALUED: [&str; 25] = [
    "-u",
    "--uid",
    "-g",
    "--gid",
    "-G",
    "--groups",
    "--ingroup",
    "-d",
    "--home",
    "--home-dir",
    "-h",
    "-s",
    "--shell",
    "-c",
    "--comment",
    "--gecos",
    "-K",
    "--key",
    "-k",
    "--skel",
    "-b",
    "--base-dir",
    "-p",
    "--password",
    "-e",
];

impl Stage {
    /// What such a command makes; `None` where it is not understood.
    pub(super) fn account(&mut self, words: &[String]) -> Option<Fate> {
        let program = words[0].rsplit('/').next()?;
        let group = program.contains("group");
        // `-S`, `-D` and `-H` are busybox's; there `-g` is a comment and `-G` the group.
        let busybox = words.iter().any(|word| ["-S", "-D", "-H"].contains(&word.as_str()))
            || words.iter().any(|word| {
                word.len() > 2 && word.starts_with('-') && !word.starts_with("--") && word.contains(['S', 'D', 'H'])
            });
        let valued: Vec<&str> = VALUED.iter().filter(|name| !(group && ["-h", "-s"].contains(name))).copied().collect();
        let (found, rest) = options(words, &valued);
        let value = |names: &[&str]| {
            found.iter().rev().find(|(name, _)| names.contains(&name.as_str())).and_then(|(_, value)| value.clone())
        };
        let flag = |names: &[&str]| found.iter().any(|(name, _)| names.contains(&name.as_str()));
        let system = flag(&["-r", "--system", "-S"]);
        if group || program == "adduser" && flag(&["--group"]) && !flag(&["--system"]) {
            return self.group(&rest, value(&["-g", "--gid"]), system, busybox);
        }
        let name = match rest.as_slice() {
            [name] => name.clone(),
            [user, group] if program == "adduser" => return self.join(user, group),
            _ => return None,
        };
        rules::account_name(&name).ok()?;
        let uid = match value(&["-u", "--uid"]) {
            Some(text) => text.parse().ok()?,
            None => free(self.accounts.users.values(), system, busybox),
        };
        let main = if busybox { value(&["-G"]) } else { value(&["-g", "--gid", "--ingroup"]) };
        let gid = match main {
            Some(text) => Some(text.parse().ok().or_else(|| self.accounts.groups.get(&text).copied())?),
            None => None,
        };
        let home = value(&["-d", "--home", "--home-dir", "-h"]);
        let home = home.or_else(|| (!flag(&["--no-create-home", "-H", "-M"])).then(|| format!("/home/{name}")));
        let shell = value(&["-s", "--shell"]);
        if home.iter().chain(&shell).any(|text| rules::passwd_field(text).is_err() || !text.starts_with('/')) {
            return None;
        }
        let makes_home =
            flag(&["-m", "--create-home"]) || program == "adduser" && !flag(&["-H", "--no-create-home", "-M"]);
        let numbered = value(&["-u", "--uid"]).is_some();
        self.accounts.users.insert(name.clone(), uid);
        let written = |text: &Option<String>| text.as_ref().map(|text| escape(text, false));
        let what = What::User { name: name.clone(), uid, gid, home: written(&home), shell: written(&shell) };
        self.draft.entry(Entry::new(what, ""));
        if let Some(home) = home.filter(|home| makes_home && !self.known.contains(home)) {
            self.know(&format!("{home}/"));
            self.draft.entry(Entry { owner: Some(name.clone()), ..Entry::new(What::Dir, escape(&home, false)) });
        }
        let extra = value(&["-G", "--groups"]).filter(|_| !busybox);
        for group in extra.iter().flat_map(|groups| groups.split(',')) {
            drop(self.join(&name, group));
        }
        Some(Fate::Carried(match numbered {
            true => "as `[[user]]`".into(),
            false => format!("as `[[user]]`; it says no number, {uid} was chosen"),
        }))
    }

    fn group(&mut self, rest: &[String], gid: Option<String>, system: bool, busybox: bool) -> Option<Fate> {
        let name = match rest {
            [name] => name,
            [user, group] => return self.join(user, group),
            _ => return None,
        };
        rules::account_name(name).ok()?;
        let numbered = gid.is_some();
        let gid = match gid {
            Some(text) => text.parse().ok()?,
            // busybox's first group is 101: it begins where its users do, and 100 is taken.
            None if busybox && system => free(self.accounts.groups.values(), system, busybox).max(BUSYBOX + 1),
            None => free(self.accounts.groups.values(), system, busybox),
        };
        self.accounts.groups.insert(name.clone(), gid);
        self.draft.entry(Entry::new(What::Group { name: name.clone(), gid, members: Vec::new() }, ""));
        Some(Fate::Carried(match numbered {
            true => "as `[[group]]`".into(),
            false => format!("as `[[group]]`; it says no number, {gid} was chosen"),
        }))
    }

    /// A user becomes a member of a group that was made here.
    fn join(&mut self, user: &str, wanted: &str) -> Option<Fate> {
        for entry in self.draft.entries_mut() {
            if let What::Group { name, members, .. } = &mut entry.what
                && name == wanted
            {
                if !members.iter().any(|member| member == user) {
                    members.push(user.to_string());
                }
                return Some(Fate::Carried("as a member of `[[group]]`".into()));
            }
        }
        None
    }
}

/// A number that nobody has yet.
fn free<'a>(taken: impl Iterator<Item = &'a u32> + Clone, system: bool, busybox: bool) -> u32 {
    let is_free = |number: &u32| !taken.clone().any(|taken| taken == number);
    let found = match (system, busybox) {
        (true, true) => (BUSYBOX..FIRST).find(is_free),
        (true, false) => (BUSYBOX..=SYSTEM).rev().find(is_free),
        (false, _) => (FIRST..u32::MAX).find(is_free),
    };
    found.unwrap_or(FIRST)
}
