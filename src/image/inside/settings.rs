//! Stage 7: how the configs, annotations and layers of two images differ. JSON in, each key that differs with both values out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::oci::DiffId;

/// The parts of a config that tell of layers, which are compared on their own.
const OF_LAYERS: [&str; 2] = ["history", "rootfs"];

/// A key that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As it stands in the config (`config.Env.PATH`), or in the manifest (`annotations.KEY`).
    pub key: String,
    /// What it was; nothing where it was not there.
    pub from: Option<Value>,
    /// What it is; nothing where it is not there.
    pub to: Option<Value>,
}

/// The layers that two images have, by diff ID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// How many layers of the second image the first has too, wherever they stand.
    pub shared: usize,
    /// Whether those stand in the same order in both.
    pub ordered: bool,
    /// The others of the first image, counted from 1.
    pub before: Vec<(usize, DiffId)>,
    /// The others of the second.
    pub after: Vec<(usize, DiffId)>,
}

/// Each key of two configs and the annotations of their manifests that differs, by key.
pub fn settings(
    before: (&Value, &BTreeMap<String, String>),
    after: (&Value, &BTreeMap<String, String>),
) -> Vec<Setting> {
    let (old, new) = (flat(before), flat(after));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    differs.map(|key| Setting { key: key.clone(), from: old.get(key).cloned(), to: new.get(key).cloned() }).collect()
}

fn flat((config, annotations): (&Value, &BTreeMap<String, String>)) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    for (key, value) in config.as_object().into_iter().flatten() {
        if !OF_LAYERS.contains(&key.as_str()) {
            add(&mut flat, key, value);
        }
    }
    flat.extend(annotations.iter().map(|(key, value)| (format!("annotations.{key}"), json!(value))));
    flat
}

fn add(flat: &mut BTreeMap<String, Value>, at: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(map) if map.is_empty() => {}
        Value::Object(map) => children(flat, at, map),
        Value::Array(list) if list.is_empty() => {}
        Value::Array(list) if at == "config.Env" => match variables(list) {
            Some(map) => children(flat, at, &map),
            None => drop(flat.insert(at.to_string(), value.clone())),
        },
        // Older engines write what is not set.
        Value::String(text) if text.is_empty() && at.starts_with("config.") => {}
        Value::Bool(false) if at.starts_with("config.") => {}
        _ => drop(flat.insert(at.to_string(), value.clone())),
    }
}

fn children(flat: &mut BTreeMap<String, Value>, at: &str, map: &Map<String, Value>) {
    for (key, value) in map {
        let at = format!("{at}.{key}");
        let set = ["config.ExposedPorts.", "config.Volumes."].iter().any(|set| at.starts_with(set));
        let named = ["config.Labels.", "config.Env."].iter().any(|named| at.starts_with(named));
        // A label and a variable may be empty; the members of a set say nothing but that they are there.
        match value {
            _ if set => drop(flat.insert(at, json!(true))),
            Value::String(_) if named => drop(flat.insert(at, value.clone())),
            _ => add(flat, &at, value),
        }
    }
}

/// Variables by name; nothing where two have one name, as then their order counts.
fn variables(list: &[Value]) -> Option<Map<String, Value>> {
    let mut map = Map::new();
    for pair in list {
        let (name, value) = pair.as_str()?.split_once('=').unwrap_or((pair.as_str()?, ""));
        if map.insert(name.to_string(), json!(value)).is_some() {
            return None;
        }
    }
    Some(map)
}

/// Which layers two images share.
pub fn layers(before: &[DiffId], after: &[DiffId]) -> Layers {
    let mut left: Vec<(usize, DiffId)> = (1..).zip(before.iter().copied()).collect();
    let (mut shared, mut new) = (Vec::new(), Vec::new());
    for (number, diff_id) in (1..).zip(after.iter().copied()) {
        match left.iter().position(|(_, known)| *known == diff_id) {
            Some(at) => shared.push(left.remove(at).0),
            None => new.push((number, diff_id)),
        }
    }
    Layers { shared: shared.len(), ordered: shared.is_sorted(), before: left, after: new }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;

    #[test]
    fn configs_are_compared_key_by_key() {
        let none = BTreeMap::new();
        let check = |old: Value, new: Value, expect: &[(&str, Option<Value>, Option<Value>)]| {
            let found = settings((&old, &none), (&new, &none));
            let found: Vec<_> = found.into_iter().map(|one| (one.key, one.from, one.to)).collect();
            let expect: Vec<_> =
                expect.iter().map(|(key, from, to)| (key.to_string(), from.clone(), to.clone())).collect();
            assert_eq!(found, expect);
        };
        check(json!({"os": "linux"}), json!({"os": "linux"}), &[]);
        check(
            json!({"config": {"Env": ["A=1", "B=2", "C"]}}),
            json!({"config": {"Env": ["B=3", "A=1", "D=="]}}),
            &[
                ("config.Env.B", Some(json!("2")), Some(json!("3"))),
                ("config.Env.C", Some(json!("")), None),
                ("config.Env.D", None, Some(json!("="))),
            ],
        );
        check(
            json!({"config": {"Env": ["A=1", "A=2"]}}),
            json!({"config": {"Env": ["A=2"]}}),
            &[("config.Env", Some(json!(["A=1", "A=2"])), None), ("config.Env.A", None, Some(json!("2")))],
        );
        check(
            json!({"config": {"Cmd": ["a", "b"], "ExposedPorts": {"80/tcp": {}}, "Tty": false, "User": ""}}),
            json!({"config": {"Cmd": ["a"], "Labels": {"x": ""}, "Cpu": null}}),
            &[
                ("config.Cmd", Some(json!(["a", "b"])), Some(json!(["a"]))),
                ("config.ExposedPorts.80/tcp", Some(json!(true)), None),
                ("config.Labels.x", None, Some(json!(""))),
            ],
        );
        check(json!({"history": [1], "rootfs": {"diff_ids": ["a"]}}), json!({}), &[]);
    }

    #[test]
    fn annotations_have_their_own_keys() {
        let map = |value: &str| BTreeMap::from([("a.b".to_string(), value.to_string())]);
        let found = settings((&json!({}), &map("1")), (&json!({}), &map("2")));
        assert_eq!(found, [Setting { key: "annotations.a.b".into(), from: Some(json!("1")), to: Some(json!("2")) }]);
    }

    #[test]
    fn layers_are_shared_wherever_they_stand() {
        let check = |before: &str, after: &str, shared, ordered, old: &[usize], new: &[usize]| {
            let ids = |text: &str| text.bytes().map(|byte| DiffId(Digest::of(&[byte]))).collect::<Vec<_>>();
            let numbers = |layers: &[(usize, DiffId)]| layers.iter().map(|(number, _)| *number).collect::<Vec<_>>();
            let found = layers(&ids(before), &ids(after));
            assert_eq!((found.shared, found.ordered), (shared, ordered), "{before} {after}");
            assert_eq!(
                (numbers(&found.before), numbers(&found.after)),
                (old.to_vec(), new.to_vec()),
                "{before} {after}"
            );
        };
        check("", "", 0, true, &[], &[]);
        check("ab", "acb", 2, true, &[], &[2]);
        check("abc", "axc", 2, true, &[2], &[2]);
        check("ab", "ba", 2, false, &[], &[]);
        check("aa", "a", 1, true, &[2], &[]);
    }
}
