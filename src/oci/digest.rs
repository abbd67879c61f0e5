//! Stage 0: content digests. Text in, 32 bytes out, or the rule that was broken. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// A SHA-256 digest of a blob, written `sha256:` and 64 lower-case hex digits (OCI image spec, descriptor.md, digests).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest that a finished hasher holds.
    pub fn finish(hasher: Sha256) -> Digest {
        Digest(hasher.finalize().into())
    }

    /// All that a hasher knows of the bytes that it took, from which [`Digest::resumed`] goes on.
    pub fn state(hasher: &Sha256) -> Vec<u8> {
        hasher.serialize().to_vec()
    }

    /// A hasher that took the bytes that a state speaks of; `None` where it is no state.
    pub fn resumed(state: &[u8]) -> Option<Sha256> {
        Sha256::deserialize(state.try_into().ok()?).ok()
    }

    /// The digest that these 32 bytes are.
    pub fn from_bytes(bytes: &[u8]) -> Option<Digest> {
        bytes.try_into().ok().map(Digest)
    }

    /// The 64 hex digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first twelve hex digits, for people.
    pub fn short(&self) -> String {
        self.hex()[..12].to_string()
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Digest> {
        let wrong = |rule: &str| {
            let shown: String = text.chars().take(80).collect();
            Err(Error::usage(format!("`{}` is not a digest: {rule}", shown.escape_debug())))
        };
        let Some((algorithm, hex)) = text.split_once(':') else {
            return wrong("it lacks the algorithm, as in `sha256:…`");
        };
        if algorithm != "sha256" {
            return wrong("only `sha256` is supported");
        }
        if hex.len() != 64 {
            return wrong(&format!("it needs 64 hex digits after `sha256:`, not {}", hex.chars().count()));
        }
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            match (nibble(pair[0]), nibble(pair[1])) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return wrong("only the digits 0-9 and a-f (lower case) may follow `sha256:`"),
            }
        }
        Ok(Digest(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The digest of a layer's uncompressed tar; never to be mixed up with the digest of its blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        let good = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);
        let long = "a".repeat(63);
        let upper = "AB".repeat(32);
        let zeros = "0".repeat(64);
        for bad in [
            "sha256:../../../tmp/x".to_string(),
            format!("sha256:{long}"),
            format!("sha256:{upper}"),
            format!("sha1:{}", "0".repeat(40)),
            format!("sha256:{}\0", &zeros[1..]),
            String::new(),
            zeros.clone(),
            format!("SHA256:{zeros}"),
            format!("sha256:{zeros}0"),
            format!("sha256:{}", "é".repeat(32)),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
        }
    }
}
