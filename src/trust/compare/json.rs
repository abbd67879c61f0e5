//! Stage 8: the first difference of two JSON documents. Their bytes in, half a sentence out. Pure.

use serde_json::Value;

use crate::error::printable;

/// Most characters of a value that are shown.
const SHOWN: usize = 120;

/// Where `theirs` and `ours` begin to differ; `what` is their name.
pub fn first(what: &str, theirs: &[u8], ours: &[u8]) -> String {
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let found = read(theirs).zip(read(ours)).and_then(|(theirs, ours)| differ("", Some(&theirs), Some(&ours)));
    found.map_or_else(|| format!("{what} says the same in other bytes"), |found| format!("{what}, {found}"))
}

fn differ(at: &str, theirs: Option<&Value>, ours: Option<&Value>) -> Option<String> {
    match (theirs, ours) {
        (Some(Value::Object(theirs)), Some(Value::Object(ours))) => {
            let mut keys: Vec<&String> = theirs.keys().chain(ours.keys()).collect();
            keys.sort();
            let below = |key: &String| if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            keys.into_iter().find_map(|key| differ(&below(key), theirs.get(key), ours.get(key)))
        }
        (Some(Value::Array(theirs)), Some(Value::Array(ours))) => (0..theirs.len().max(ours.len()))
            .find_map(|place| differ(&format!("{at}[{place}]"), theirs.get(place), ours.get(place))),
        (theirs, ours) if theirs == ours => None,
        (theirs, ours) => Some(format!("`{}`: {} in the image, {} here", printable(at), shown(theirs), shown(ours))),
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_string() };
    let text = printable(&value.to_string());
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_by_its_path() {
        let check = |theirs: &str, ours: &str, expect: &str| {
            assert_eq!(first("the config", theirs.as_bytes(), ours.as_bytes()), expect);
        };
        check(
            r#"{"b":1,"a":{"x":[1,2]}}"#,
            r#"{"b":2,"a":{"x":[1,3]}}"#,
            "the config, `a.x[1]`: 2 in the image, 3 here",
        );
        check(r#"{"a":1}"#, r#"{"a":1,"b":"new"}"#, "the config, `b`: nothing in the image, \"new\" here");
        check(r#"{"a":[1]}"#, r#"{"a":[]}"#, "the config, `a[0]`: 1 in the image, nothing here");
        check(r#"{"a":1}"#, r#"{ "a": 1 }"#, "the config says the same in other bytes");
    }
}
