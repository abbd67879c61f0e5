//! Stage 1: what `[image]`, `[env]` and `[labels]` mean. Written values in, checked ones out; mistakes go into the report. Pure.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::base::{Base, Local};
use super::grammar::nearest;
use super::meant::{Config, Edit, EnvEdit, Healthcheck, Unpinned};
use super::program::Command;
use super::read::{Meaning, tidy, without_scheme};
use super::words;
use super::written::{Env, Spot, View, Written};
use crate::error::{Error, Finding, Place, Result, printable};
use crate::oci::media::{Compression, Encoding};
use crate::oci::{Digest, Reference};

/// The key of the level of compression.
const LEVEL: &str = "compression-level";
/// All levels that an encoder has.
const LEVELS: RangeInclusive<u8> = 1..=19;

/// The base; `scratch` stands in for one that is missing or wrong.
pub(super) fn base(meaning: &mut Meaning, image: &View) -> (Base, Place) {
    let Some(spot) = image.text("base") else { return (Base::Scratch, image.place.clone()) };
    let base = reference(meaning, spot, "base").unwrap_or(Base::Scratch);
    (base, spot.place.clone())
}

/// A pinned image, as `key` names it; one that lacks its digest is noted. Only a base can be `scratch`.
pub(super) fn reference(meaning: &mut Meaning, spot: &Spot<String>, key: &'static str) -> Option<Base> {
    let directory = meaning.beside(&spot.place).to_path_buf();
    let mut unpinned = None;
    let base = meaning.parsed(spot, "base", |text| {
        if text == "scratch" {
            return match key {
                "base" => Ok(Some(Base::Scratch)),
                _ => Err(Error::usage("`scratch` is no image and holds no files").hint("name an image by its digest")),
            };
        }
        for (prefix, make) in [("oci:", Base::Layout as fn(Local) -> Base), ("oci-archive:", Base::Archive)] {
            if let Some(rest) = text.strip_prefix(prefix) {
                return local(&directory, prefix, rest).map(|local| Some(make(local)));
            }
        }
        let reference: Reference = without_scheme(text)?.parse().map_err(|error| bare_digest(text, error))?;
        match reference.clone().pinned() {
            Some(pinned) => Ok(Some(Base::Registry(pinned))),
            None => {
                unpinned = Some(reference);
                Ok(None)
            }
        }
    });
    if let Some(reference) = unpinned {
        let unpinned = Unpinned { key, reference, place: spot.place.clone() };
        if !meaning.unpinned.contains(&unpinned) {
            meaning.unpinned.push(unpinned);
        }
    }
    base.flatten()
}

/// Names the algorithm where a digest stands without it.
fn bare_digest(text: &str, error: Error) -> Error {
    match text.rsplit_once('@') {
        Some((_, hex)) if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            error.hint("write `@sha256:` in front of the 64 digits")
        }
        _ => error,
    }
}

fn local(directory: &std::path::Path, prefix: &str, rest: &str) -> Result<Local> {
    let example = format!("as in `{prefix}path/to/image@sha256:…`");
    let Some((path, digest)) = rest.rsplit_once('@') else {
        return Err(Error::usage(format!("`{prefix}{}` lacks the digest of the image in it", printable(rest)))
            .hint(format!("add it, {example}; `index.json` in the layout holds it")));
    };
    if path.is_empty() {
        return Err(Error::usage(format!("`{prefix}{}` lacks a path", printable(rest))).hint(example));
    }
    let digest: Digest = digest.parse()?;
    Ok(Local { path: tidy(&directory.join(path)), written: path.to_string(), digest })
}

/// How layers are compressed.
pub(super) fn encoding(meaning: &mut Meaning, image: &View) -> Encoding {
    let kind = match image.text("compression").map(|spot| spot.value.as_str()) {
        Some("zstd") => Compression::Zstd,
        Some("none") => Compression::None,
        _ => Compression::Gzip,
    };
    let Some(spot) = image.number(LEVEL) else { return kind.into() };
    // What no encoder has is told by the checker of keys.
    let Some(level) = u8::try_from(spot.value).ok().filter(|level| LEVELS.contains(level)) else { return kind.into() };
    let (what, help) = match kind.most() {
        Some(most) if level <= most => return Encoding { kind, level },
        Some(most) => (
            format!("{} has levels from 1 to {most}, not {level}", kind.name()),
            format!("`compression = \"zstd\"` has levels up to {}", LEVELS.end()),
        ),
        None => (
            "without compression there is no level".to_string(),
            "leave out this key, or ask for \"gzip\" or \"zstd\"".to_string(),
        ),
    };
    meaning.report.add(Finding::error("value", what).at(&spot.place, "").help(help));
    kind.into()
}

/// What is set in the config.
pub(super) fn read(meaning: &mut Meaning, written: &Written) -> Config {
    let image = &written.image;
    let mut config = Config::default();
    if let Some(spot) = image.text("user") {
        config.user = meaning.parsed(spot, "user", words::who).map(|who| (who, spot.place.clone()));
    }
    config.workdir = image.text("workdir").and_then(|spot| meaning.parsed(spot, "path", words::absolute));
    config.stop_signal = image.text("stop-signal").and_then(|spot| meaning.parsed(spot, "signal", words::signal));
    config.entrypoint = command(meaning, image, "entrypoint");
    config.cmd = command(meaning, image, "cmd");
    config.ports = each(meaning, image, "ports", "port", words::port);
    config.volumes = each(meaning, image, "volumes", "path", words::absolute);
    let unset = image.list("unset").map(|list| list.value.clone()).unwrap_or_default();
    config.unset = unset.iter().filter_map(|spot| meaning.parsed(spot, "unset", edit)).collect();
    config.healthcheck = written.healthcheck.as_ref().and_then(|view| healthcheck(meaning, view));
    contradictions(meaning, written, &config, &unset);
    config.env = env(meaning, &written.env);
    config.labels = labels(meaning, &written.labels);
    config
}

/// `[healthcheck]`.
fn healthcheck(meaning: &mut Meaning, view: &View) -> Option<Healthcheck> {
    let names = [
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start-period", "StartPeriod"),
        ("start-interval", "StartInterval"),
    ];
    let spans = names
        .into_iter()
        .filter_map(|(key, name)| Some((name, meaning.parsed(view.text(key)?, "duration", words::nanoseconds)?)))
        .collect();
    let retries = view.number("retries").and_then(|spot| u32::try_from(spot.value).ok());
    Some(Healthcheck { command: command(meaning, view, "command")?, spans, retries })
}

fn command(meaning: &mut Meaning, image: &View, key: &str) -> Option<Command> {
    let words = meaning.list(image, key)?;
    if let Some((first, place)) = words.first()
        && first.is_empty()
    {
        meaning.report.add(Finding::error("empty", format!("the first word of `{key}` is empty")).at(place, ""));
    }
    if let Some((_, place)) = words.iter().find(|(word, _)| word.contains('\0')) {
        meaning.report.add(Finding::error("value", format!("`{key}` holds a NUL character")).at(place, ""));
    }
    let place = words.first()?.1.clone();
    Some(Command { words: words.into_iter().map(|(word, _)| word).collect(), place })
}

fn each(
    meaning: &mut Meaning,
    image: &View,
    key: &str,
    code: &'static str,
    parse: fn(&str) -> Result<String>,
) -> Vec<String> {
    let Some(list) = image.list(key) else { return Vec::new() };
    let spots: Vec<Spot<String>> = list.value.clone();
    let mut values: Vec<String> = spots.iter().filter_map(|spot| meaning.parsed(spot, code, parse)).collect();
    values.sort();
    values.dedup();
    values
}

/// The fields that `unset` knows; those of the second list are maps with keys.
const FIELDS: [&str; 8] = ["cmd", "entrypoint", "user", "workdir", "stop-signal", "healthcheck", "onbuild", "shell"];
const MAPS: [&str; 4] = ["env", "labels", "ports", "volumes"];

fn edit(text: &str) -> Result<Edit> {
    let (field, key) = text.split_once('.').map_or((text, None), |(field, key)| (field, Some(key)));
    let known = MAPS.contains(&field) || FIELDS.contains(&field) && key.is_none();
    if known && key != Some("") {
        return Ok(Edit { field: field.to_string(), key: key.map(str::to_string) });
    }
    let error = Error::usage(format!("`{}` cannot be unset", printable(text)));
    let all = FIELDS.iter().chain(&MAPS).copied();
    Err(match nearest(field, all.clone()) {
        Some(near) if near != field => error.hint(format!("did you mean \"{near}\"?")),
        _ => {
            error.hint(format!("known are: {}; with a name: env.NAME, labels.KEY", all.collect::<Vec<_>>().join(", ")))
        }
    })
}

fn contradictions(meaning: &mut Meaning, written: &Written, config: &Config, unset: &[Spot<String>]) {
    let image = &written.image;
    let set = [
        ("healthcheck", config.healthcheck.is_some()),
        ("user", config.user.is_some()),
        ("workdir", config.workdir.is_some()),
        ("stop-signal", config.stop_signal.is_some()),
        ("entrypoint", config.entrypoint.is_some()),
        ("cmd", config.cmd.is_some()),
    ];
    for spot in unset {
        if let Some((key, _)) = set.iter().find(|(key, there)| *there && *key == spot.value) {
            let mut finding = Finding::error("conflict", format!("`{key}` is set and unset at once"))
                .at(&spot.place, "unset here")
                .help("a value that is set replaces the base's; leave `unset` out");
            let table = written.healthcheck.as_ref().filter(|_| *key == "healthcheck").map(|view| &view.place);
            let place = image.text(key).map(|spot| &spot.place).or(image.list(key).map(|list| &list.place)).or(table);
            if let Some(place) = place {
                finding = finding.and(place, "set here");
            }
            meaning.report.add(finding);
        }
    }
}

fn env(meaning: &mut Meaning, written: &[(Spot<String>, Env)]) -> BTreeMap<String, EnvEdit> {
    let mut all = BTreeMap::new();
    for (name, edit) in written {
        if name.value.is_empty() || name.value.contains(['=', '\0']) {
            meaning.report.add(
                Finding::error("value", format!("`{}` cannot be the name of a variable", printable(&name.value)))
                    .at(&name.place, "it must not be empty and not hold `=`"),
            );
            continue;
        }
        let (spot, make): (_, fn(String) -> EnvEdit) = match edit {
            Env::Set(spot) => (spot, EnvEdit::Set),
            Env::Prepend(spot) => (spot, EnvEdit::Prepend),
            Env::Append(spot) => (spot, EnvEdit::Append),
        };
        if let Some(text) = meaning.text(spot) {
            if text.contains('\0') {
                meaning
                    .report
                    .add(Finding::error("value", "a variable cannot hold a NUL character").at(&spot.place, ""));
            }
            all.insert(name.value.clone(), make(text));
        }
    }
    all
}

fn labels(meaning: &mut Meaning, written: &[(Spot<String>, Spot<String>)]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (key, value) in written {
        if key.value.is_empty() {
            meaning.report.add(Finding::error("value", "a label needs a name").at(&key.place, ""));
        }
        if let Some(text) = meaning.text(value) {
            all.insert(key.value.clone(), text);
        }
    }
    all
}
