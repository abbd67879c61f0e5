//! Stage 1: what the entries (`[[file]]`, `[[binary]]` …) mean. Written tables in, checked items out; mistakes go into the report. Pure.

use std::sync::Arc;

use super::inputs;
use super::meant::{Copy, Item, Link, Source, Template, What};
use super::read::{Meaning, tidy};
use super::words;
use super::written::{Spot, View, Written};
use crate::error::{Finding, Place};

/// The mode of copied directories.
const DIR_MODE: u16 = 0o755;

/// All entries in the order of the file; one that makes no sense is left out, one with a wrong destination keeps its source.
pub(super) fn read(meaning: &mut Meaning, written: &Written) -> Vec<Item> {
    written.items.iter().filter_map(|(table, view)| item(meaning, table, view)).collect()
}

fn item(meaning: &mut Meaning, table: &'static str, view: &View) -> Option<Item> {
    let account = ["user", "group"].contains(&table);
    let dest = match view.text("dest") {
        Some(spot) => meaning.parsed(spot, "path", words::destination),
        None => None,
    };
    let what = match table {
        "binary" => binary(meaning, view),
        "file" => file(meaning, view),
        "dir" => Some(What::Dir),
        "symlink" => symlink(meaning, view),
        "user" => user(meaning, view),
        "group" => group(meaning, view),
        "archive" => inputs::archive(meaning, view).map(What::Archive),
        "copy" => inputs::taken(meaning, view).map(What::Taken),
        "trust-store" => inputs::trust_store(meaning, view).map(What::TrustStore),
        "skeleton" => Some(What::Skeleton(inputs::skeleton(view))),
        _ => Some(What::Remove),
    };
    let owner =
        view.text("owner").and_then(|spot| Some((meaning.parsed(spot, "user", words::who)?, spot.place.clone())));
    let layer = view.text("layer").and_then(|spot| layer(meaning, spot));
    // Where the destination is wrong, which is reported, the item still stands for its source.
    let (dest, into) = dest.clone().unwrap_or_default();
    let place = view.text(if account { "name" } else { "dest" }).map_or(&view.place, |spot| &spot.place).clone();
    let root = into && dest.is_empty();
    if root && !(matches!(what, Some(What::Copy(_) | What::Archive(_) | What::Taken(_)))) {
        meaning.report.add(
            Finding::error("path", format!("`/` cannot be the destination of a `[[{table}]]`"))
                .at(&place, "only a directory's contents can be copied to `/`"),
        );
        return None;
    }
    let mode = view.mode("mode").map(|mode| mode.value);
    Some(Item { table, place, dest, into, what: what?, mode, owner, layer, replace: view.is("replace") })
}

fn layer(meaning: &mut Meaning, spot: &Spot<String>) -> Option<String> {
    let name = meaning.text(spot)?;
    let fits = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !fits {
        meaning.report.add(
            Finding::error("value", "the name of a layer is made of letters, digits, `.`, `_` and `-`")
                .at(&spot.place, ""),
        );
    }
    fits.then_some(name)
}

/// A file or directory of the context.
pub(super) fn source(meaning: &mut Meaning, spot: &Spot<String>) -> Option<Source> {
    let written = meaning.text(spot)?;
    if written.is_empty() || written.contains('\0') {
        meaning.report.add(
            Finding::error("missing-source", "`src` is empty or holds a NUL character")
                .at(&spot.place, "")
                .help("name a file or directory, relative to the manifest; `.` is the manifest's own directory"),
        );
        return None;
    }
    Some(Source { path: tidy(&meaning.directory.join(&written)), written, place: spot.place.clone() })
}

fn binary(meaning: &mut Meaning, view: &View) -> Option<What> {
    let link = match view.text("link").map(|spot| spot.value.as_str()) {
        Some("static") => Link::Static,
        Some("dynamic") => Link::Dynamic,
        _ => Link::Any,
    };
    let mut capabilities = 0;
    for spot in view.list("capabilities").map(|list| list.value.clone()).unwrap_or_default() {
        capabilities |= meaning.parsed(&spot, "capability", words::capability).map_or(0, |bit| 1u64 << bit);
    }
    let source = source(meaning, view.text("src")?)?;
    Some(What::Binary { source, link, capabilities })
}

fn file(meaning: &mut Meaning, view: &View) -> Option<What> {
    match (view.text("src"), view.text("content")) {
        (Some(src), Some(content)) => {
            meaning.report.add(
                Finding::error("conflict", "`src` and `content` stand in one `[[file]]`")
                    .at(&content.place, "the content is here")
                    .and(&src.place, "and the file is here")
                    .help("keep one of them"),
            );
            None
        }
        (None, None) => {
            // A `src` of a wrong type was reported as such.
            if !meaning.report.all().iter().any(|finding| inside(finding, &view.place)) {
                meaning.report.add(
                    Finding::error("missing-key", "a `[[file]]` needs `src` or `content`")
                        .at(&view.place, "")
                        .help("add `src = \"path\"`, or `content = \"…\"` for a small text"),
                );
            }
            None
        }
        (None, Some(content)) => {
            only_for_sources(meaning, view);
            Some(What::Inline(Arc::from(meaning.text(content)?.into_bytes())))
        }
        (Some(src), None) if view.is("template") => {
            only_for_sources(meaning, view);
            Some(What::Template(Template { source: source(meaning, src)?, scope: meaning.scope.clone() }))
        }
        (Some(src), None) => {
            let copy = Copy {
                source: source(meaning, src)?,
                include: meaning.list(view, "include").unwrap_or_default(),
                exclude: meaning.list(view, "exclude").unwrap_or_default(),
                dir_mode: view.mode("dir-mode").map_or(DIR_MODE, |mode| mode.value),
            };
            Some(What::Copy(copy))
        }
    }
}

/// Whether a finding lies in the table whose header is at `header`.
fn inside(finding: &Finding, header: &Place) -> bool {
    let rest = &header.text.text[header.span.end..];
    let end = rest.find("\n[").map_or(header.text.text.len(), |at| header.span.end + at);
    let at = |place: &Place| (header.span.start..end).contains(&place.span.start);
    finding.place.iter().any(|(place, _)| at(place))
}

fn only_for_sources(meaning: &mut Meaning, view: &View) {
    for key in ["include", "exclude"] {
        if let Some(list) = view.list(key) {
            meaning.report.add(
                Finding::error("conflict", format!("`{key}` has no meaning for a single file"))
                    .at(&list.place, "")
                    .help("it chooses from the directory that `src` copies"),
            );
        }
    }
    for key in
        ["dir-mode"].into_iter().chain((view.text("content").is_some() && view.is("template")).then_some("template"))
    {
        let place = view.mode(key).map_or(&view.place, |mode| &mode.place);
        if key == "template" {
            meaning.report.add(
                Finding::error("conflict", "`template` has no meaning for `content`")
                    .at(place, "")
                    .help("`content` is always rendered; leave `template` out"),
            );
        } else if view.mode(key).is_some() {
            meaning
                .report
                .add(Finding::error("conflict", format!("`{key}` has no meaning for a single file")).at(place, ""));
        }
    }
}

fn symlink(meaning: &mut Meaning, view: &View) -> Option<What> {
    let spot = view.text("target")?;
    let target = meaning.text(spot)?;
    if target.is_empty() || target.contains('\0') || target.len() > 4095 {
        meaning
            .report
            .add(Finding::error("path", "the target of a link has 1 to 4095 bytes and no NUL").at(&spot.place, ""));
        return None;
    }
    Some(What::Symlink { target })
}

fn user(meaning: &mut Meaning, view: &View) -> Option<What> {
    let name = view
        .text("name")
        .and_then(|spot| meaning.parsed(spot, "user", |text| words::account_name(text).map(str::to_string)));
    let mut field = |key: &str, default: &str| match view.text(key) {
        Some(spot) => meaning.parsed(spot, "user", words::passwd_field),
        None => Some(default.to_string()),
    };
    let (home, shell, comment) = (field("home", "/"), field("shell", "/sbin/nologin"), field("comment", ""));
    let uid = view.number("uid").and_then(|number| u32::try_from(number.value).ok());
    let gid = view.number("gid").map_or(uid, |number| u32::try_from(number.value).ok());
    Some(What::User { name: name?, uid: uid?, gid: gid?, home: home?, shell: shell?, comment: comment? })
}

fn group(meaning: &mut Meaning, view: &View) -> Option<What> {
    let parse = |text: &str| words::account_name(text).map(str::to_string);
    let name = view.text("name").and_then(|spot| meaning.parsed(spot, "user", parse));
    let members = view.list("members").map(|list| list.value.clone()).unwrap_or_default();
    let members = members.iter().filter_map(|spot| meaning.parsed(spot, "user", parse)).collect();
    let gid = view.number("gid").and_then(|number| u32::try_from(number.value).ok());
    Some(What::Group { name: name?, gid: gid?, members })
}
