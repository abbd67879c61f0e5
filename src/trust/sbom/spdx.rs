//! Stage 8: an inventory as SPDX 2.3 (the SPDX specification, version 2.3, and its JSON schema). Pure.
//!
//! Our layers are packages whose files are analysed, so each has a verification code (section 7.9). The base is one whose files are not.

use serde_json::{Map, Value, json};
use sha1::Sha1;
use sha2::Digest as _;

use super::inventory::{How, Inventory, Part, What};
use super::program::Language;
use super::uuid;

const UNKNOWN: &str = "NOASSERTION";

/// The document.
pub fn document(inventory: &Inventory) -> Value {
    let parts = || inventory.parts.iter().enumerate();
    let packages = parts().filter(|(_, part)| part.what != What::File).map(|(at, part)| package(inventory, at, part));
    let files = parts().filter(|(_, part)| part.what == What::File).map(|(at, part)| file(at, part));
    let described = json!({
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": id(inventory, 0),
    });
    let links = inventory.links.iter().map(|(from, how, to)| relationship(inventory, *from, *how, *to));
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": inventory.parts.first().map(|image| image.name.clone()),
        "creationInfo": {
            "created": inventory.created,
            "creators": [format!("Tool: stillframe-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages.collect::<Vec<_>>(),
        "relationships": std::iter::once(described).chain(links).collect::<Vec<_>>(),
    });
    let files: Vec<Value> = files.collect();
    if !files.is_empty() {
        document["files"] = json!(files);
    }
    document["documentNamespace"] = json!(uuid(&document));
    document
}

fn id(inventory: &Inventory, at: usize) -> String {
    let kind = match inventory.parts.get(at).map(|part| part.what) {
        Some(What::Image) => "Image",
        Some(What::Base) => "Base",
        Some(What::System) => "System",
        Some(What::Layer) => "Layer",
        Some(What::File) => "File",
        Some(What::Archive) => "Archive",
        Some(What::Source) => "Source",
        _ => "Package",
    };
    format!("SPDXRef-{kind}-{at}")
}

fn package(inventory: &Inventory, at: usize, part: &Part) -> Value {
    let mut package = json!({
        "SPDXID": id(inventory, at),
        "name": part.name,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "supplier": UNKNOWN,
    });
    let mut put = |key: &str, value: Value| package[key] = value;
    if let Some(version) = &part.version {
        put("versionInfo", json!(version));
    }
    if let Some(digest) = &part.digests.0 {
        put("checksums", json!([{ "algorithm": "SHA256", "checksumValue": digest.hex() }]));
    }
    if let Some(url) = &part.download {
        put("downloadLocation", json!(url));
    }
    if let Some(purl) = &part.purl {
        let reference = json!({
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl,
        });
        put("externalRefs", json!([reference]));
    }
    if let Some(source) = &part.source {
        put("sourceInfo", json!(format!("built from the source package: {source}")));
    }
    if let Some(licence) = &part.licence {
        put("licenseComments", json!(format!("the package database says: {licence}")));
    }
    let purpose = match part.what {
        What::Image | What::Base | What::Source => Some("CONTAINER"),
        What::System => Some("OPERATING_SYSTEM"),
        What::Layer | What::Archive => Some("ARCHIVE"),
        What::Module(Language::Rust | Language::Go) => Some("LIBRARY"),
        What::Package | What::File => None,
    };
    if let Some(purpose) = purpose {
        put("primaryPackagePurpose", json!(purpose));
    }
    let files: Vec<&Part> =
        inventory.of(at, How::Contains).map(|at| &inventory.parts[at]).filter(|part| part.what == What::File).collect();
    if part.what == What::Layer && !files.is_empty() {
        put("filesAnalyzed", json!(true));
        put("licenseInfoFromFiles", json!([UNKNOWN]));
        put("packageVerificationCode", json!({ "packageVerificationCodeValue": verification_code(&files) }));
    }
    package
}

/// The SHA-1 of all files' SHA-1 digests, sorted and joined (section 7.9.1).
fn verification_code(files: &[&Part]) -> String {
    let mut digests: Vec<&str> = files.iter().filter_map(|file| file.digests.1.as_deref()).collect();
    digests.sort_unstable();
    Sha1::digest(digests.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(at: usize, part: &Part) -> Value {
    let (sha256, sha1) = &part.digests;
    let mut file = Map::new();
    let mut put = |key: &str, value: Value| drop(file.insert(key.to_string(), value));
    put("SPDXID", json!(format!("SPDXRef-File-{at}")));
    put("fileName", json!(format!(".{}", part.name)));
    put("licenseConcluded", json!(UNKNOWN));
    put("licenseInfoInFiles", json!([UNKNOWN]));
    put("copyrightText", json!(UNKNOWN));
    let digests = [("SHA1", sha1.clone()), ("SHA256", sha256.map(|digest| digest.hex()))];
    let digests = digests
        .into_iter()
        .filter_map(|(algorithm, value)| Some(json!({ "algorithm": algorithm, "checksumValue": value? })));
    put("checksums", digests.collect());
    if part.program {
        put("fileTypes", json!(["BINARY"]));
    }
    Value::Object(file)
}

fn relationship(inventory: &Inventory, from: usize, how: How, to: usize) -> Value {
    let (from, to) = (id(inventory, from), id(inventory, to));
    let (from, kind, to) = match how {
        How::Contains => (from, "CONTAINS", to),
        How::StandsOn => (from, "DESCENDANT_OF", to),
        How::TakenFrom | How::CompiledFrom => (from, "GENERATED_FROM", to),
        How::Links => (from, "STATIC_LINK", to),
        How::BuiltWith => (to, "BUILD_DEPENDENCY_OF", from),
        How::Needs => (from, "DEPENDS_ON", to),
    };
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}
