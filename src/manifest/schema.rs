//! Stage 1: the JSON Schema of `image.toml`, made from the grammar that the checker uses. Pure.

use serde_json::{Map, json};

use super::grammar::workspace::DEFAULTS;
use super::grammar::{Kind, MANIFEST, Table};
use super::rules::{MOST, Value};

/// The schema (JSON Schema draft 2020-12), as editors read it.
pub fn schema() -> serde_json::Value {
    let mut root = table(&MANIFEST);
    let map = root.as_object_mut();
    if let Some(map) = map {
        map.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        // The root of a workspace need not be an image itself, and may have a base for its members: whether they have one is seen in two files.
        map.insert("required".into(), json!(["schema"]));
        map["properties"]["image"]["required"] = json!([]);
        map.insert("title".into(), json!("stillframe image.toml"));
        let rules = Value::ALL.iter().map(|value| (value.name().to_string(), table(value.table())));
        map.insert("$defs".into(), rules.collect::<Map<String, serde_json::Value>>().into());
    }
    root
}

fn table(table: &Table) -> serde_json::Value {
    let properties: Map<String, serde_json::Value> = table
        .keys
        .iter()
        .map(|key| {
            let mut value = kind(&key.kind);
            if let Some(map) = value.as_object_mut() {
                map.insert("description".into(), json!(key.about));
            }
            (key.name.to_string(), value)
        })
        .collect();
    let required: Vec<&str> = table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    json!({
        "type": "object",
        "description": table.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The tables of defaults are those of a manifest, but for what no images have in common.
fn defaults(defaults: &Table) -> serde_json::Value {
    let mut value = table(defaults);
    for key in defaults.keys.iter().filter(|key| key.name != "image") {
        value["properties"][key.name] =
            json!({ "$ref": format!("#/properties/{}", key.name), "description": key.about });
    }
    value
}

fn kind(kind: &Kind) -> serde_json::Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::OneOf(words) => json!({ "enum": words }),
        Kind::TextOrList => {
            json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] })
        }
        Kind::List { some } => json!({ "type": "array", "items": { "type": "string" }, "minItems": i32::from(*some) }),
        Kind::WordOrFalse(word) => json!({ "enum": [word, false] }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Number { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Mode => {
            json!({ "oneOf": [{ "type": "string", "pattern": "^[0-7]{4}$" }, { "type": "integer", "minimum": 0, "maximum": 0o7777 }] })
        }
        Kind::Table(inner) if inner.name == DEFAULTS.name => defaults(inner),
        Kind::Table(inner) => table(inner),
        Kind::Tables(inner) => json!({ "type": "array", "items": table(inner) }),
        Kind::Map { levels } => {
            let inner: Map<String, serde_json::Value> = levels
                .iter()
                .map(|level| {
                    (level.to_string(), json!({ "type": "object", "additionalProperties": { "type": "string" } }))
                })
                .collect();
            json!({ "type": "object", "properties": inner, "additionalProperties": { "type": "string" } })
        }
        Kind::Env => {
            let edit = |how: &str| json!({ "type": "object", "properties": { how: { "type": "string" } }, "required": [how], "additionalProperties": false });
            json!({ "type": "object", "additionalProperties": { "oneOf": [{ "type": "string" }, edit("prepend"), edit("append")] } })
        }
        Kind::Named(inner) => json!({ "type": "object", "additionalProperties": table(inner) }),
        Kind::Rule(value) => rule(*value),
    }
}

/// A rule is a lone value, a table, or, where paths can differ, a list of tables.
fn rule(value: Value) -> serde_json::Value {
    let table = json!({ "$ref": format!("#/$defs/{}", value.name()) });
    let lone = match value {
        Value::Whole { bare: true } => json!({ "enum": ["deny", "warn", "allow"] }),
        Value::Whole { bare: false } | Value::Paths => json!({ "enum": ["deny", "warn"] }),
        Value::Size | Value::SizePaths => json!({ "type": "string" }),
        Value::Count => json!({ "type": "integer", "minimum": 1, "maximum": MOST }),
        Value::Words => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
    };
    match value {
        Value::Paths | Value::SizePaths => {
            json!({ "oneOf": [lone, table, { "type": "array", "items": table, "minItems": 1 }] })
        }
        _ => json!({ "oneOf": [lone, table] }),
    }
}
