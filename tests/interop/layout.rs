//! Reads OCI layouts with no code of the program: every digest and size is worked out again.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::peers::{checkout, done, peer};

/// One image of a layout.
pub struct Image {
    /// Its manifest.
    pub manifest: Value,
    /// The digest of its config.
    pub config_digest: String,
    /// Its config.
    pub config: Value,
    /// The files of its layers, lowest first.
    pub layers: Vec<PathBuf>,
}

/// The images that a layout names, all their blobs verified.
pub fn images(layout: &Path) -> Vec<Image> {
    let marker = fs::read_to_string(layout.join("oci-layout")).expect("oci-layout");
    assert!(marker.contains("1.0.0"), "{marker}");
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).expect("index.json")).unwrap();
    let mut images = Vec::new();
    below(layout, &index, &mut images);
    assert!(!images.is_empty(), "`{}` holds no image", layout.display());
    images
}

fn below(layout: &Path, index: &Value, images: &mut Vec<Image>) {
    for entry in list(&index["manifests"]) {
        let manifest: Value = serde_json::from_slice(&fs::read(blob(layout, &entry)).unwrap()).unwrap();
        if manifest["manifests"].is_array() {
            below(layout, &manifest, images);
            continue;
        }
        let config = serde_json::from_slice(&fs::read(blob(layout, &manifest["config"])).unwrap()).unwrap();
        let layers = list(&manifest["layers"]).iter().map(|layer| blob(layout, layer)).collect();
        let config_digest = text(&manifest["config"]["digest"]);
        images.push(Image { config_digest, config, layers, manifest });
    }
}

/// The file of a blob, which has the size and digest of its descriptor.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = text(&descriptor["digest"]);
    let file = layout.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
    assert_eq!(fs::symlink_metadata(&file).expect("a blob").len(), descriptor["size"].as_u64().unwrap());
    let sum = done(peer("sha256sum").arg(&file));
    assert_eq!(format!("sha256:{}", sum.split(' ').next().unwrap()), digest, "the blob's bytes");
    file
}

/// The digest of the one image of a layout.
pub fn digest(layout: &Path) -> String {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let entries = list(&index["manifests"]);
    assert_eq!(entries.len(), 1, "{index}");
    text(&entries[0]["digest"])
}

/// Asks the judge of the format about each layer, and compares diff IDs with the config.
pub fn judge(image: &Image, from: usize) {
    let judge = checkout().join("tests/judges/check_layer.py");
    let own = &image.layers[from..];
    let answer = done(peer("python3").arg(judge).arg("--diff-id").args(own));
    let found: Vec<&str> = answer.lines().filter_map(|line| line.split("  ").next()).collect();
    let diff_ids: Vec<String> = list(&image.config["rootfs"]["diff_ids"]).iter().map(text).collect();
    assert_eq!(found, diff_ids[from..]);
}

/// The string that a value is.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_string()
}

/// The list that a value is.
pub fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| panic!("{value} is no list"))
}
