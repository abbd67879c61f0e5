//! A small Debian repository that is made here and signed: packages, indexes, releases.

use std::io::Write;

use lzma_rust2::{XzOptions, XzWriter};
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedSecretKey,
    SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::types::Password;
use rand::SeedableRng;
use rand::rngs::StdRng;
use stillframe::oci::Digest;

use crate::support::mirror::Mirror;

/// A package to be made.
#[derive(Clone, Default)]
pub struct Deb {
    pub name: &'static str,
    pub version: &'static str,
    pub architecture: &'static str,
    /// More lines of its control file.
    pub fields: &'static str,
    /// `path` and content; with a `/` at its end a directory, with ` -> ` a link.
    pub files: Vec<(&'static str, &'static str)>,
    /// Control files beside `control`.
    pub control: Vec<(&'static str, &'static str)>,
}

/// A package with these fields and files for amd64.
pub fn deb(
    name: &'static str,
    version: &'static str,
    fields: &'static str,
    files: &[(&'static str, &'static str)],
) -> Deb {
    Deb { name, version, architecture: "amd64", fields, files: files.to_vec(), control: Vec::new() }
}

/// How a tar is packed.
#[derive(Clone, Copy)]
pub enum Packing {
    Plain,
    Gzip,
    Xz,
    Zstd,
}

impl Packing {
    fn ending(self) -> &'static str {
        match self {
            Packing::Plain => "",
            Packing::Gzip => ".gz",
            Packing::Xz => ".xz",
            Packing::Zstd => ".zst",
        }
    }

    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Packing::Plain => bytes.to_vec(),
            Packing::Gzip => {
                // Stored, so that the sums of packed bytes, which Alpine records, are the same with any version of a compressor.
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            Packing::Xz => {
                let mut out = XzWriter::new(Vec::new(), XzOptions::with_preset(1)).unwrap();
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            Packing::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }
}

/// A tar of these files, each as `./path`, with modes as dpkg-deb writes them.
pub fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(1_700_000_000);
        header.set_uid(0);
        header.set_gid(0);
        let program = content.starts_with("#!") || content.starts_with("\x7fELF");
        let setuid = path.ends_with("/su");
        match (path.split_once(" -> "), path.strip_suffix('/')) {
            (Some((path, target)), _) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                out.append_link(&mut header, format!("./{path}"), target).unwrap();
            }
            (None, Some(path)) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                out.append_data(&mut header, format!("./{path}/"), std::io::empty()).unwrap();
            }
            (None, None) => {
                header.set_mode(if setuid {
                    0o4755
                } else if program {
                    0o755
                } else {
                    0o644
                });
                header.set_size(content.len() as u64);
                out.append_data(&mut header, format!("./{path}"), content.as_bytes()).unwrap();
            }
        }
    }
    out.into_inner().unwrap()
}

impl Deb {
    /// The same package with a script.
    pub fn script(mut self, name: &'static str, text: &'static str) -> Deb {
        self.control.push((name, text));
        self
    }

    fn control(&self) -> String {
        let Deb { name, version, architecture, fields, .. } = self;
        let fields = fields.trim();
        let fields = if fields.is_empty() { String::new() } else { format!("{fields}\n") };
        format!("Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{fields}Description: {name}\n")
    }

    /// The bytes of its file.
    pub fn bytes(&self, packing: Packing) -> Vec<u8> {
        let control = self.control();
        let files: Vec<(&str, &str)> =
            [("control", control.as_str())].into_iter().chain(self.control.iter().copied()).collect();
        let members = [
            ("debian-binary".to_string(), b"2.0\n".to_vec()),
            (format!("control.tar{}", packing.ending()), packing.pack(&tar(&files))),
            (format!("data.tar{}", packing.ending()), packing.pack(&tar(&self.files))),
        ];
        let mut bytes = b"!<arch>\n".to_vec();
        for (name, content) in members {
            bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).bytes());
            bytes.extend(&content);
            bytes.extend(vec![b'\n'; content.len() % 2]);
        }
        bytes
    }

    pub fn path(&self) -> String {
        format!("pool/{}_{}_{}.deb", self.name, self.version.replace(':', "%3a"), self.architecture)
    }
}

/// A key that signs, with a subkey as the archive's keys have one.
pub fn key(seed: u64) -> SignedSecretKey {
    let mut subkey = SubkeyParamsBuilder::default();
    subkey.key_type(KeyType::Ed25519Legacy).can_sign(true);
    let mut builder = SecretKeyParamsBuilder::default();
    builder.key_type(KeyType::Ed25519Legacy).can_certify(true).can_sign(false);
    builder.primary_user_id("Archive <archive@example.com>".into()).passphrase(None).subkey(subkey.build().unwrap());
    builder.build().unwrap().generate(StdRng::seed_from_u64(seed)).unwrap()
}

/// What a release says of itself.
#[derive(Clone)]
pub struct Said {
    pub suite: &'static str,
    pub codename: &'static str,
    /// Seconds since 1970.
    pub date: i64,
    pub valid_until: Option<i64>,
    pub by_hash: bool,
    pub packing: Packing,
    pub architectures: &'static [&'static str],
}

impl Default for Said {
    fn default() -> Said {
        Said {
            suite: "stable",
            codename: "bookworm",
            date: 1_750_000_000,
            valid_until: None,
            by_hash: true,
            packing: Packing::Xz,
            architectures: &["amd64"],
        }
    }
}

/// A repository that runs.
pub struct Repo {
    pub mirror: Mirror,
    pub key: SignedSecretKey,
}

impl Repo {
    pub fn start() -> Repo {
        Repo { mirror: Mirror::start(), key: key(1) }
    }

    /// The keyring, armoured.
    pub fn keyring(&self) -> String {
        self.key.to_public_key().to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// Publishes a suite with one component, `main`, below a directory (empty for none).
    pub fn publish(&self, below: &str, said: &Said, debs: &[Deb]) {
        let slash = if below.is_empty() { String::new() } else { format!("{below}/") };
        let mut files = String::new();
        for architecture in said.architectures {
            let mut index = String::new();
            for deb in debs.iter().filter(|deb| ["all", architecture].contains(&deb.architecture)) {
                let bytes = deb.bytes(said.packing);
                let (digest, size) = (Digest::of(&bytes).hex(), bytes.len());
                index += &format!("{}Filename: {}\nSize: {size}\nSHA256: {digest}\n\n", deb.control(), deb.path());
                self.mirror.put(&format!("{slash}{}", deb.path()), bytes);
            }
            // Packages may be packed with zstd, indexes are not.
            let packing = if matches!(said.packing, Packing::Zstd) { Packing::Gzip } else { said.packing };
            let packed = packing.pack(index.as_bytes());
            let directory = format!("main/binary-{architecture}");
            let name = format!("{directory}/Packages{}", packing.ending());
            for (path, bytes) in [(format!("{directory}/Packages"), index.into_bytes()), (name.clone(), packed.clone())]
            {
                files += &format!(" {} {:>8} {path}\n", Digest::of(&bytes).hex(), bytes.len());
            }
            let at = match said.by_hash {
                true => format!("{directory}/by-hash/SHA256/{}", Digest::of(&packed).hex()),
                false => name,
            };
            self.mirror.put(&format!("{slash}dists/{}/{at}", said.codename), packed);
        }
        self.sign(&format!("{slash}dists/{}", said.codename), &release(said, &files));
    }

    /// Signs a release and puts it there, with its signature inside.
    pub fn sign(&self, below: &str, text: &str) {
        self.mirror.put(&format!("{below}/InRelease"), self.signed(text));
    }

    fn signed(&self, text: &str) -> String {
        let key = &self.key.secret_subkeys[0].key;
        let message = CleartextSignedMessage::sign(StdRng::seed_from_u64(2), text, key, &Password::empty()).unwrap();
        message.to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// A signature that stands apart.
    pub fn detached(&self, text: &[u8], armoured: bool) -> Vec<u8> {
        let key = &self.key.secret_subkeys[0].key;
        let (rng, hash) = (StdRng::seed_from_u64(3), HashAlgorithm::Sha512);
        let signature = DetachedSignature::sign_binary_data(rng, key, &Password::empty(), hash, text).unwrap();
        if armoured {
            return signature.to_armored_bytes(ArmorOptions::default()).unwrap();
        }
        let mut bytes = Vec::new();
        pgp::packet::PacketTrait::to_writer_with_header(&signature.signature, &mut bytes).unwrap();
        bytes
    }
}

/// The text of a release.
pub fn release(said: &Said, files: &str) -> String {
    let date = |seconds: i64| {
        let time = jiff::Timestamp::from_second(seconds).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
    };
    let until = said.valid_until.map(|until| format!("Valid-Until: {}\n", date(until))).unwrap_or_default();
    let by_hash = if said.by_hash { "Acquire-By-Hash: yes\n" } else { "" };
    format!(
        "Origin: Test\nSuite: {}\nCodename: {}\nDate: {}\n{until}{by_hash}Architectures: {}\nComponents: main\nSHA256:\n{files}",
        said.suite,
        said.codename,
        date(said.date),
        said.architectures.join(" "),
    )
}
