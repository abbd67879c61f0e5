//! Stage 1: what to say of a key that the manifest does not know. A name and the table it stands in in, a finding out. Pure.

use crate::error::{Finding, Place, printable};
use crate::manifest::grammar::workspace::DEFAULTS;
use crate::manifest::grammar::{self, Kind, MANIFEST, Table, nearest};

/// Words of other tools, and where what they mean stands here.
const ELSEWHERE: [(&str, &str); 10] = [
    ("digest", "the digest stands in `base`: `base = \"name:tag@sha256:…\"`"),
    ("from", "what the image stands on is `base` under `[image]`"),
    ("run", "no command is ever run; copy what it would make with `[[file]]`"),
    ("expose", "ports are `ports` under `[image]`, as in `ports = [\"8080/tcp\"]`"),
    (
        "command",
        "the default arguments are `cmd` under `[image]`; a check of health has its `command` under `[healthcheck]`",
    ),
    ("args", "the default arguments are `cmd` under `[image]`"),
    ("copy", "files of this machine are copied with `[[file]]`, those of another image with `[[copy]]`"),
    ("add", "files are added with `[[file]]`, archives with `[[archive]]`"),
    ("tag", "tags are rules under `[tags]`, as in `fixed = [\"edge\"]`"),
    ("environment", "variables stand under `[env]`"),
];

/// The table of defaults for `[image]`.
const SHARED: &str = "workspace.defaults.image";

/// The finding for this key.
pub(super) fn unknown(name: &str, place: &Place, grammar: &'static Table) -> Finding {
    let shown = printable(name);
    let of = if grammar.name == MANIFEST.name { "here".to_string() } else { format!("in `{}`", grammar.name) };
    let finding = Finding::error("unknown-key", format!("the key `{shown}` is not known {of}"));
    let likely = if grammar.name == DEFAULTS.name { Some(&MANIFEST) } else { None };
    let likely = likely.or(if grammar.name == SHARED { table_of("image") } else { None });
    if likely.is_some_and(|table| table.key(name).is_some()) {
        return finding.at(place, "").help("it is no default: each member says it in its own manifest");
    }
    if let Some(Kind::Env | Kind::Map { .. }) = MANIFEST.key(name).map(|key| &key.kind) {
        let help = format!("`[{shown}]` is a table of its own: write `[{shown}]`, and below it `NAME = \"value\"`");
        return finding.at(place, "").help(help);
    }
    let shouted = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if let Some(near) = grammar.nearest(name).filter(|near| !shouted || name.eq_ignore_ascii_case(near)) {
        return finding.at(place, format!("did you mean `{near}`?"));
    }
    let finding = finding.at(place, "");
    // Other tools mean the base and the arguments by them, not what `[[copy]]` and `[healthcheck]` mean.
    let first = |word: &str| ["from", "command"].contains(&word) && name.eq_ignore_ascii_case(word);
    if let Some((_, hint)) = ELSEWHERE.iter().find(|(word, _)| first(word)) {
        return finding.help(*hint);
    }
    for name in [name, &name.to_ascii_lowercase()] {
        let owners = owners(name);
        if !owners.is_empty() {
            return finding.help(format!("`{name}` belongs under {owners}"));
        }
    }
    let word = nearest(name, ELSEWHERE.iter().map(|(word, _)| *word));
    if let Some((_, hint)) = ELSEWHERE.iter().find(|(known, _)| Some(*known) == word) {
        return finding.help(*hint);
    }
    if shouted {
        return finding.help("a variable of the environment belongs under `[env]`");
    }
    let all = grammar::tables().into_iter().flat_map(|(_, table)| table.keys.iter().map(|key| key.name));
    if let Some(near) = nearest(name, all) {
        return finding.help(format!("did you mean `{near}` under {}?", self::owners(near)));
    }
    let known: Vec<&str> = grammar.keys.iter().map(|key| key.name).collect();
    finding.help(format!("known are: {}", known.join(", ")))
}

/// The table under this key of the manifest.
fn table_of(name: &str) -> Option<&'static Table> {
    match &MANIFEST.key(name)?.kind {
        Kind::Table(table) => Some(table),
        _ => None,
    }
}

/// The tables that know this key, as they are headed.
fn owners(name: &str) -> String {
    let headed = MANIFEST.keys.iter().filter_map(|key| match &key.kind {
        Kind::Table(table) if table.key(name).is_some() => Some(format!("`[{}]`", key.name)),
        Kind::Tables(table) if table.key(name).is_some() => Some(format!("`[[{}]]`", key.name)),
        _ => None,
    });
    let headed: Vec<String> = headed.collect();
    match headed.as_slice() {
        [several @ .., last] if !several.is_empty() => format!("{} or {last}", several.join(", ")),
        _ => headed.concat(),
    }
}
