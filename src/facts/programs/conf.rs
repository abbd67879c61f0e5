//! Between stages 0 and 1: the texts that say where libraries are: `ld.so.conf` and what it includes, the cache that `ldconfig` makes of it, musl's
//! `.path`. Texts in, directories and names out; what is odd is passed over. Pure.

use std::collections::BTreeMap;

use globset::GlobBuilder;

use super::view::View;

/// Where glibc's texts stand.
const CONF: &str = "etc/ld.so.conf";
const CACHE: &str = "etc/ld.so.cache";
const INCLUDED: &str = "etc/ld.so.conf.d/";
/// What the name of musl's text begins and ends with.
const MUSL: (&str, &str) = ("etc/ld-musl-", ".path");
/// Deepest `include` in an included file, and most directories that are named.
const DEEPEST: usize = 4;
const MOST_DIRECTORIES: usize = 1024;

/// Whether a file, by its path without a leading `/`, is a text that a loader reads; its content is kept.
pub fn is_text(path: &[u8]) -> bool {
    let below = |start: &str, end: &str| {
        path.strip_prefix(start.as_bytes())
            .and_then(|rest| rest.strip_suffix(end.as_bytes()))
            .is_some_and(|name| !name.is_empty() && !name.contains(&b'/'))
    };
    path == CONF.as_bytes() || path == CACHE.as_bytes() || below(INCLUDED, "") || below(MUSL.0, MUSL.1)
}

/// The directories that `ld.so.conf` names, in its order.
pub(super) fn directories(view: &dyn View) -> Vec<String> {
    let mut all = Vec::new();
    include(view, CONF, 0, &mut all);
    all
}

fn include(view: &dyn View, path: &str, depth: usize, all: &mut Vec<String>) {
    let Some(text) = view.text(path) else { return };
    for line in String::from_utf8_lossy(&text).lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let mut words = line.split([' ', '\t', ',', ':']).filter(|word| !word.is_empty());
        match words.next() {
            Some("include") if depth < DEEPEST => {
                for pattern in words {
                    matching(view, pattern).iter().for_each(|path| include(view, path, depth + 1, all));
                }
            }
            None | Some("include" | "hwcap") => {}
            Some(first) => {
                // The form `DIRECTORY=TYPE` is older than all that is in use.
                let directory = |word: &str| word.split('=').next().unwrap_or_default().to_string();
                let named = [first].into_iter().chain(words).map(directory).filter(|word| word.starts_with('/'));
                let room = MOST_DIRECTORIES.saturating_sub(all.len());
                all.extend(named.take(room));
            }
        }
    }
}

/// The files that a pattern of `include` names; one that is not absolute is meant in `/etc`.
fn matching(view: &dyn View, pattern: &str) -> Vec<String> {
    let whole = if pattern.starts_with('/') { pattern.to_string() } else { format!("/etc/{pattern}") };
    let (directory, name) = whole.rsplit_once('/').unwrap_or(("", &whole));
    let Ok(glob) = GlobBuilder::new(name).literal_separator(true).build() else { return Vec::new() };
    let matcher = glob.compile_matcher();
    let names = view.names(directory).into_iter().filter(|name| matcher.is_match(name));
    names.map(|name| format!("{directory}/{name}")).collect()
}

/// The directories of musl's text for an architecture; `None` where there is no text.
pub(super) fn musl_directories(view: &dyn View, arch: &str) -> Option<Vec<String>> {
    let text = view.text(&format!("{}{arch}{}", MUSL.0, MUSL.1))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let directories = text.split(['\n', ':']).filter(|directory| !directory.is_empty()).map(str::to_string);
    Some(directories.take(MOST_DIRECTORIES).collect())
}

/// The libraries that the cache of `ldconfig` lists, by name; `None` where there is no cache, or none that is known here.
pub(super) fn cache(view: &dyn View, big: bool) -> Option<BTreeMap<String, Vec<String>>> {
    read_cache(&view.text(CACHE)?, big)
}

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";
const OLD_HEAD: usize = 16;
const OLD_ENTRY: usize = 12;
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEAD: usize = 48;
const ENTRY: usize = 24;

/// Reads a cache (glibc, `sysdeps/generic/dl-cache.h`). Entries for processors with special abilities are left out: each has a twin.
pub(super) fn read_cache(bytes: &[u8], big: bool) -> Option<BTreeMap<String, Vec<String>>> {
    let number = |bytes: &[u8], at: usize| {
        let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some((if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }) as usize)
    };
    // Until glibc 2.31 the old form stood in front, and the new one behind it.
    let start = match bytes.starts_with(OLD_MAGIC) {
        false => 0,
        true => {
            let count = number(bytes, OLD_MAGIC.len())?;
            OLD_HEAD.checked_add(count.checked_mul(OLD_ENTRY)?)?.checked_next_multiple_of(8)?
        }
    };
    let bytes = bytes.get(start..).filter(|bytes| bytes.starts_with(MAGIC))?;
    let count = number(bytes, MAGIC.len())?;
    let text = |at: usize| {
        let rest = bytes.get(at..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(rest.get(..end)?).ok().map(str::to_string)
    };
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in bytes.get(HEAD..)?.chunks_exact(ENTRY).take(count) {
        let plain = entry.get(16..24).is_some_and(|abilities| abilities.iter().all(|byte| *byte == 0));
        if let (true, Some(name), Some(path)) = (plain, text(number(entry, 4)?), text(number(entry, 8)?)) {
            all.entry(name).or_default().push(path);
        }
    }
    Some(all)
}
