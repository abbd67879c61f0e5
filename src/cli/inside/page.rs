//! Stage 10: what is inside of an image as one page for a browser: a map of its files, layers, the biggest files, waste. Values in, HTML
//! out; the same image gives the same bytes. Pure.
//!
//! The page loads nothing: its policy lets only its own style and script in, by their digests. Every name in it is escaped by the template,
//! or stands in JSON without `<`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{AutoEscape, Environment};
use serde_json::{Value, json};

use super::files::{leads, percent};
use super::look::Look;
use super::text::{human, mode};
use super::tree::{Branch, branches};
use crate::error::{Error, Result};
use crate::image::inside::{Row, Tree, Twins, Waste, Why, of_tree, raw, shown, twins, waste};
use crate::oci::Digest;
use crate::source::inside::Inside;

const PAGE: &str = include_str!("../../../templates/inside/page.html");
const STYLE: &str = include_str!("../../../templates/inside/style.css");
const SCRIPT: &str = include_str!("../../../templates/inside/script.js");
/// How many rows each list has.
const MOST_ROWS: usize = 40;
/// How many paths of one content are listed.
const MOST_PATHS: usize = 8;

/// The page.
pub fn html(look: &Look, inside: &[Inside], tree: &Tree) -> Result<String> {
    let rows = of_tree(tree);
    let (waste, twins) = (waste(tree), twins(tree));
    let extra: u64 = twins.iter().map(Twins::extra).sum();
    let context = json!({
        "policy": policy(),
        "style": STYLE,
        "script": SCRIPT,
        "image": { "title": look.title, "platform": look.platform, "digest": look.digest() },
        "tiles": tiles(look, tree, &rows),
        "layers": layers(look, inside, tree),
        "biggest": biggest(look, &rows),
        "wasted": size(tree.stored_bytes() - tree.seen_bytes()),
        "waste": waste.iter().take(MOST_ROWS).map(|one| wasted(look, one)).collect::<Vec<_>>(),
        "waste_more": waste.len().saturating_sub(MOST_ROWS),
        "twice": size(extra),
        "twins": twins.iter().take(MOST_ROWS).map(same).collect::<Vec<_>>(),
        "twins_more": twins.len().saturating_sub(MOST_ROWS),
        "data": data(look, &rows),
    });
    let mut environment = Environment::empty();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("safe", minijinja::filters::safe);
    let page = environment.render_str(PAGE, given(&context));
    page.map_err(|cause| Error::bug("the page of an image cannot be written").because(cause))
}

/// The same value for the template.
fn given(value: &Value) -> minijinja::Value {
    match value {
        Value::Null => minijinja::Value::from(()),
        Value::Bool(yes) => minijinja::Value::from(*yes),
        Value::Number(number) => minijinja::Value::from(number.as_u64().unwrap_or_default()),
        Value::String(text) => minijinja::Value::from(text.as_str()),
        Value::Array(list) => minijinja::Value::from(list.iter().map(given).collect::<Vec<_>>()),
        Value::Object(map) => {
            let pairs: BTreeMap<String, minijinja::Value> =
                map.iter().map(|(key, value)| (key.clone(), given(value))).collect();
            minijinja::Value::from(pairs)
        }
    }
}

/// What the page may load: nothing but itself.
fn policy() -> String {
    let digest = |text: &str| format!("'sha256-{}'", STANDARD.encode(Digest::of(text.as_bytes()).bytes()));
    format!(
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}

fn size(bytes: u64) -> Value {
    json!({ "value": human(bytes), "exact": format!("{bytes} bytes") })
}

fn tiles(look: &Look, tree: &Tree, rows: &[Row<'_>]) -> Vec<Value> {
    let tile = |what: &str, value: String, exact: String| json!({ "what": what, "value": value, "exact": exact });
    let bytes = |what: &str, bytes: u64| tile(what, human(bytes), format!("{bytes} bytes"));
    let files = rows.iter().filter(|row| row.size().is_some()).count();
    let wasted = tree.stored_bytes() - tree.seen_bytes();
    let mut tiles = vec![
        bytes("in files", tree.seen_bytes()),
        bytes("over the wire", look.wire()),
        tile("files", files.to_string(), format!("{} paths", rows.len())),
        tile("layers", look.manifest.layers.len().to_string(), String::new()),
        tile("efficiency", percent(tree.efficiency()), "of the bytes that are shipped are seen".to_string()),
    ];
    if wasted > 0 {
        let mut tile = bytes("shipped and not seen", wasted);
        tile["bad"] = json!(tree.efficiency() < 0.9);
        tiles.push(tile);
    }
    tiles
}

fn layers(look: &Look, inside: &[Inside], tree: &Tree) -> Vec<Value> {
    let all = tree.stored_bytes().max(1);
    let one = |(at, (layer, inside)): (usize, (&crate::oci::Descriptor, &Inside))| {
        let step = look.steps.iter().find(|step| step.layer == Some(at));
        let by = step.and_then(|step| step.created_by.clone()).unwrap_or_default();
        json!({
            "from": name(look, at),
            "by": raw(by.as_bytes()),
            "files": inside.held.len(),
            "wire": size(layer.size),
            "size": size(inside.bytes()),
            "part": u128::from(inside.bytes()) * 100 / u128::from(all),
            "digest": layer.digest,
            "short": layer.digest.short(),
        })
    };
    look.manifest.layers.iter().zip(inside).enumerate().map(one).collect()
}

/// What a layer is called: what made it, in few words.
fn name(look: &Look, at: usize) -> String {
    let maker = look.maker(at);
    if !maker.is_empty() {
        return maker;
    }
    let step = look.steps.iter().find(|step| step.layer == Some(at));
    let words = step.and_then(|step| step.created_by.as_deref()).unwrap_or_default();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = words.strip_prefix("/bin/sh -c ").unwrap_or(&words);
    let words = words.strip_prefix("#(nop) ").unwrap_or(words).trim();
    let short: String = raw(words.as_bytes()).chars().take(70).collect();
    if short.is_empty() { format!("layer {}", at + 1) } else { short }
}

/// Where a path comes from: its line of the manifest, and its layer.
fn from(look: &Look, path: &[u8], layer: u32) -> String {
    let layer = format!("layer {} · {}", layer + 1, name(look, layer as usize));
    look.origins.get(path).map_or_else(|| layer.clone(), |line| format!("{line} · {layer}"))
}

fn biggest(look: &Look, rows: &[Row<'_>]) -> Vec<Value> {
    let mut files: Vec<&Row<'_>> = rows.iter().filter(|row| row.bytes() > 0).collect();
    files.sort_by_key(|row| (Reverse(row.bytes()), row.path));
    let one = |row: &&Row<'_>| {
        let from = look.origins.get(row.path).cloned().unwrap_or_else(|| format!("layer {}", row.layer + 1));
        json!({ "path": shown(row.path), "size": size(row.bytes()), "from": from })
    };
    files.iter().take(MOST_ROWS).map(one).collect()
}

fn wasted(look: &Look, one: &Waste) -> Value {
    let (layer, by) = (one.layer + 1, one.by + 1);
    let name = name(look, one.by as usize);
    let files = if one.files > 1 { format!("{} files ", one.files) } else { String::new() };
    let words = match one.why {
        Why::Removed => format!("{files}in layer {layer}, removed by layer {by} · {name}"),
        Why::Replaced => format!("{files}in layer {layer}, replaced by layer {by} · {name}"),
        Why::Facts => format!(
            "{files}in layer {layer}, stored again by layer {by} only to change mode, owner, time or attributes · {name}"
        ),
        Why::Again => format!("{files}in layer {layer}, stored again by layer {by}, unchanged · {name}"),
    };
    json!({ "path": shown(&one.path), "size": size(one.size), "words": words })
}

fn same(one: &Twins) -> Value {
    json!({
        "size": size(one.extra()),
        "paths": one.paths.iter().take(MOST_PATHS).map(|path| shown(path)).collect::<Vec<_>>(),
        "more": one.paths.len().saturating_sub(MOST_PATHS),
    })
}

/// Words that many nodes share, each stored once.
#[derive(Default)]
struct Words {
    known: BTreeMap<String, usize>,
    all: Vec<String>,
}

impl Words {
    fn place(&mut self, word: String) -> usize {
        *self.known.entry(word).or_insert_with_key(|word| {
            self.all.push(word.clone());
            self.all.len() - 1
        })
    }
}

/// The files for the map, as JSON that can stand in a page (`templates/inside/script.js` says how).
fn data(look: &Look, rows: &[Row<'_>]) -> String {
    let (mut facts, mut origins) = (Words::default(), Words::default());
    let tree = node(look, &branches(rows), "/", &mut facts, &mut origins);
    let layers = look.manifest.layers.len();
    let names: Vec<String> = (0..layers).map(|at| format!("{} · {}", at + 1, name(look, at))).collect();
    let data = json!({ "layers": names, "facts": facts.all, "origins": origins.all, "tree": tree });
    // These stand in texts only, and there their escapes are the same.
    let special = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")];
    special.iter().fold(data.to_string(), |text, (character, escape)| text.replace(*character, escape))
}

fn node(look: &Look, branch: &Branch<'_>, name: &str, facts: &mut Words, origins: &mut Words) -> Value {
    let row = branch.row;
    let own = row.map_or(0, Row::bytes);
    let words = row.map_or(String::new(), |row| match row.held {
        Some(held) => format!("{} {}:{}", mode(row), held.uid, held.gid),
        None => mode(row),
    });
    let fact = facts.place(words);
    let origin = origins.place(row.map_or(String::new(), |row| from(look, row.path, row.layer)));
    let layer = row.map_or(0, |row| row.layer);
    let mut parts = vec![json!(name), json!(own), json!(fact), json!(origin), json!(layer)];
    let directory = row.is_none_or(|row| row.what.word() == "directory");
    if directory || !branch.below.is_empty() {
        let below = branch.below.iter().map(|(name, child)| node(look, child, &raw(name), facts, origins));
        parts.push(below.collect());
    } else if let Some(row) = row {
        match (row.what.word(), leads(row)) {
            ("file", leads) if leads.is_empty() => {}
            (_, leads) => parts.push(json!(leads)),
        }
    }
    Value::Array(parts)
}
