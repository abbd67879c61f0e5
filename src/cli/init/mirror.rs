//! Stage 10: which mirror of Debian this machine uses itself, as the lists of its package manager say. Reads those lists; a machine
//! without them has none.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The largest list that is read, in bytes.
const MOST_BYTES: u64 = 256 << 10;

/// Where packages come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    /// The URL that `dists` stands below.
    pub url: String,
    /// The release, as in `bookworm`.
    pub suite: String,
    /// The URL of its security updates, where there is one.
    pub security: Option<String>,
    /// The file of the keys that sign it, where it is not Debian's own.
    pub keyring: Option<String>,
}

/// What the lists below this root say.
pub fn find(root: &Path) -> Option<Mirror> {
    let etc = root.join("etc/apt");
    let mut files: BTreeSet<PathBuf> = BTreeSet::from([etc.join("sources.list")]);
    if let Ok(entries) = fs::read_dir(etc.join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    let mut places = Vec::new();
    for file in &files {
        let small = fs::metadata(file).is_ok_and(|data| data.is_file() && data.len() <= MOST_BYTES);
        let Some(text) = small.then(|| fs::read_to_string(file).ok()).flatten() else { continue };
        match file.extension().and_then(|end| end.to_str()) {
            Some("list") => places.extend(lines(&text)),
            Some("sources") => places.extend(stanzas(&text)),
            _ => {}
        }
    }
    choose(&places)
}

/// The URLs and suites of a list with one source a line.
fn lines(text: &str) -> Vec<(String, String)> {
    let place = |line: &str| {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        // Options stand in brackets before the URL.
        let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
        let mut words = rest.split_whitespace();
        Some((words.next()?.to_string(), words.next()?.to_string()))
    };
    text.lines().filter_map(place).collect()
}

/// The same of a list in stanzas.
fn stanzas(text: &str) -> Vec<(String, String)> {
    let mut places = Vec::new();
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for stanza in kept.join("\n").split("\n\n") {
        let field = |name: &str| {
            let named = |line: &&str| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
            stanza.lines().find(named).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_string())
        };
        let off = field("enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"));
        let binary = field("types").is_some_and(|types| types.split_whitespace().any(|kind| kind == "deb"));
        if off || !binary {
            continue;
        }
        for url in field("uris").unwrap_or_default().split_whitespace() {
            for suite in field("suites").unwrap_or_default().split_whitespace() {
                places.push((url.to_string(), suite.to_string()));
            }
        }
    }
    places
}

/// The first source that is a release of Debian itself, and that of its security updates.
fn choose(places: &[(String, String)]) -> Option<Mirror> {
    let tidy = |url: &str| url.trim_end_matches('/').to_string();
    let web = |url: &str| url.starts_with("http://") || url.starts_with("https://");
    let debian = |(url, suite): &&(String, String)| {
        web(url) && tidy(url).ends_with("/debian") && !suite.contains(['-', '/']) && !suite.is_empty()
    };
    let (url, suite) = places.iter().find(debian)?;
    let security = places.iter().find(|(url, of)| web(url) && *of == format!("{suite}-security"));
    Some(Mirror { url: tidy(url), suite: suite.clone(), security: security.map(|(url, _)| tidy(url)), keyring: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str) -> Option<Mirror> {
        let root = tempfile::tempdir().unwrap();
        let lists = root.path().join("etc/apt/sources.list.d");
        fs::create_dir_all(&lists).unwrap();
        fs::write(lists.join(name), text).unwrap();
        find(root.path())
    }

    #[test]
    fn a_machine_without_lists_has_no_mirror() {
        assert_eq!(find(tempfile::tempdir().unwrap().path()), None);
        assert_eq!(found("a.list", "# deb http://mirror.example.com/debian trixie main\n"), None);
        assert_eq!(found("a.list", "deb http://mirror.example.com/other stable main\n"), None);
        assert_eq!(found("a.list", "deb file:/srv/debian trixie main\n"), None);
    }

    #[test]
    fn lists_of_both_kinds_name_it() {
        let wanted = Mirror {
            url: "http://mirror.example.com/debian".into(),
            suite: "trixie".into(),
            security: Some("http://mirror.example.com/debian-security".into()),
            keyring: None,
        };
        let lines = "deb [arch=amd64 signed-by=/x] http://mirror.example.com/debian/ trixie main\n\
                     deb http://mirror.example.com/debian trixie-updates main\n\
                     deb http://mirror.example.com/debian-security trixie-security main\n";
        assert_eq!(found("a.list", lines), Some(wanted.clone()));
        let stanzas = "Types: deb deb-src\n# a remark\nURIs: http://mirror.example.com/debian\nSuites: trixie trixie-updates\n\n\
                       Types: deb\nURIs: http://mirror.example.com/debian-security\nSuites: trixie-security\n\n\
                       Enabled: no\nTypes: deb\nURIs: http://no.example.com/debian\nSuites: sid\n";
        assert_eq!(found("a.sources", stanzas), Some(wanted));
    }
}
