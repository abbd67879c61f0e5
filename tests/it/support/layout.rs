//! A reader of OCI layouts that shares no code with the program: documents, layers, entries. `validate` derives every digest,
//! size and diff ID again; `canonical` checks a layer against the rules of format 1.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The media types of layers and how they are compressed.
const LAYERS: [(&str, &str); 3] = [
    ("application/vnd.oci.image.layer.v1.tar", "none"),
    ("application/vnd.oci.image.layer.v1.tar+gzip", "gzip"),
    ("application/vnd.oci.image.layer.v1.tar+zstd", "zstd"),
];
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// 1980-01-01T00:00:00Z.
const INSTANT: u64 = 315_532_800;

/// A layout directory.
pub struct Layout {
    root: PathBuf,
    /// `index.json`.
    pub index: Value,
}

/// One image of a layout.
pub struct Image {
    pub digest: String,
    pub manifest: Value,
    pub config: Value,
    /// Lowest first.
    pub layers: Vec<Layer>,
}

/// One layer, unpacked.
pub struct Layer {
    /// The blob as it is stored.
    pub blob: Vec<u8>,
    /// The tar in it.
    pub tar: Vec<u8>,
    pub entries: Vec<Entry>,
}

/// One entry of a layer.
#[derive(Clone, Debug)]
pub struct Entry {
    pub path: String,
    /// `f`, `d`, `l`, `h` for a hard link, `?`.
    pub kind: char,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: u64,
    pub link: String,
    pub content: Vec<u8>,
    pub uname: String,
    pub gname: String,
    /// Extended attributes, without `SCHILY.xattr.`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// The digest of bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Layout {
    /// Reads the index of a layout.
    pub fn open(root: &Path) -> Layout {
        let index = serde_json::from_slice(&fs::read(root.join("index.json")).unwrap()).unwrap();
        Layout { root: root.to_path_buf(), index }
    }

    /// A blob by its digest.
    pub fn blob(&self, digest: &Value) -> Vec<u8> {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        fs::read(self.root.join("blobs/sha256").join(hex)).unwrap_or_else(|cause| panic!("{hex}: {cause}"))
    }

    /// A document by its digest.
    pub fn document(&self, digest: &Value) -> Value {
        serde_json::from_slice(&self.blob(digest)).unwrap()
    }

    /// The descriptor of the image that was built last.
    pub fn root(&self) -> Value {
        self.index["manifests"].as_array().unwrap().last().unwrap().clone()
    }

    /// The digest of the image that was built last.
    pub fn digest(&self) -> String {
        self.root()["digest"].as_str().unwrap().to_string()
    }

    /// The only image.
    pub fn image(&self) -> Image {
        assert_eq!(self.root()["mediaType"], MANIFEST, "one platform makes a plain manifest");
        self.read(&self.root()["digest"])
    }

    /// The image for a platform out of an index.
    pub fn image_for(&self, os: &str, architecture: &str) -> Image {
        let index = self.document(&self.root()["digest"]);
        let wanted =
            |child: &&Value| child["platform"]["os"] == os && child["platform"]["architecture"] == architecture;
        self.read(&index["manifests"].as_array().unwrap().iter().find(wanted).unwrap()["digest"])
    }

    fn read(&self, digest: &Value) -> Image {
        let manifest = self.document(digest);
        let config = self.document(&manifest["config"]["digest"]);
        let layers = manifest["layers"].as_array().unwrap().iter().map(|layer| self.layer(layer)).collect();
        Image { digest: digest.as_str().unwrap().to_string(), manifest, config, layers }
    }

    fn layer(&self, descriptor: &Value) -> Layer {
        let blob = self.blob(&descriptor["digest"]);
        let media_type = descriptor["mediaType"].as_str().unwrap();
        let compression =
            LAYERS.iter().find(|(known, _)| *known == media_type).unwrap_or_else(|| panic!("{media_type}")).1;
        let mut tar = Vec::new();
        match compression {
            "gzip" => drop(flate2::read::MultiGzDecoder::new(blob.as_slice()).read_to_end(&mut tar).unwrap()),
            "zstd" => drop(zstd::Decoder::new(blob.as_slice()).unwrap().read_to_end(&mut tar).unwrap()),
            _ => tar.clone_from(&blob),
        }
        let entries = entries(&tar);
        Layer { blob, tar, entries }
    }

    /// Derives everything again that one part says of another.
    pub fn validate(&self) {
        let marker: Value = serde_json::from_slice(&fs::read(self.root.join("oci-layout")).unwrap()).unwrap();
        assert_eq!(marker, json!({"imageLayoutVersion": "1.0.0"}));
        for name in super::project::names(&self.root.join("blobs/sha256")) {
            assert_eq!(
                digest(&fs::read(self.root.join("blobs/sha256").join(&name)).unwrap()),
                format!("sha256:{name}")
            );
        }
        let mut names = super::project::names(&self.root);
        names.retain(|name| !["blobs", "index.json", "oci-layout"].contains(&name.as_str()));
        assert_eq!(names, Vec::<String>::new(), "nothing else lies in a layout");
        self.validate_index(&self.index);
    }

    fn validate_index(&self, index: &Value) {
        assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(INDEX)));
        for child in index["manifests"].as_array().unwrap() {
            self.validate_descriptor(child);
            match child["mediaType"].as_str().unwrap() {
                INDEX => self.validate_index(&self.document(&child["digest"])),
                MANIFEST => self.validate_image(&self.document(&child["digest"])),
                other => panic!("{other} in an index"),
            }
        }
    }

    fn validate_image(&self, manifest: &Value) {
        assert_eq!((&manifest["schemaVersion"], &manifest["mediaType"]), (&json!(2), &json!(MANIFEST)));
        assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
        self.validate_descriptor(&manifest["config"]);
        let config = self.document(&manifest["config"]["digest"]);
        let layers = manifest["layers"].as_array().unwrap();
        let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
        assert_eq!(layers.len(), diff_ids.len());
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            self.validate_descriptor(layer);
            assert_eq!(digest(&self.layer(layer).tar), *diff_id);
        }
        let history = config["history"].as_array().map_or(&[][..], Vec::as_slice);
        let told = history.iter().filter(|entry| entry["empty_layer"] != true).count();
        assert_eq!(told, layers.len(), "the history tells all layers");
    }

    fn validate_descriptor(&self, descriptor: &Value) {
        let blob = self.blob(&descriptor["digest"]);
        assert_eq!(digest(&blob), descriptor["digest"]);
        assert_eq!(blob.len() as u64, descriptor["size"]);
    }
}

fn entries(tar: &[u8]) -> Vec<Entry> {
    let mut archive = tar::Archive::new(tar);
    let mut all = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut xattrs = BTreeMap::new();
        let (mut owner, mut group) = (None, None);
        for record in entry.pax_extensions().unwrap().into_iter().flatten() {
            let record = record.unwrap();
            match record.key().unwrap() {
                "uid" => owner = record.value().unwrap().parse().ok(),
                "gid" => group = record.value().unwrap().parse().ok(),
                key => {
                    if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                        xattrs.insert(name.to_string(), record.value_bytes().to_vec());
                    }
                }
            }
        }
        let header = entry.header();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let one = Entry {
            path: text(&entry.path_bytes()).trim_end_matches('/').to_string(),
            kind: match header.entry_type().as_byte() {
                b'0' => 'f',
                b'5' => 'd',
                b'2' => 'l',
                b'1' => 'h',
                _ => '?',
            },
            mode: header.mode().unwrap(),
            uid: owner.unwrap_or(header.uid().unwrap()),
            gid: group.unwrap_or(header.gid().unwrap()),
            mtime: header.mtime().unwrap(),
            link: entry.link_name_bytes().map(|link| text(&link)).unwrap_or_default(),
            content: Vec::new(),
            uname: text(header.username_bytes().unwrap_or_default()),
            gname: text(header.groupname_bytes().unwrap_or_default()),
            xattrs,
        };
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        all.push(Entry { content, ..one });
    }
    all
}

impl Image {
    /// The layers made by the program, lowest first: their names and entries.
    pub fn own(&self) -> Vec<(String, &Layer)> {
        let history = self.config["history"].as_array().map_or(&[][..], Vec::as_slice);
        let told = history.iter().filter(|entry| entry["empty_layer"] != true);
        let named = told.zip(&self.layers).filter_map(|(entry, layer)| {
            let name = entry["created_by"].as_str()?.strip_prefix("stillframe: ")?;
            Some((name.to_string(), layer))
        });
        named.collect()
    }

    /// The names of the layers made by the program.
    pub fn layer_names(&self) -> Vec<String> {
        self.own().into_iter().map(|(name, _)| name).collect()
    }

    /// All entries of the layers made by the program, as lines: `f 0644 0:0 etc/motd`.
    pub fn listing(&self) -> Vec<String> {
        self.own().iter().flat_map(|(_, layer)| layer.listing()).collect()
    }

    /// The entry at a path, in the layers made by the program.
    #[track_caller]
    pub fn entry(&self, path: &str) -> &Entry {
        let own = self.own();
        let found = own.iter().flat_map(|(_, layer)| &layer.entries).find(|entry| entry.path == path);
        found.unwrap_or_else(|| panic!("`{path}` is not in {:?}", self.listing()))
    }

    /// A file's content as text.
    #[track_caller]
    pub fn text(&self, path: &str) -> &str {
        std::str::from_utf8(&self.entry(path).content).unwrap()
    }
}

impl Layer {
    /// The entries as lines: `l 0777 0:0 usr/bin/server -> /app/server`.
    pub fn listing(&self) -> Vec<String> {
        let line = |entry: &Entry| {
            let link = if entry.link.is_empty() { String::new() } else { format!(" -> {}", entry.link) };
            format!("{} {:04o} {}:{} {}{link}", entry.kind, entry.mode, entry.uid, entry.gid, entry.path)
        };
        self.entries.iter().map(line).collect()
    }
}

/// Checks a layer made by the program: sorted, unique, parents first, one instant, no names, two end blocks.
pub fn canonical(layer: &Layer) {
    let paths: Vec<&str> = layer.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert!(paths.windows(2).all(|pair| pair[0].as_bytes() < pair[1].as_bytes()), "sorted, each once: {paths:?}");
    for entry in &layer.entries {
        let path = &entry.path;
        assert!(path.split('/').all(|part| !["", ".", ".."].contains(&part)), "{path}");
        assert!("fdl".contains(entry.kind), "{entry:?}");
        assert_eq!((entry.mtime, entry.uname.as_str(), entry.gname.as_str()), (INSTANT, "", ""), "{path}");
        assert!(entry.mode <= 0o7777, "{path}");
        if let Some((parent, _)) = path.rsplit_once('/')
            && let Some(parent) = layer.entries.iter().position(|other| other.path == parent)
        {
            assert_eq!(layer.entries[parent].kind, 'd', "{path}");
        }
    }
    assert!(layer.tar.len().is_multiple_of(512) && layer.tar.ends_with(&[0; 1024]));
    let content: usize = layer.entries.iter().map(|entry| entry.content.len().div_ceil(512) * 512).sum();
    assert!(layer.tar.len() >= content + 512 * layer.entries.len() + 1024);
}
