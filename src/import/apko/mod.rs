//! Between stages 1 and 2: the configuration of apko → a manifest. Pure.

mod contents;
mod paths;

use std::sync::Arc;

use super::Import;
use super::draft::{Entry, What};
use super::sheet::Sheet;
use super::value::{escape, quoted};
use super::yaml::{self, Node, Pair};
use crate::error::{Result, Text};
use crate::manifest::words as rules;

/// Processors as apko writes them, and the platforms they are.
const ARCHS: [(&str, &str); 11] = [
    ("x86_64", "linux/amd64"),
    ("amd64", "linux/amd64"),
    ("aarch64", "linux/arm64"),
    ("arm64", "linux/arm64"),
    ("armv7", "linux/arm/v7"),
    ("arm/v7", "linux/arm/v7"),
    ("armhf", "linux/arm/v6"),
    ("arm/v6", "linux/arm/v6"),
    ("x86", "linux/386"),
    ("386", "linux/386"),
    ("loongarch64", "linux/loong64"),
];

/// Makes a manifest of a configuration.
pub(super) fn import(text: &Arc<Text>) -> Result<Import> {
    let document = yaml::read(text)?;
    let whole = Pair { key: "the file".into(), span: document.span.clone(), node: document };
    let mut sheet = Sheet::new(text, false);
    sheet.draft.image.set("base", quoted("scratch"), vec!["apko begins with nothing.".into()]);
    for pair in sheet.pairs(&whole) {
        top(&mut sheet, pair);
    }
    Ok(sheet.finish())
}

fn top(sheet: &mut Sheet<'_>, pair: &Pair) {
    match pair.key.as_str() {
        "contents" => contents::contents(sheet, pair),
        "entrypoint" => entrypoint(sheet, pair),
        "cmd" => command(sheet, pair, "cmd"),
        "stop-signal" => signal(sheet, pair),
        "work-dir" => sheet.one(pair, "workdir", |path| rules::absolute(path).is_ok()),
        "accounts" => accounts(sheet, pair),
        "environment" => sheet.table(pair, |draft| &mut draft.env),
        "annotations" => sheet.table(pair, |draft| &mut draft.annotations),
        "volumes" => sheet.volumes(pair),
        "paths" => paths::paths(sheet, pair),
        "archs" => archs(sheet, pair),
        "os-release" => os_release(sheet, pair),
        "vcs-url" => match pair.node.scalar() {
            Some(url) if !sheet.draft.annotations.has("org.opencontainers.image.source") => {
                let (url, remarks) = (quoted(&sheet.string(url)), sheet.original(&pair.span));
                sheet.draft.annotations.set("org.opencontainers.image.source", url, remarks);
            }
            _ => sheet.left_in_image(pair, "the source stands in `annotations` too", "keep one of them"),
        },
        "include" => {
            sheet.left_in_image(pair, "a manifest includes no other", "import that file as well, and put both together")
        }
        "layering" => sheet.left_in_image(
            pair,
            "layers are split by what changes together, not by packages",
            "nothing is needed; `layer = \"NAME\"` in an entry makes one of its own",
        ),
        "certificates" => sheet.left_in_body(
            &pair.span,
            "certificates come from files beside the manifest",
            "save them as PEM, and write `[trust-store]` with `src = [\"certificates.pem\"]`",
        ),
        _ => sheet.unknown(pair, "apko"),
    }
}

/// A command as a text that words stand in, or as a list.
fn command(sheet: &mut Sheet<'_>, pair: &Pair, key: &str) {
    match pair.node.scalar().map(shlex::split) {
        Some(Some(words)) => sheet.several(pair, key, &words, |_| true),
        Some(None) => sheet.left_in_image(pair, "its quotes do not end", "write a list of words"),
        None => sheet.listed(pair, key, |_| true),
    }
}

fn entrypoint(sheet: &mut Sheet<'_>, pair: &Pair) {
    if pair.node.scalar().is_some() {
        return command(sheet, pair, "entrypoint");
    }
    sheet.note(&pair.span);
    for one in sheet.pairs(pair) {
        match one.key.as_str() {
            "command" => command(sheet, one, "entrypoint"),
            "shell-fragment" => match one.node.scalar() {
                Some(script) => {
                    let words = ["/bin/sh".to_string(), "-c".into(), script.to_string()];
                    sheet.several(one, "entrypoint", &words, |_| true);
                }
                None => sheet.odd(one, "one text"),
            },
            "type" | "services" => sheet.left_in_image(
                one,
                "an image has one program; no supervisor is put into it",
                "start the supervisor with `entrypoint`, and bring what it reads with `[[file]]`; or make an image for each service",
            ),
            _ => sheet.unknown(one, "apko"),
        }
    }
}

fn signal(sheet: &mut Sheet<'_>, pair: &Pair) {
    let named = pair.node.scalar().map(|text| [text.to_string(), format!("SIG{text}")]);
    match named.into_iter().flatten().find(|text| rules::signal(text).is_ok()) {
        Some(signal) => {
            let remarks = sheet.above(&pair.span);
            sheet.draft.image.set("stop-signal", quoted(&signal), remarks);
        }
        None => sheet.left_in_image(pair, "this is no signal", "set `stop-signal`, as in \"SIGTERM\""),
    }
}

fn archs(sheet: &mut Sheet<'_>, pair: &Pair) {
    let Some(words) = pair.node.words() else { return sheet.odd(pair, "a list of processors") };
    if let Some(word) = words.iter().find(|word| ["all", "host"].contains(&word.as_str())) {
        let why = format!("`{word}` is not the same everywhere");
        return sheet.left_in_image(pair, &why, "write `platforms`, as in [\"linux/amd64\", \"linux/arm64\"]");
    }
    let known = |word: &String| {
        let known = ARCHS.iter().find(|(arch, _)| arch == word);
        known.map_or_else(|| format!("linux/{word}"), |(_, platform)| platform.to_string())
    };
    let names: Vec<String> = words.iter().map(known).collect();
    sheet.platforms(pair, &names);
}

fn accounts(sheet: &mut Sheet<'_>, pair: &Pair) {
    sheet.note(&pair.span);
    for one in sheet.pairs(pair) {
        if one.key != "run-as" {
            sheet.note(&one.span);
        }
        match one.key.as_str() {
            "run-as" => sheet.user(one),
            "users" => {
                for item in sheet.items(one) {
                    account(sheet, item, false);
                }
            }
            "groups" => {
                for item in sheet.items(one) {
                    account(sheet, item, true);
                }
            }
            _ => sheet.unknown(one, "apko"),
        }
    }
}

/// A user or a group.
fn account(sheet: &mut Sheet<'_>, item: &Node, group: bool) {
    let known: &[&str] = match group {
        true => &["groupname", "gid", "members"],
        false => &["username", "uid", "gid", "shell", "homedir"],
    };
    for pair in item.pairs().unwrap_or_default() {
        if !known.contains(&pair.key.as_str()) {
            sheet.unknown(pair, "apko");
        }
    }
    let field = |name: &str| item.field(name).and_then(Node::scalar);
    let number = |name: &str| field(name).map(str::parse::<u32>).transpose().ok();
    let name = field(known[0]).filter(|name| rules::account_name(name).is_ok()).map(String::from);
    let (id, gid) = (number(known[1]).flatten(), number("gid"));
    let home = field("homedir").map(String::from).or_else(|| name.as_ref().map(|name| format!("/home/{name}")));
    let shell = field("shell").unwrap_or("/bin/sh").to_string();
    let fine = [&shell].into_iter().chain(&home).all(|text| text.starts_with('/') && rules::passwd_field(text).is_ok());
    let members = item.field("members").map_or_else(|| Some(Vec::new()), Node::words);
    let (Some(name), Some(id), Some(gid), true, Some(members)) = (name, id, gid, fine, members) else {
        let why = "this account has no name or no number that an image can have";
        return sheet.left_in_body(&item.span, why, "declare it with `[[user]]` or `[[group]]`");
    };
    let remarks = sheet.above(&item.span);
    if group {
        let what = What::Group { name, gid: id, members };
        return sheet.draft.entry(Entry { remarks, ..Entry::new(what, "") });
    }
    let written = |text: &str| Some(escape(text, false));
    let home = home.unwrap_or_default();
    let what = What::User { name, uid: id, gid, home: written(&home), shell: written(&shell) };
    sheet.draft.entry(Entry { remarks, ..Entry::new(what, "") });
    if rules::destination(&home).is_ok() {
        let owner = Some(format!("{id}:{}", gid.unwrap_or(id)));
        let remarks = vec!["The home directory, which apko makes by itself.".into()];
        sheet.draft.entry(Entry { remarks, owner, ..Entry::new(What::Dir, escape(&home, false)) });
    }
}

fn os_release(sheet: &mut Sheet<'_>, pair: &Pair) {
    let mut content = String::new();
    for one in sheet.pairs(pair) {
        let name = one.key.replace('-', "_").to_ascii_uppercase();
        let known = ["ID", "NAME", "PRETTY_NAME", "VERSION_ID", "HOME_URL", "BUG_REPORT_URL"].contains(&name.as_str());
        match one.node.scalar() {
            Some(text) if known => {
                let safe = text.replace(['\n', '\r'], " ");
                let escaped: String = safe
                    .chars()
                    .flat_map(|one| "\"\\$`".contains(one).then_some('\\').into_iter().chain([one]))
                    .collect();
                content += &format!("{name}=\"{escaped}\"\n");
            }
            _ if known => sheet.odd(one, "one text"),
            _ => sheet.unknown(one, "apko"),
        }
    }
    if content.is_empty() {
        return;
    }
    let what = What::Inline { content: escape(&content, false) };
    let mut entry = Entry { replace: true, ..Entry::new(what, "/etc/os-release") };
    entry.remarks = sheet.above(&pair.span);
    entry.remarks.extend(sheet.original(&pair.span));
    sheet.draft.entry(entry);
}
