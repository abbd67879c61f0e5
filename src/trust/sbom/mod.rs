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
mod survey;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub use inventory::{How, Inventory, Part, What};
pub use look::{look, whole};
pub use program::{Language, Module, modules};
pub use purl::{Purl, image as image_purl};
pub use survey::{Survey, installed, survey};

use crate::manifest::Bill;
use crate::oci::json::canonical;

/// The type of the in-toto predicate that a bill of materials is.
pub fn predicate_type(bill: Bill) -> &'static str {
    match bill {
        Bill::Spdx => "https://spdx.dev/Document",
        Bill::CycloneDx => "https://cyclonedx.org/bom",
    }
}

/// The document.
pub fn document(bill: Bill, inventory: &Inventory) -> Value {
    match bill {
        Bill::Spdx => spdx::document(inventory),
        Bill::CycloneDx => cyclonedx::document(inventory),
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
