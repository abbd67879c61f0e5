//! Keys of the mock and of its clients.

use aws_lc_rs::digest::{Digest, SHA256 as DIGEST};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PublicKeyData, RsaKeySize, SignatureAlgorithm, SigningKey};
use sha2::{Digest as _, Sha256};

use super::der;

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

pub fn unb64(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

/// The base64 of tokens.
pub fn url64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub fn un_url64(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// PEM in the one form that Go writes: 64 columns and LF.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = b64(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out + &format!("-----END {label}-----\n")
}

/// Label and bytes of the first PEM block, however its lines end.
pub fn unpem(text: &str) -> Option<(String, Vec<u8>)> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with("-----BEGIN "));
    let label = lines.next()?.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?.to_string();
    let body: String = lines.take_while(|line| !line.starts_with("-----END ")).collect();
    Some((label, unb64(&body)?))
}

/// A key of the mock, ECDSA on P-256.
pub fn p256() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

/// A key of the mock for tokens: cosign takes none but RS256.
pub fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

/// A key of the mock for notes.
pub fn ed25519() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()
}

pub fn sign(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    SigningKey::sign(key, message).unwrap()
}

/// The identity of a log: the hash of its public key.
pub fn log_id(key: &KeyPair) -> [u8; 32] {
    sha256(&key.subject_public_key_info())
}

/// Somebody's public key: a SubjectPublicKeyInfo.
pub struct Public {
    pub spki: Vec<u8>,
    bits: Vec<u8>,
    kind: &'static SignatureAlgorithm,
}

impl Public {
    pub fn read(spki: &[u8]) -> Option<Public> {
        let parts = der::read(spki)?.parts()?;
        let [algorithm, bits] = parts.as_slice() else { return None };
        // The last bytes of the algorithm tell the four kinds apart: P-256, P-384, Ed25519, RSA.
        let kind = match algorithm.content {
            [.., 0x03, 0x01, 0x07] => &rcgen::PKCS_ECDSA_P256_SHA256,
            [.., 0x81, 0x04, 0x00, 0x22] => &rcgen::PKCS_ECDSA_P384_SHA384,
            [0x06, 0x03, 0x2b, 0x65, 0x70] => &rcgen::PKCS_ED25519,
            [.., 0x01, 0x01, 0x01, 0x05, 0x00] => &rcgen::PKCS_RSA_SHA256,
            _ => return None,
        };
        let bits = bits.content.strip_prefix(&[0])?.to_vec();
        Some(Public { spki: spki.to_vec(), bits, kind })
    }

    /// The key in a PEM block: a public key or a certificate.
    pub fn from_pem(text: &str) -> Option<Public> {
        match unpem(text)? {
            (label, der) if label == "PUBLIC KEY" => Public::read(&der),
            (label, der) if label == "CERTIFICATE" => Public::of_certificate(&der),
            _ => None,
        }
    }

    pub fn of_certificate(certificate: &[u8]) -> Option<Public> {
        let body = *der::read(certificate)?.parts()?.first()?;
        Public::read(body.parts()?.get(6)?.whole)
    }

    fn algorithm(&self) -> &'static dyn VerificationAlgorithm {
        match self.kind {
            kind if *kind == rcgen::PKCS_ECDSA_P256_SHA256 => &ECDSA_P256_SHA256_ASN1,
            kind if *kind == rcgen::PKCS_ECDSA_P384_SHA384 => &ECDSA_P384_SHA384_ASN1,
            kind if *kind == rcgen::PKCS_ED25519 => &ED25519,
            _ => &RSA_PKCS1_2048_8192_SHA256,
        }
    }

    /// For RSA and Ed25519 the bits are the key; for ECDSA they are the point.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm(), &self.bits).verify(message, signature).is_ok()
    }

    /// Is this a signature of what has this SHA-256?
    pub fn verifies_digest(&self, digest: &[u8], signature: &[u8]) -> bool {
        let Ok(digest) = Digest::import_less_safe(digest, &DIGEST) else { return false };
        UnparsedPublicKey::new(self.algorithm(), &self.bits).verify_digest(&digest, signature).is_ok()
    }
}

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.kind
    }
}
