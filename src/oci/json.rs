//! Stage 0: the one way JSON is written and read. A value in, canonical bytes out; untrusted bytes in, a value out. Pure.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// Most values in one document that came from outside: each takes far more memory than the one or two bytes that can make it (LIM-01).
const MOST_VALUES: usize = 200_000;

/// The canonical bytes of a document: compact, object keys sorted by their UTF-8 bytes at every level (`docs/format-1.md`).
///
/// The order does not lean on serde_json's map type, which another crate's feature could change.
pub fn canonical(value: &impl Serialize) -> Vec<u8> {
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    let mut out = Vec::new();
    write(&value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push(b'{');
            for (at, key) in keys.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(&Value::String(key.clone()), out);
                out.push(b':');
                write(&map[key], out);
            }
            out.push(b'}');
        }
        scalar => out.extend_from_slice(scalar.to_string().as_bytes()),
    }
}

/// Reads a document that came from outside; `what` names it for the error.
pub fn read<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    if values(bytes) > MOST_VALUES {
        return Err(Error::remote(format!("{what} holds over {MOST_VALUES} values, which is the limit")));
    }
    serde_json::from_slice(bytes)
        .map_err(|cause| Error::remote(format!("{what} is not what it should be")).because(cause))
}

/// How many values a document can hold at most: what lies between commas and after brackets, outside of strings.
fn values(bytes: &[u8]) -> usize {
    let (mut count, mut quoted, mut escaped) = (1, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b'[' | b'{' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_level() {
        let value: Value = serde_json::from_str(r#"{"b":{"z":1,"a":[{"y":1,"x":"é\n"}]},"a":null}"#).unwrap();
        assert_eq!(String::from_utf8(canonical(&value)).unwrap(), r#"{"a":null,"b":{"a":[{"x":"é\n","y":1}],"z":1}}"#);
    }
    #[test]
    fn lim_01_a_document_has_so_many_values_and_no_more() {
        let list = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert!(read::<Value>(list(MOST_VALUES - 1).as_bytes(), "it").is_ok());
        let error = read::<Value>(list(MOST_VALUES).as_bytes(), "it").unwrap_err();
        assert!(error.message().contains("over 200000 values"), "{error}");
        let text = format!(r#"{{"a":"{}\\\",{}"}}"#, ",".repeat(MOST_VALUES), "[{".repeat(MOST_VALUES));
        assert!(read::<Value>(text.as_bytes(), "it").is_ok(), "what stands in a string is one value");
    }
}
