//! Stage 10: images, layers and files as JSON. Values in, JSON out (`templates/schema`). Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::look::{Line, Look};
use crate::image::inside::{Row, Step, Twins, Waste, What, attribute, raw, shown, time};
use crate::source::inside::{Inside, Name};

/// An image: what it is.
pub fn image(look: &Look) -> Value {
    json!({
        "reference": look.name,
        "digest": look.digest(),
        "mediaType": look.descriptor.media_type,
        "platform": look.platform,
        "wire": look.wire(),
    })
}

/// The layers of an image, lowest first; `inside` holds what was read of them.
pub fn layers(look: &Look, inside: &[Option<&Inside>]) -> Vec<Value> {
    let layers = look.manifest.layers.iter().enumerate();
    layers
        .map(|(at, layer)| {
            let seen = inside.get(at).copied().flatten();
            json!({
                "number": at + 1,
                "digest": layer.digest,
                "mediaType": layer.media_type,
                "diffId": look.config.rootfs.diff_ids.get(at),
                "from": word(look.maker(at)),
                "wire": layer.size,
                "unpacked": seen.map(Inside::bytes),
                "entries": seen.map(|inside| inside.held.len() + inside.whiteouts.len()),
                "annotations": layer.annotations,
            })
        })
        .collect()
}

/// A step of the history.
pub fn step(look: &Look, step: &Step, inside: &[Inside]) -> Value {
    let layer = step.layer.and_then(|at| look.manifest.layers.get(at));
    json!({
        "layer": step.layer.map(|at| at + 1),
        "digest": layer.map(|layer| layer.digest),
        "diffId": step.layer.and_then(|at| look.config.rootfs.diff_ids.get(at)),
        "wire": layer.map_or(0, |layer| layer.size),
        "size": step.layer.and_then(|at| inside.get(at)).map_or(0, Inside::bytes),
        "created": step.created,
        "createdBy": step.created_by,
        "comment": step.comment,
        "author": step.author,
        "from": word(step.maker.words()),
        "lines": step.layer.and_then(|at| look.lines.get(at)).map(|lines| lines.iter().map(line).collect::<Vec<_>>()),
    })
}

fn line(line: &Line) -> Value {
    json!({ "place": line.place, "table": line.table, "dest": format!("/{}", line.dest) })
}

fn word(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A path of an image or a layer. What a row does not have is left out.
pub fn row(look: &Look, row: &Row<'_>) -> Value {
    let mut value = named(row.path);
    let Some(map) = value.as_object_mut() else { return value };
    map.insert("type".into(), json!(row.what.word()));
    map.insert("layer".into(), json!(row.layer + 1));
    if let Some(line) = look.origins.get(row.path) {
        map.insert("line".into(), json!(line));
    }
    if let Some(held) = row.held {
        map.insert("mode".into(), json!(format!("{:04o}", held.mode)));
        map.insert("uid".into(), json!(held.uid));
        map.insert("gid".into(), json!(held.gid));
        map.insert("mtime".into(), json!(held.modified.map(time)));
    }
    match &row.what {
        What::File { size, digest, twin } => {
            map.insert("size".into(), json!(size));
            map.insert("digest".into(), json!(digest));
            if let Some(twin) = twin {
                map.insert("hardlink".into(), json!(shown(twin)));
            }
        }
        What::Link(target) => drop(map.insert("target".into(), json!(raw(target)))),
        What::Lower(target) => drop(map.insert("hardlink".into(), json!(shown(target)))),
        What::Character(major, minor) | What::Block(major, minor) => {
            map.insert("device".into(), json!([major, minor]));
        }
        What::Directory { opaque: true } => drop(map.insert("opaque".into(), json!(true))),
        What::Directory { .. } | What::Fifo | What::Whiteout => {}
    }
    let xattrs: serde_json::Map<String, Value> =
        row.xattrs().map(|(name, value)| (raw(name), attribute(value))).collect();
    if !xattrs.is_empty() {
        map.insert("xattrs".into(), Value::Object(xattrs));
    }
    value
}

/// A path: as it can be shown, and in base64 where that is not what it is.
pub fn named(path: &[u8]) -> Value {
    let shown = shown(path);
    match shown.as_bytes().get(1..) == Some(path) {
        true => json!({ "path": shown }),
        false => json!({ "path": shown, "pathBase64": STANDARD.encode(path) }),
    }
}

/// Bytes that are shipped and not seen.
pub fn waste(waste: &Waste) -> Value {
    json!({
        "path": shown(&waste.path),
        "size": waste.size,
        "files": waste.files,
        "layer": waste.layer + 1,
        "hiddenBy": waste.by + 1,
        "why": waste.why.word(),
    })
}

/// Files with one content.
pub fn twins(twins: &Twins) -> Value {
    let path = |path: &Name| shown(path);
    json!({
        "digest": twins.digest,
        "size": twins.size,
        "extra": twins.extra(),
        "paths": twins.paths.iter().map(path).collect::<Vec<_>>(),
    })
}
