//! Between stages 1 and 2: `paths` of apko → entries. Pure.

use crate::error::printable;
use crate::import::draft::{Entry, What};
use crate::import::sheet::Sheet;
use crate::import::value::escape;
use crate::import::yaml::{Node, Pair};
use crate::manifest::words as rules;

/// What an item of `paths` may say.
const KEYS: [&str; 7] = ["path", "type", "uid", "gid", "permissions", "source", "recursive"];

/// Makes an entry of each path.
pub fn paths(sheet: &mut Sheet<'_>, pair: &Pair) {
    sheet.note(&pair.span);
    for item in sheet.items(pair) {
        one(sheet, item);
    }
}

fn one(sheet: &mut Sheet<'_>, item: &Node) {
    for pair in item.pairs().unwrap_or_default() {
        if !KEYS.contains(&pair.key.as_str()) {
            sheet.unknown(pair, "apko");
        } else if pair.node.scalar().is_none() {
            sheet.odd(pair, "one text");
        }
    }
    let field = |name: &str| item.field(name).and_then(Node::scalar);
    let path = field("path").unwrap_or_default();
    let mode = field("permissions").map(permissions);
    let (uid, gid) = (number(field("uid")), number(field("gid")));
    let (Ok(_), Some(uid), Some(gid), false) = (rules::destination(path), uid, gid, mode == Some(None)) else {
        let why = format!("`{}` is no path of the image, or its owner or permissions are no numbers", printable(path));
        return sheet.left_in_body(&item.span, &why, "declare it with `[[dir]]`, `[[file]]` or `[[symlink]]`");
    };
    let mode = mode.flatten();
    let owner = (uid, gid) != (0, 0);
    let owner = owner.then(|| format!("{uid}:{gid}"));
    let dest = escape(path, false);
    let source = field("source").unwrap_or_default();
    let what = match field("type").unwrap_or_default() {
        "directory" => What::Dir,
        "empty-file" => What::Inline { content: String::new() },
        "symlink" if !source.is_empty() => What::Link { target: escape(source, false) },
        "hardlink" if !source.is_empty() => {
            let why = "the manifest makes no hard links";
            let advice = "a symbolic link stands below; with `[[file]]` there would be a second file";
            sheet.left_in_body(&item.span, why, advice);
            What::Link { target: escape(source, false) }
        }
        "permissions" => return permit(sheet, item, &dest, mode, owner),
        _ => {
            let advice = "declare it with `[[dir]]`, `[[file]]` or `[[symlink]]`";
            return sheet.left_in_body(&item.span, "this is no kind of path that is known here", advice);
        }
    };
    if recursive(item) {
        let why = "the mode and the owner of a directory are its own, not those of what is in it";
        sheet.left_in_body(&item.span, why, "say `mode`, `dir-mode` and `owner` in the entry that brings the files");
    }
    let remarks = sheet.above(&item.span);
    let mode = mode.filter(|_| !matches!(what, What::Link { .. }));
    sheet.draft.entry(Entry { remarks, mode, owner, ..Entry::new(what, dest) });
}

fn recursive(item: &Node) -> bool {
    item.field("recursive").and_then(Node::scalar).is_some_and(|text| text != "false")
}

/// The mode and the owner of something that stands above already.
fn permit(sheet: &mut Sheet<'_>, item: &Node, dest: &str, mode: Option<String>, owner: Option<String>) {
    let known = sheet.draft.entries_mut().find(|entry| {
        matches!(entry.what, What::Dir | What::Inline { .. }) && entry.path() == dest.trim_end_matches('/')
    });
    match known {
        Some(entry) if !recursive(item) => {
            entry.mode = mode;
            entry.owner = owner;
        }
        _ => {
            let why = "what packages bring keeps the mode and the owner that it has there";
            let advice = "declare a directory with `[[dir]]` and `replace = true`; put a file of your own into its place with `[[file]]`";
            sheet.left_in_body(&item.span, why, advice);
        }
    }
}

/// A number; nothing is 0, as apko has it.
fn number(text: Option<&str>) -> Option<u32> {
    text.map_or(Some(0), |text| text.parse().ok())
}

/// Permissions as YAML has numbers: `0o755` and `0755` in octal digits, `493` in decimal ones.
fn permissions(text: &str) -> Option<String> {
    let bits = match text.strip_prefix("0o").or_else(|| text.strip_prefix('0')) {
        Some("") => 0,
        Some(octal) => u32::from_str_radix(octal, 8).ok()?,
        None => text.parse().ok()?,
    };
    (bits <= 0o7777).then(|| format!("{bits:04o}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_numbers_of_yaml() {
        for (text, mode) in [("0o755", "0755"), ("0644", "0644"), ("493", "0755"), ("0", "0000"), ("0o1777", "1777")] {
            assert_eq!(permissions(text).as_deref(), Some(mode), "{text}");
        }
        assert_eq!(permissions("rwx"), None);
        assert_eq!(permissions("0o10000"), None);
    }
}
