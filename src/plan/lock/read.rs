//! Stage 2: reads a lock, strictly: what is cut short, merged badly, newer or unknown is an error with its place. A text in, a value
//! out. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Lock, Locked, LockedIndex, Request, Resolved, VERSION};
use crate::error::{Error, Finding, Place, Report, Result, Text, printable};
use crate::manifest::Family;
use crate::oci::{Digest, Platform};

/// Most packages of one lock.
const MOST_PACKAGES: usize = 100_000;
/// What a merge leaves where it did not know better.
const MARKS: [&str; 4] = ["<<<<<<< ", "||||||| ", "=======", ">>>>>>> "];

/// Reads the text of a lock.
pub fn read(text: &Arc<Text>) -> Result<Lock> {
    let mut reader = Reader { text, report: Report::default() };
    let lock = reader.lock();
    let report = reader.report;
    match lock {
        Some(lock) if report.all().is_empty() => Ok(lock),
        _ => Err(Error::findings(report.sorted())),
    }
}

struct Reader<'a> {
    text: &'a Arc<Text>,
    report: Report,
}

/// One table of the lock.
struct Table<'a> {
    place: Place,
    tree: &'a DeTable<'a>,
}

impl Reader<'_> {
    fn lock(&mut self) -> Option<Lock> {
        if self.marks() {
            return None;
        }
        let tree = match DeTable::parse(&self.text.text) {
            Ok(tree) => tree,
            Err(error) => {
                let place = self.place(error.span().unwrap_or(0..0));
                self.wrong::<()>(&place, &format!("it is no TOML: {}", printable(error.message())));
                return None;
            }
        };
        let root = Table { place: self.place(0..0), tree: tree.get_ref() };
        if let Some(version) = self.number(&root, "version")
            && version != VERSION
        {
            let place = root.tree.get("version").map_or(root.place, |value| self.place(value.span()));
            let finding =
                Finding::error("lock", format!("it has version {version}, this stillframe reads version {VERSION}"));
            self.report.add(finding.at(&place, "").help("a newer lock needs a newer stillframe"));
            return None;
        }
        self.known(&root, &["version", "packages", "index", "package"]);
        let indexes = self.tables(&root, "index");
        let packages = self.tables(&root, "package");
        let Some(head) = self.table(&root, "packages") else {
            if let Some(first) = indexes.first().or(packages.first()) {
                self.wrong::<()>(&first.place, "it stands here without `[packages]`");
            }
            return Some(Lock::default());
        };
        let packages = self.packages(&head, indexes, packages)?;
        Some(Lock { packages: Some(packages) })
    }

    /// Reports the first mark of a merge that was not finished.
    fn marks(&mut self) -> bool {
        let mut at = 0;
        for line in self.text.text.split_inclusive('\n') {
            let bare = line.trim_end();
            if MARKS.iter().any(|mark| bare == mark.trim_end() || (mark.ends_with(' ') && bare.starts_with(mark))) {
                let place = self.place(at..at + bare.len());
                let finding = Finding::error("lock", "a merge left its marks in it").at(&place, "");
                self.report.add(finding.help("take one of the two sides whole, then run `stillframe update`"));
                return true;
            }
            at += line.len();
        }
        false
    }

    fn packages(&mut self, head: &Table<'_>, indexes: Vec<Table<'_>>, packages: Vec<Table<'_>>) -> Option<Resolved> {
        self.known(head, &["family", "fingerprint", "count", "recommends", "install", "sources", "bases"]);
        let family = match self.text(head, "family")?.as_str() {
            "debian" => Family::Debian,
            "alpine" => Family::Alpine,
            _ => return self.missing(head, "family", "\"debian\" or \"alpine\""),
        };
        let fingerprint: Digest = self.parsed(head, "fingerprint")?;
        let count = self.number(head, "count")?;
        let recommends = match head.tree.get("recommends").map(Spanned::get_ref) {
            Some(DeValue::Boolean(yes)) => *yes,
            _ => return self.missing(head, "recommends", "`true` or `false`"),
        };
        let install: BTreeSet<String> = self.list(head, "install")?.into_iter().collect();
        let sources = self.list(head, "sources")?;
        let bases = self.bases(head)?;
        let request = Request { install, recommends, sources, bases };
        if request.fingerprint() != fingerprint {
            let place = head.tree.get("fingerprint").map_or(head.place.clone(), |value| self.place(value.span()));
            self.wrong::<()>(&place, "the fingerprint is not that of the request that stands beside it");
        }
        if count != packages.len() as i64 || packages.len() > MOST_PACKAGES {
            let message = format!("it should have {count} packages, and has {}", packages.len());
            self.wrong::<()>(&head.place, &message);
        }
        let most = request.sources.len();
        let indexes: Vec<LockedIndex> = indexes.iter().filter_map(|table| self.index(table, most)).collect();
        let packages: Vec<Locked> = packages.iter().filter_map(|table| self.package(table, most)).collect();
        Some(Resolved { family, request, indexes, packages })
    }

    fn bases(&mut self, head: &Table<'_>) -> Option<BTreeMap<String, String>> {
        let table = match self.table(head, "bases") {
            Some(table) => table,
            None => return self.missing(head, "bases", "a table"),
        };
        let mut bases = BTreeMap::new();
        for (key, value) in table.tree {
            let place = self.place(key.span());
            match (key.get_ref().parse::<Platform>(), value.get_ref().as_str()) {
                (Ok(platform), Some(base)) => drop(bases.insert(platform.to_string(), base.to_string())),
                _ => drop(self.wrong::<()>(&place, "a platform and what its image stands on are expected")),
            }
        }
        Some(bases)
    }

    fn index(&mut self, table: &Table<'_>, sources: usize) -> Option<LockedIndex> {
        self.known(table, &["source", "suite", "date"]);
        let source = self.source(table, sources)?;
        let (suite, date) = (self.text(table, "suite")?, self.text(table, "date")?);
        if date.parse::<jiff::Timestamp>().is_err() {
            return self.missing(table, "date", "a time in RFC 3339");
        }
        Some(LockedIndex { source, suite, date })
    }

    fn package(&mut self, table: &Table<'_>, sources: usize) -> Option<Locked> {
        self.known(table, &["name", "version", "architecture", "platforms", "source", "path", "size", "digest"]);
        let platforms = self.list(table, "platforms")?;
        if platforms.iter().any(|platform| platform.parse::<Platform>().is_err()) {
            return self.missing(table, "platforms", "a list of platforms");
        }
        let path = self.text(table, "path")?;
        if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return self.missing(table, "path", "a path below the mirror");
        }
        let size = match u64::try_from(self.number(table, "size")?) {
            Ok(size) => size,
            Err(_) => return self.missing(table, "size", "a number of bytes"),
        };
        Some(Locked {
            name: self.text(table, "name")?,
            version: self.text(table, "version")?,
            architecture: self.text(table, "architecture")?,
            platforms: platforms.into_iter().collect(),
            source: self.source(table, sources)?,
            path,
            size,
            digest: self.parsed(table, "digest")?,
        })
    }

    fn source(&mut self, table: &Table<'_>, sources: usize) -> Option<usize> {
        match usize::try_from(self.number(table, "source")?) {
            Ok(source) if (1..=sources).contains(&source) => Some(source),
            _ => self.missing(table, "source", "the place of one of the `sources`, from 1"),
        }
    }

    fn place(&self, span: std::ops::Range<usize>) -> Place {
        let most = self.text.text.len();
        let mut fit = span.start.min(most)..span.end.min(most);
        while !self.text.text.is_char_boundary(fit.start) {
            fit.start -= 1;
        }
        while !self.text.text.is_char_boundary(fit.end) {
            fit.end -= 1;
        }
        Place { text: self.text.clone(), span: fit }
    }

    /// Reports a mistake of the lock.
    fn wrong<T>(&mut self, place: &Place, message: &str) -> Option<T> {
        let finding = Finding::error("lock", message).at(place, "");
        self.report.add(finding.help("take the committed `image.lock`, or delete it and run `stillframe update`"));
        None
    }

    fn missing<T>(&mut self, table: &Table<'_>, key: &str, expected: &str) -> Option<T> {
        let place = table.tree.get(key).map_or(table.place.clone(), |value| self.place(value.span()));
        let what = if table.tree.contains_key(key) { "is not" } else { "is missing; expected is" };
        self.wrong(&place, &format!("`{key}` {what} {expected}"))
    }

    fn known(&mut self, table: &Table<'_>, keys: &[&str]) {
        for key in table.tree.keys().filter(|key| !keys.contains(&key.get_ref().as_ref())) {
            let place = self.place(key.span());
            let message = format!("the key `{}` is not known here", printable(key.get_ref()));
            let finding = Finding::error("lock", message).at(&place, "");
            self.report.add(finding.help("a newer stillframe may know it; nothing of a lock is passed over"));
        }
    }

    fn text(&mut self, table: &Table<'_>, key: &str) -> Option<String> {
        match table.tree.get(key).and_then(|value| value.get_ref().as_str()) {
            Some(text) if !text.is_empty() => Some(text.to_string()),
            _ => self.missing(table, key, "a string"),
        }
    }

    fn parsed<T: FromStr>(&mut self, table: &Table<'_>, key: &str) -> Option<T> {
        let text = self.text(table, key)?;
        text.parse().ok().or_else(|| self.missing(table, key, "a digest, `sha256:…`"))
    }

    fn number(&mut self, table: &Table<'_>, key: &str) -> Option<i64> {
        let number = match table.tree.get(key).map(Spanned::get_ref) {
            Some(DeValue::Integer(number)) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number.or_else(|| self.missing(table, key, "a number"))
    }

    fn list(&mut self, table: &Table<'_>, key: &str) -> Option<Vec<String>> {
        let array = table.tree.get(key).and_then(|value| value.get_ref().as_array());
        let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_string);
        let list: Option<Vec<String>> = array.and_then(|array| array.iter().map(text).collect());
        list.filter(|list| !list.is_empty()).or_else(|| self.missing(table, key, "a list of strings"))
    }

    fn table<'a>(&mut self, table: &Table<'a>, key: &str) -> Option<Table<'a>> {
        let (name, value) = table.tree.get_key_value(key)?;
        let place = self.place(name.span());
        match value.get_ref().as_table() {
            Some(tree) => Some(Table { place, tree }),
            None => self.wrong(&place, &format!("`{key}` is a table")),
        }
    }

    fn tables<'a>(&mut self, table: &Table<'a>, key: &str) -> Vec<Table<'a>> {
        let Some(value) = table.tree.get(key) else { return Vec::new() };
        let place = self.place(value.span());
        let Some(array) = value.get_ref().as_array() else {
            self.wrong::<()>(&place, &format!("`{key}` is a list of tables, `[[{key}]]`"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array.iter() {
            let place = self.place(item.span());
            match item.get_ref().as_table() {
                Some(tree) => tables.push(Table { place, tree }),
                None => drop(self.wrong::<()>(&place, &format!("`{key}` is a list of tables, `[[{key}]]`"))),
            }
        }
        tables
    }
}
