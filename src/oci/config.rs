//! Stage 0: the image config. Nothing that a base carries is lost. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::DiffId;
use super::document::null_is_empty;
use super::platform::Platform;

/// An image config document (OCI image spec, config.md). Unknown fields are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `amd64` …
    #[serde(default)]
    pub architecture: String,
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// `v7` …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What a container starts with.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub config: Config,
    /// The layers' diff IDs.
    pub rootfs: RootFs,
    /// How the layers came to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub history: Vec<History>,
    /// What else stands there.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

impl Image {
    /// The platform that the config names.
    pub fn platform(&self) -> Platform {
        Platform { os: self.os.clone(), arch: self.architecture.clone(), variant: self.variant.clone() }
    }
}

/// What a container starts with. Unknown fields (`Healthcheck`, `Shell`, `OnBuild` …) are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Config {
    /// `uid`, `uid:gid` or names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `8080/tcp` → `{}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// `NAME=value`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub env: Vec<String>,
    /// The program.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub entrypoint: Vec<String>,
    /// Its default arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub cmd: Vec<String>,
    /// `/data` → `{}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub volumes: BTreeMap<String, Value>,
    /// The directory it starts in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `SIGTERM` …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// What else stands there.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// The layers of an image as a container sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// One for each layer, lowest first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub diff_ids: Vec<DiffId>,
}

/// How one layer (or one config change) came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Whether it made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// What else stands there.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::json;

    #[test]
    fn nothing_of_a_base_is_lost() {
        let text = r#"{"architecture":"amd64","config":{"ArgsEscaped":true,"Env":["B=2","A=1"],"Healthcheck":{"Test":["NONE"]},"Labels":{"d":"4","a":"1"},"OnBuild":["RUN x"],"Shell":["sh"]},"history":[{"author":"me","created_by":"x"}],"os":"linux","os.version":"1","rootfs":{"diff_ids":[],"type":"layers"},"vendor":{"z":1}}"#;
        let image: Image = serde_json::from_str(text).unwrap();
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(json::canonical(&image), json::canonical(&value));
    }
}
