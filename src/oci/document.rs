//! Stage 0: image manifests and indexes. Untrusted bytes in, exactly one type out, or a refusal. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::descriptor::Descriptor;
use super::{json, media};
use crate::error::{Error, Result};

/// Most layers in one image manifest.
pub const MOST_LAYERS: usize = 1000;
/// Most entries in one index.
pub const MOST_ENTRIES: usize = 10_000;
/// Largest manifest or index in bytes; registries must take 4 MiB (distribution spec, "Pushing manifests").
pub const MOST_BYTES: u64 = 4 << 20;

/// An image manifest. Unknown fields are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u8,
    /// Always written; foreign manifests may lack it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The kind of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The config blob.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub layers: Vec<Descriptor>,
    /// What this manifest refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What else stands there.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// An image index. Unknown fields are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u8,
    /// Always written; foreign indexes may lack it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The kind of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The children.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub manifests: Vec<Descriptor>,
    /// What this index refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What else stands there.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// What a manifest digest can lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one at a time, never a list of them")]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

impl Document {
    /// The media type that it names itself, if it does.
    pub fn media_type(&self) -> Option<&str> {
        let own = match self {
            Document::Manifest(manifest) => &manifest.media_type,
            Document::Index(index) => &index.media_type,
        };
        Some(own.as_str()).filter(|own| !own.is_empty())
    }

    /// Reads bytes that came from outside. `declared` is the media type that a descriptor or a header named, if any;
    /// it must agree with the body, and the body with itself (CVE-2021-41190; distribution spec).
    pub fn read(bytes: &[u8], declared: Option<&str>, what: &str) -> Result<Document> {
        if bytes.len() as u64 > MOST_BYTES {
            return Err(Error::remote(format!("{what} has {} bytes, the limit is {MOST_BYTES}", bytes.len())));
        }
        let value: Value = json::read(bytes, what)?;
        let own = value.get("mediaType").and_then(Value::as_str);
        let has = |key: &str| value.get(key).is_some_and(|value| !value.is_null());
        let (list, image) = (has("manifests"), has("layers") || has("config"));
        let refuse = |why: String| Err(Error::remote(format!("{what} is refused: {why}")));
        if list && image {
            return refuse("it is ambiguous, it holds both `manifests` and `layers`".into());
        }
        if !list && !image {
            return refuse("it holds neither `manifests` nor `layers`".into());
        }
        if value.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
            return refuse("its `schemaVersion` is not 2".into());
        }
        for named in [own, declared].into_iter().flatten() {
            let fits = match named {
                media::INDEX | media::DOCKER_LIST => list,
                media::MANIFEST | media::DOCKER_MANIFEST => image,
                _ => return refuse(format!("`{}` is not the media type of an image or index", named.escape_debug())),
            };
            if !fits {
                return refuse(format!("its content is not of the media type `{named}`"));
            }
        }
        if let (Some(own), Some(declared)) = (own, declared)
            && own != declared
        {
            return refuse(format!("it calls itself `{own}` but was handed out as `{declared}`"));
        }
        Document::typed(value, list, what)
    }

    fn typed(value: Value, list: bool, what: &str) -> Result<Document> {
        let wrong = |cause: serde_json::Error| Error::remote(format!("{what} is not what it should be")).because(cause);
        if list {
            let index: Index = serde_json::from_value(value).map_err(wrong)?;
            if index.manifests.len() > MOST_ENTRIES {
                return Err(Error::remote(format!(
                    "{what} has {} entries, the limit is {MOST_ENTRIES}",
                    index.manifests.len()
                )));
            }
            return Ok(Document::Index(index));
        }
        let manifest: Manifest = serde_json::from_value(value).map_err(wrong)?;
        if manifest.layers.len() > MOST_LAYERS {
            return Err(Error::remote(format!(
                "{what} has {} layers, the limit is {MOST_LAYERS}",
                manifest.layers.len()
            )));
        }
        Ok(Document::Manifest(manifest))
    }
}

/// Reads `null` like an absent field (skopeo and others write it).
pub(super) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "0".repeat(64))
    }

    fn manifest(extra: &str) -> String {
        let digest = digest();
        format!(r#"{{"schemaVersion":2,"config":{{"mediaType":"x","digest":"{digest}","size":2}},"layers":[]{extra}}}"#)
    }

    #[test]
    fn one_type_or_refused() {
        let read = |text: &str, declared| Document::read(text.as_bytes(), declared, "the manifest");
        assert!(matches!(read(&manifest(""), Some(media::MANIFEST)), Ok(Document::Manifest(_))));
        assert!(matches!(read(r#"{"schemaVersion":2,"manifests":[]}"#, Some(media::INDEX)), Ok(Document::Index(_))));
        assert!(read(&manifest(r#","manifests":[]"#), None).is_err());
        assert!(read(&manifest(&format!(r#","mediaType":"{}""#, media::MANIFEST)), Some(media::INDEX)).is_err());
        assert!(read(&manifest(&format!(r#","mediaType":"{}""#, media::INDEX)), None).is_err());
        assert!(read(&manifest(""), Some(media::INDEX)).is_err());
        assert!(read(r#"{"schemaVersion":1,"layers":[]}"#, None).is_err());
        for size in ["-1", "1.5", "9223372036854775808", "18446744073709551616", "\"2\""] {
            assert!(read(&manifest("").replace("\"size\":2", &format!("\"size\":{size}")), None).is_err(), "{size}");
        }
    }

    #[test]
    fn unknown_fields_survive() {
        let text = manifest(r#","annotations":null,"vendor":{"b":1,"a":2}"#);
        let Ok(Document::Manifest(manifest)) = Document::read(text.as_bytes(), None, "x") else { panic!() };
        assert!(String::from_utf8(json::canonical(&manifest)).unwrap().contains(r#""vendor":{"a":2,"b":1}"#));
    }
}
