//! Stage 10: what `inspect` shows to people. An overview in, text out. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::inspect::Overview;
use super::look::Look;
use super::text::{Ink, Side, Style, columns};
use crate::error::printable;
use crate::image::inside::raw;
use crate::oci::{Config, Descriptor, media};
use crate::source::inside::Inside;
use crate::trust::about::About;

type Row = Vec<(String, Option<Ink>)>;

/// The whole page.
pub fn text(overview: &Overview, style: Style) -> String {
    let mut rows: Vec<Row> = vec![pair("digest", &overview.root.digest.to_string())];
    rows.push(pair("media type", &overview.root.media_type));
    let unpacked = |at: usize| overview.unpacked(at).map_or("unknown".to_string(), |bytes| style.size(bytes));
    let mut sizes = format!("{} over the wire", style.size(overview.wire()));
    if let [look] = overview.looks.as_slice() {
        sizes += &format!(", {} unpacked", unpacked(0));
        rows.push(pair("platform", &look.platform));
    }
    rows.push(pair("size", &sizes));
    if let Some(count) = overview.verified {
        rows.push(pair("verified", &format!("{count} digests and diff IDs were derived again, all are right")));
    }
    let mut text = style.ink(Ink::Bold, &printable(&overview.name)) + "\n" + &table(style, &rows);
    text += &pairs(style, "annotations of the index", &overview.annotations);
    if let [look] = overview.looks.as_slice() {
        text += &one(style, look, overview.inside.first().map(Vec::as_slice).unwrap_or_default());
    } else if overview.looks.is_empty() {
        text += &format!("\n{}\n", style.ink(Ink::Bold, "blobs"));
        let row = |blob: &Descriptor| -> Row {
            vec![
                (style.size(blob.size), None),
                (blob.digest.to_string(), Some(Ink::Dim)),
                (printable(&blob.media_type), None),
            ]
        };
        let rows: Vec<Row> = overview.blobs.iter().map(row).collect();
        text += &columns(style, &[Side::Right, Side::Left, Side::Left], &rows);
    } else {
        text += &format!("\n{}\n", style.ink(Ink::Bold, "platforms"));
        let line = |(at, look): (usize, &Look)| -> Row {
            let layers = super::text::count(look.manifest.layers.len() as u64, "layer", "layers");
            vec![
                (look.platform.clone(), None),
                (look.digest().to_string(), Some(Ink::Dim)),
                (style.size(look.wire()), None),
                (unpacked(at), None),
                (layers, None),
            ]
        };
        let head = ["PLATFORM", "DIGEST", "WIRE", "UNPACKED", "LAYERS"].map(|word| (word.into(), Some(Ink::Bold)));
        let rows: Vec<Row> = [head.to_vec()].into_iter().chain(overview.looks.iter().enumerate().map(line)).collect();
        let (left, right) = (Side::Left, Side::Right);
        text += &columns(style, &[left, left, right, right, left], &rows);
        if let Some(look) = overview.looks.first() {
            text += &style.ink(Ink::Dim, &format!("`--platform {}` shows all of one\n", look.platform));
        }
    }
    text + &attached(style, &overview.attached)
}

fn pair(key: &str, value: &str) -> Row {
    vec![(key.to_string(), Some(Ink::Dim)), (printable(value), None)]
}

fn table(style: Style, rows: &[Row]) -> String {
    columns(style, &[Side::Left, Side::Left], rows)
}

fn pairs(style: Style, title: &str, map: &BTreeMap<String, String>) -> String {
    if map.is_empty() {
        return String::new();
    }
    let rows: Vec<Row> = map.iter().map(|(key, value)| pair(&printable(key), value)).collect();
    format!("\n{}\n{}", style.ink(Ink::Bold, title), table(style, &rows))
}

fn one(style: Style, look: &Look, inside: &[Option<Inside>]) -> String {
    let mut rows: Vec<Row> = vec![pair("digest", &look.manifest.config.digest.to_string())];
    let mut word = |key: &str, value: &str| {
        if !value.is_empty() {
            rows.push(pair(key, value));
        }
    };
    word("created", look.config.created.as_deref().unwrap_or_default());
    let config: &Config = &look.config.config;
    word("user", &config.user);
    word("entrypoint", &list(&config.entrypoint));
    word("cmd", &list(&config.cmd));
    word("workdir", &config.working_dir);
    word("stop signal", &config.stop_signal);
    word("ports", &keys(&config.exposed_ports));
    word("volumes", &keys(&config.volumes));
    for (key, value) in &config.rest {
        // The old engines' defaults say nothing.
        if ["Healthcheck", "Shell", "OnBuild"].contains(&key.as_str()) && !value.is_null() {
            word(&key.to_lowercase(), &value.to_string());
        }
    }
    config.env.iter().for_each(|pair| word("env", pair));
    let mut text = format!("\n{}\n{}", style.ink(Ink::Bold, "config"), table(style, &rows));
    text += &pairs(style, "labels", &config.labels);
    text += &pairs(style, "annotations", &look.manifest.annotations);
    text + &layers(style, look, inside)
}

fn list(words: &[String]) -> String {
    if words.is_empty() { String::new() } else { Value::from(words.to_vec()).to_string() }
}

fn keys(map: &BTreeMap<String, Value>) -> String {
    map.keys().cloned().collect::<Vec<_>>().join(" ")
}

fn layers(style: Style, look: &Look, inside: &[Option<Inside>]) -> String {
    if look.manifest.layers.is_empty() {
        return String::new();
    }
    let head = ["LAYER", "WIRE", "UNPACKED", "TYPE", "DIGEST", "FROM"].map(|word| (word.into(), Some(Ink::Bold)));
    let mut rows: Vec<Row> = vec![head.to_vec()];
    for (at, layer) in look.manifest.layers.iter().enumerate() {
        let seen = inside.get(at).and_then(Option::as_ref);
        let kind =
            media::layer(&layer.media_type).map_or_else(|| raw(layer.media_type.as_bytes()), |kind| kind.name().into());
        rows.push(vec![
            ((at + 1).to_string(), None),
            (style.size(layer.size), None),
            (seen.map_or("unknown".into(), |inside| style.size(inside.bytes())), None),
            (kind, None),
            (layer.digest.to_string(), Some(Ink::Dim)),
            (look.maker(at), Some(Ink::Cyan)),
        ]);
    }
    let (left, right) = (Side::Left, Side::Right);
    let table = columns(style, &[right, right, right, left, left, left], &rows);
    format!("\n{}\n{table}", style.ink(Ink::Bold, "layers"))
}

/// What was found beside the image. Nothing of it is verified.
fn attached(style: Style, attached: &[About]) -> String {
    if attached.is_empty() {
        return String::new();
    }
    let row = |about: &About| -> Row {
        let subject = about.subject.map_or(String::new(), |subject| format!("of {}", subject.short()));
        vec![
            (about.kind.to_string(), Some(Ink::Cyan)),
            (about.format.to_string(), None),
            (style.size(about.size), None),
            (about.digest.to_string(), Some(Ink::Dim)),
            (subject, None),
            (printable(about.says.as_deref().unwrap_or_default()), None),
        ]
    };
    let rows: Vec<Row> = attached.iter().map(row).collect();
    let (left, right) = (Side::Left, Side::Right);
    let table = columns(style, &[left, left, right, left, left, left], &rows);
    let title = style.ink(Ink::Bold, "signatures and attestations");
    format!("\n{title} {}\n{table}", style.ink(Ink::Dim, "(found, not verified)"))
}
