//! Stage 8: an inventory as CycloneDX 1.6 (ECMA-424 and its JSON schema). Pure.
//!
//! A layer is no component there: its files belong to the image itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::inventory::{How, Inventory, Part, What};
use super::uuid;

/// The document.
pub fn document(inventory: &Inventory) -> Value {
    let shown = inventory.parts.iter().enumerate().filter(|(_, part)| part.what != What::Layer);
    let mut components: Vec<Value> = shown.map(|(at, part)| component(at, part)).collect();
    let image = if components.is_empty() { Value::Null } else { components.remove(0) };
    let tool = json!({ "type": "application", "name": "stillframe", "version": env!("CARGO_PKG_VERSION") });
    let mut document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": inventory.created,
            "tools": { "components": [tool] },
            "component": image,
        },
        "components": components,
        "dependencies": dependencies(inventory),
    });
    document["serialNumber"] = json!(uuid(&document));
    document
}

fn component(at: usize, part: &Part) -> Value {
    let kind = match part.what {
        What::Image | What::Base | What::Source => "container",
        What::System => "operating-system",
        What::File | What::Archive => "file",
        What::Package | What::Layer | What::Module(_) => "library",
    };
    let mut component = Map::new();
    let mut put = |key: &str, value: Value| drop(component.insert(key.to_string(), value));
    put("type", json!(kind));
    put("bom-ref", json!(reference(at)));
    put("name", json!(part.name));
    if let Some(version) = &part.version {
        put("version", json!(version));
    }
    if let Some(purl) = &part.purl {
        put("purl", json!(purl));
    }
    if let Some(url) = &part.download {
        put("externalReferences", json!([{ "type": "distribution", "url": url }]));
    }
    if let Some(licence) = &part.licence {
        put("licenses", json!([{ "license": { "name": licence } }]));
    }
    if let Some(source) = &part.source {
        put("properties", json!([{ "name": "stillframe:source-package", "value": source }]));
    }
    let (sha256, sha1) = &part.digests;
    let digests = [("SHA-1", sha1.clone()), ("SHA-256", sha256.map(|digest| digest.hex()))];
    let digests: Vec<Value> =
        digests.into_iter().filter_map(|(name, value)| Some(json!({ "alg": name, "content": value? }))).collect();
    if !digests.is_empty() {
        put("hashes", json!(digests));
    }
    Value::Object(component)
}

fn reference(at: usize) -> String {
    format!("part-{at}")
}

/// What each component holds or needs; those that need nothing say so too.
fn dependencies(inventory: &Inventory) -> Vec<Value> {
    let layer = |at: usize| inventory.parts.get(at).is_some_and(|part| part.what == What::Layer);
    let mut needs: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for at in (0..inventory.parts.len()).filter(|at| !layer(*at)) {
        needs.entry(at).or_default();
    }
    for (from, how, to) in inventory.links.iter().filter(|(_, _, to)| !layer(*to)) {
        // What only helped to build is not in the image.
        if *how != How::BuiltWith {
            needs.entry(if layer(*from) { 0 } else { *from }).or_default().insert(*to);
        }
    }
    let entry = |(at, needs): (usize, BTreeSet<usize>)| {
        let needs: Vec<String> = needs.into_iter().map(reference).collect();
        if needs.is_empty() {
            json!({ "ref": reference(at) })
        } else {
            json!({ "ref": reference(at), "dependsOn": needs })
        }
    };
    needs.into_iter().map(entry).collect()
}
