//! Stage 5, for tests: layouts and archives made on the spot. Entries and layers in, bases on disk out.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tar::{EntryType, Header};

use crate::ctx::Ctx;
use crate::error::Result;
use crate::oci::{Descriptor, Digest, Platform, media};
use crate::plan;
use crate::registry;
use crate::source::{Base, FileIndex, base, files};

/// A tar in the making.
#[derive(Clone, Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    /// An empty tar.
    pub fn new() -> Tar {
        Tar::default()
    }

    /// A header as it is given, with its name as it stands; the sum is set here. Then the data, padded.
    pub fn raw(self, name: &str, kind: EntryType, data: &[u8], edit: impl FnOnce(&mut Header)) -> Tar {
        self.entry(name, kind, data, Box::new(edit))
    }

    fn entry(mut self, name: &str, kind: EntryType, data: &[u8], edit: Box<dyn FnOnce(&mut Header) + '_>) -> Tar {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        let directory = kind == EntryType::Directory;
        header.set_mode(if directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(data.len() as u64);
        if name.len() > 100 {
            self = self.raw("././@LongLink", EntryType::GNULongName, &[name.as_bytes(), b"\0"].concat(), |_| {});
        }
        let short = name.len().min(100);
        header.as_old_mut().name[..short].copy_from_slice(&name.as_bytes()[..short]);
        edit(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A directory, 0755.
    pub fn dir(self, name: &str) -> Tar {
        self.raw(name, EntryType::Directory, b"", |_| {})
    }

    /// A file, 0644.
    pub fn file(self, name: &str, data: &str) -> Tar {
        self.raw(name, EntryType::Regular, data.as_bytes(), |_| {})
    }

    /// A symbolic link.
    pub fn link(self, name: &str, target: &str) -> Tar {
        self.raw(name, EntryType::Symlink, b"", |header| header.set_link_name_literal(target).unwrap())
    }

    /// A hard link.
    pub fn hard(self, name: &str, target: &str) -> Tar {
        self.raw(name, EntryType::Link, b"", |header| header.set_link_name_literal(target).unwrap())
    }

    /// An extended header for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Tar {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest..).find(|length| length.to_string().len() + rest == *length).unwrap();
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.raw("pax", EntryType::XHeader, &data, |_| {})
    }

    /// A block as it is given.
    pub fn raw_block(mut self, block: [u8; 512]) -> Tar {
        self.0.extend_from_slice(&block);
        self
    }

    /// The bytes, with the two blocks of zeros at the end.
    pub fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// One member of gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One frame of zstd.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).unwrap()
}

/// A layer of an image: its blob and what is said of it.
#[derive(Clone)]
pub struct Layer {
    /// The blob.
    pub blob: Vec<u8>,
    /// The media type in the manifest.
    pub media_type: String,
    /// The diff ID in the config.
    pub diff_id: Digest,
}

impl Layer {
    /// A layer whose blob is made from the tar by `pack`, and which says so truly.
    pub fn packed(tar: &[u8], media_type: &str, pack: impl Fn(&[u8]) -> Vec<u8>) -> Layer {
        Layer { blob: pack(tar), media_type: media_type.to_string(), diff_id: Digest::of(tar) }
    }

    /// A plain layer.
    pub fn plain(tar: Tar) -> Layer {
        Layer::packed(&tar.bytes(), media::LAYER, <[u8]>::to_vec)
    }
}

/// A layout on disk, a store beside it, and what works with them.
pub struct Fixture {
    home: tempfile::TempDir,
    /// The world, with an empty store.
    pub ctx: Ctx,
}

impl Default for Fixture {
    fn default() -> Fixture {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("layout/blobs/sha256")).unwrap();
        let ctx = Ctx::test(&home.path().join("store"), client());
        Fixture { home, ctx }
    }
}

impl Fixture {
    /// An empty layout and an empty store.
    pub fn new() -> Fixture {
        Fixture::default()
    }

    /// Where the layout is.
    pub fn layout(&self) -> PathBuf {
        self.home.path().join("layout")
    }

    /// Where a blob of the layout is.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.layout().join("blobs/sha256").join(digest.hex())
    }

    /// Puts a blob into the layout.
    pub fn blob(&self, bytes: &[u8]) -> Digest {
        fs::write(self.path(&Digest::of(bytes)), bytes).unwrap();
        Digest::of(bytes)
    }

    /// Puts a document into the layout.
    pub fn document(&self, value: &Value) -> Descriptor {
        let bytes = serde_json::to_vec(value).unwrap();
        self.blob(&bytes);
        Descriptor::of(value["mediaType"].as_str().unwrap_or_default(), &bytes)
    }

    /// The config of an image with these layers.
    pub fn config(&self, platform: &str, layers: &[Layer]) -> Value {
        let platform = self::platform(platform);
        let ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
        let rootfs = json!({"type": "layers", "diff_ids": ids});
        json!({"architecture": platform.arch, "os": platform.os, "variant": platform.variant, "rootfs": rootfs})
    }

    /// A manifest of a config and layers, with all blobs put into the layout.
    pub fn manifest(&self, config: &Value, layers: &[Layer]) -> Value {
        let config = serde_json::to_vec(config).unwrap();
        self.blob(&config);
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| {
                self.blob(&layer.blob);
                Descriptor::of(&layer.media_type, &layer.blob)
            })
            .collect();
        let config = Descriptor::of(media::CONFIG, &config);
        json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": layers})
    }

    /// An image for a platform.
    pub fn image(&self, platform: &str, layers: &[Layer]) -> Descriptor {
        let mut descriptor = self.document(&self.manifest(&self.config(platform, layers), layers));
        descriptor.platform = Some((&self::platform(platform)).into());
        descriptor
    }

    /// An index of these children.
    pub fn index(&self, children: &[Descriptor]) -> Descriptor {
        self.document(&json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": children}))
    }

    /// The layout with this digest as a base.
    pub fn reference(&self, digest: Digest) -> plan::Base {
        plan::Base::Layout(plan::Local { path: self.layout(), written: "layout".to_string(), digest })
    }

    /// The layout as a tar archive, with this digest as a base.
    pub fn archive(&self, digest: Digest, pack: impl Fn(&[u8]) -> Vec<u8>) -> plan::Base {
        let path = self.home.path().join("layout.tar");
        let mut builder = tar::Builder::new(Vec::new());
        builder.follow_symlinks(false);
        builder.append_dir_all(".", self.layout()).unwrap();
        fs::write(&path, pack(&builder.into_inner().unwrap())).unwrap();
        plan::Base::Archive(plan::Local { path, written: "layout.tar".to_string(), digest })
    }

    /// The base for `linux/amd64`.
    pub fn base(&self, reference: &plan::Base) -> Result<Base> {
        wait(base(&self.ctx, reference, &platform("linux/amd64")))
    }

    /// The files of an image of these layers.
    pub fn files(&self, layers: &[Layer]) -> Result<FileIndex> {
        let base = self.base(&self.reference(self.image("linux/amd64", layers).digest))?;
        wait(files(&self.ctx, &base))
    }

    /// Where the store is.
    pub fn store(&self) -> &Path {
        self.ctx.store.root()
    }
}

/// Runs a future to its end on this thread.
pub fn wait<T>(future: impl Future<Output = T> + Send) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A platform; unlike the parser it takes unknown ones.
pub fn platform(text: &str) -> Platform {
    let mut parts = text.split('/').map(str::to_string);
    let mut part = || parts.next().unwrap_or_default();
    Platform { os: part(), arch: part(), variant: part() }
}

/// A client that can be asked for nothing but loopback, and gives up at once.
fn client() -> registry::Client {
    let patience = registry::Patience { attempts: 1, ..registry::Patience::default() };
    let settings = registry::Settings { patience, proxies: false, ..registry::Settings::default() };
    registry::Client::new(settings, crate::event::nowhere(), crate::event::Cancel::default()).unwrap()
}
