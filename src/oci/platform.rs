//! Stage 0: platforms. `linux/arm/v7` in, os, architecture and variant out. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// An operating system, an architecture and its variant, in Go's words (OCI image spec, image-index.md).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64` …
    pub arch: String,
    /// `v7` for arm, empty where there is none.
    pub variant: String,
}

/// The platforms that can be written in a manifest, with their Rust musl target.
pub const KNOWN: [(&str, &str); 11] = [
    ("linux/amd64", "x86_64-unknown-linux-musl"),
    ("linux/arm64", "aarch64-unknown-linux-musl"),
    ("linux/arm/v7", "armv7-unknown-linux-musleabihf"),
    ("linux/arm/v6", "arm-unknown-linux-musleabihf"),
    ("linux/arm/v5", "armv5te-unknown-linux-musleabi"),
    ("linux/386", "i686-unknown-linux-musl"),
    ("linux/ppc64le", "powerpc64le-unknown-linux-musl"),
    ("linux/s390x", "s390x-unknown-linux-musl"),
    ("linux/riscv64", "riscv64gc-unknown-linux-musl"),
    ("linux/loong64", "loongarch64-unknown-linux-musl"),
    ("linux/mips64le", "mips64el-unknown-linux-muslabi64"),
];

impl Platform {
    /// The Rust target triple of a static binary for this platform, empty where there is none.
    pub fn rust_target(&self) -> &'static str {
        let name = self.to_string();
        KNOWN.iter().find(|(known, _)| *known == name).map_or("", |(_, target)| target)
    }

    /// Whether an image made for `self` is what was asked for as `wanted`: a missing variant is the customary one
    /// (`arm64` is `arm64/v8`, `arm` is `arm/v7`).
    pub fn serves(&self, wanted: &Platform) -> bool {
        self.os == wanted.os && self.arch == wanted.arch && self.usual_variant() == wanted.usual_variant()
    }

    fn usual_variant(&self) -> &str {
        match (self.arch.as_str(), self.variant.as_str()) {
            ("arm64", "v8") | ("amd64", "v1") => "",
            ("arm", "") => "v7",
            (_, variant) => variant,
        }
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Platform> {
        let normal = match text {
            "linux/arm64/v8" => "linux/arm64",
            "linux/arm" => "linux/arm/v7",
            other => other,
        };
        if !KNOWN.iter().any(|(known, _)| *known == normal) {
            return Err(Error::usage(format!("`{}` is not a known platform", text.escape_debug())));
        }
        let mut parts = normal.split('/').map(str::to_string);
        let mut part = || parts.next().unwrap_or_default();
        Ok(Platform { os: part(), arch: part(), variant: part() })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

/// A platform as documents carry it: nothing of a foreign one is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// `amd64`, `unknown` …
    #[serde(default)]
    pub architecture: String,
    /// `linux`, `unknown` …
    #[serde(default)]
    pub os: String,
    /// `v7` …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// What else stands there (`os.version`, `os.features` …).
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

impl Described {
    /// The three parts that decide.
    pub fn platform(&self) -> Platform {
        Platform { os: self.os.clone(), arch: self.architecture.clone(), variant: self.variant.clone() }
    }
}

impl From<&Platform> for Described {
    fn from(platform: &Platform) -> Described {
        Described {
            architecture: platform.arch.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            rest: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variant_is_the_customary_one() {
        let of = |text: &str| {
            let mut parts = text.split('/').map(str::to_string);
            let mut part = || parts.next().unwrap_or_default();
            Platform { os: part(), arch: part(), variant: part() }
        };
        assert!(of("linux/arm64/v8").serves(&of("linux/arm64")));
        assert!(of("linux/arm").serves(&of("linux/arm/v7")));
        assert!(!of("linux/arm/v6").serves(&of("linux/arm/v7")));
        assert!(!of("windows/amd64").serves(&of("linux/amd64")));
        assert!("linux/amd46".parse::<Platform>().is_err());
        assert_eq!("linux/arm64/v8".parse::<Platform>().unwrap().to_string(), "linux/arm64");
    }
}
