//! A small Alpine repository that is made here and signed.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rsa::pkcs8::DecodePrivateKey;
use sha1::{Digest as _, Sha1};
use stillframe::oci::Digest;

use super::repo::{Packing, tar};
use crate::support::mirror::Mirror;

/// What stands before a SHA-1 in a signature of PKCS #1 (RFC 8017, section 9.2).
const SHA1: [u8; 15] = [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];

/// A package to be made.
#[derive(Clone)]
pub struct Apk {
    pub name: &'static str,
    pub version: &'static str,
    /// Lines of the index below name and version, as in `D:musl`.
    pub index: &'static str,
    /// Lines of `.PKGINFO`.
    pub info: &'static str,
    pub files: Vec<(&'static str, &'static str)>,
    pub control: Vec<(&'static str, &'static str)>,
}

/// A package with these lines and files.
pub fn apk(
    name: &'static str,
    version: &'static str,
    index: &'static str,
    info: &'static str,
    files: &[(&'static str, &'static str)],
) -> Apk {
    Apk { name, version, index, info, files: files.to_vec(), control: Vec::new() }
}

/// Over what a signature is.
#[derive(Clone, Copy, PartialEq)]
pub enum Over {
    Sha1,
    Sha256,
}

/// The one key of all repositories; making one takes long.
fn key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| KeyPair::generate(KeySize::Rsa2048).unwrap())
}

/// The public key in PEM.
pub fn public(key: &KeyPair) -> String {
    let der: PublicKeyX509Der = key.public_key().as_der().unwrap();
    let lines: Vec<String> = BASE64_STANDARD
        .encode(der.as_ref())
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

/// The name of the key.
pub const KEY: &str = "test@example.com-1.rsa.pub";

fn sign(bytes: &[u8], over: Over) -> (String, Vec<u8>) {
    match over {
        Over::Sha256 => {
            let mut signature = vec![0; key().public_modulus_len()];
            key().sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), bytes, &mut signature).unwrap();
            (format!(".SIGN.RSA256.{KEY}"), signature)
        }
        Over::Sha1 => {
            let der: Pkcs8V1Der = key().as_der().unwrap();
            let private = rsa::RsaPrivateKey::from_pkcs8_der(der.as_ref()).unwrap();
            let scheme = rsa::Pkcs1v15Sign { hash_len: Some(20), prefix: SHA1.into() };
            (format!(".SIGN.RSA.{KEY}"), private.sign(scheme, &Sha1::digest(bytes)).unwrap())
        }
    }
}

/// A gzip stream with a tar that goes on in the next one.
fn stream(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        out.append_data(&mut header, path, *content).unwrap();
    }
    let mut bytes = out.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    Packing::Gzip.pack(&bytes)
}

impl Apk {
    /// The same package with a script.
    pub fn script(mut self, name: &'static str, text: &'static str) -> Apk {
        self.control.push((name, text));
        self
    }

    /// The bytes of its file, and the checksum that an index knows it by.
    pub fn bytes(&self) -> (Vec<u8>, String) {
        let data = Packing::Gzip.pack(&tar(&self.files));
        let info = format!(
            "# made by a test\npkgname = {}\npkgver = {}\narch = x86_64\n{}datahash = {}\n",
            self.name,
            self.version,
            self.info,
            Digest::of(&data).hex()
        );
        let files: Vec<(&str, &[u8])> = [(".PKGINFO", info.as_bytes())]
            .into_iter()
            .chain(self.control.iter().map(|(name, text)| (*name, text.as_bytes())))
            .collect();
        let control = stream(&files);
        let (name, signature) = sign(&control, Over::Sha256);
        let checksum = format!("Q1{}", BASE64_STANDARD.encode(Sha1::digest(&control)));
        ([stream(&[(&name, &signature)]), control, data].concat(), checksum)
    }

    fn path(&self) -> String {
        format!("v1/main/x86_64/{}-{}.apk", self.name, self.version)
    }
}

/// A repository that runs.
pub struct Repo {
    pub mirror: Mirror,
}

/// Where the index is.
pub const INDEX: &str = "v1/main/x86_64/APKINDEX.tar.gz";

impl Repo {
    /// A repository with these packages, its index signed in this way.
    pub fn start(over: Over, built: i64, apks: &[Apk]) -> Repo {
        let repo = Repo { mirror: Mirror::start() };
        repo.publish(over, built, apks);
        repo
    }

    pub fn publish(&self, over: Over, built: i64, apks: &[Apk]) {
        let mut index = String::new();
        for apk in apks {
            let (bytes, checksum) = apk.bytes();
            let (name, version, more) = (apk.name, apk.version, apk.index);
            index += &format!("C:{checksum}\nP:{name}\nV:{version}\nA:x86_64\nS:{}\nt:{built}\n{more}\n", bytes.len());
            self.mirror.put(&apk.path(), bytes);
        }
        self.index(over, &index);
    }

    /// Signs an index and puts it there.
    pub fn index(&self, over: Over, text: &str) {
        let packed = stream(&[("DESCRIPTION", b"test"), ("APKINDEX", text.as_bytes())]);
        let (name, signature) = sign(&packed, over);
        self.mirror.put(INDEX, [stream(&[(&name, &signature)]), packed].concat());
    }

    /// The key that signs, in PEM.
    pub fn key(&self) -> String {
        public(key())
    }
}
