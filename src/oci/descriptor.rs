//! Stage 0: descriptors. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::digest::Digest;
use super::platform::Described;

/// What a document says of another blob: type, digest, size (OCI image spec, descriptor.md). Unknown fields are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The blob's media type.
    pub media_type: String,
    /// The blob's digest.
    pub digest: Digest,
    /// The blob's size in bytes; a JSON integer from 0 to 2^63 - 1.
    #[serde(deserialize_with = "size")]
    pub size: u64,
    /// The platform, on entries of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Described>,
    /// Remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "super::document::null_is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The kind of an artifact, on entries of a referrers list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What else stands there (`urls`, `data` …).
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = u64::deserialize(deserializer)?;
    if size > i64::MAX as u64 {
        return Err(serde::de::Error::custom(format!("the size {size} is over the limit of 2^63 - 1")));
    }
    Ok(size)
}

impl Descriptor {
    /// A descriptor of a blob, nothing more.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.to_string(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
            artifact_type: None,
            rest: BTreeMap::new(),
        }
    }

    /// The descriptor of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }
}
