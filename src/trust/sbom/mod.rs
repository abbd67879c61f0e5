//! Stage 8: bills of materials. An image and its base in, SPDX 2.3 or CycloneDX 1.6 out (`docs/attestations.md`).
//!
//! The same image gives the same bytes: times are the image's, names of documents come from their content, and lists have the order in
//! which the layers hold things. What is not known is not said.

mod cyclonedx;
mod database;
mod go;
mod inventory;
mod look;
mod program;
mod purl;
mod spdx;
#[cfg(test)]
mod tests;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub use inventory::Inventory;
pub use look::look;

use crate::oci::json::canonical;

/// A kind of bill of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// SPDX 2.3 as JSON.
    Spdx,
    /// CycloneDX 1.6 as JSON.
    CycloneDx,
}

impl Format {
    /// Every kind.
    pub const ALL: [Format; 2] = [Format::Spdx, Format::CycloneDx];

    /// The word for it in the manifest and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Spdx => "spdx",
            Format::CycloneDx => "cyclonedx",
        }
    }

    /// The type of the in-toto predicate that it makes.
    pub fn predicate_type(self) -> &'static str {
        match self {
            Format::Spdx => "https://spdx.dev/Document",
            Format::CycloneDx => "https://cyclonedx.org/bom",
        }
    }

    /// The document.
    pub fn document(self, inventory: &Inventory) -> Value {
        match self {
            Format::Spdx => spdx::document(inventory),
            Format::CycloneDx => cyclonedx::document(inventory),
        }
    }
}

/// A UUID (version 8, RFC 9562) that is made from a document's content, as a URN.
fn uuid(document: &Value) -> String {
    let mut bytes: [u8; 16] = [0; 16];
    bytes.iter_mut().zip(Sha256::digest(canonical(document))).for_each(|(byte, hash)| *byte = hash);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
