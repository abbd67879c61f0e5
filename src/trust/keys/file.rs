//! Stage 8: cosign's encrypted key files. A text and a password in, a key out; a password in, a new pair of files out. May write the
//! two files. Format: signing.md §3.1 of the facts: PEM around JSON; scrypt, and a secretbox around PKCS#8.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sigstore::crypto::SigningScheme;
use sigstore::crypto::signing_key::ecdsa::ECDSAKeys;
use sigstore::crypto::signing_key::kdf;
use sigstore::crypto::signing_key::{SigStoreKeyPair, SigStoreSigner};

use crate::error::{Error, Result};
use crate::trust::verify::PublicKey;

/// The labels of encrypted keys.
const LABELS: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];
/// Bytes of a secretbox's nonce.
const NONCE: usize = 24;

/// A key file that was read and not opened yet.
pub struct Sealed {
    /// How it is named in messages.
    name: String,
    /// What stands in it.
    content: Vec<u8>,
}

/// A private key in memory.
pub struct Pair(SigStoreSigner);

/// A new pair of keys, as the texts of its files.
pub struct Made {
    /// The private key, encrypted.
    pub private: String,
    /// The public key.
    pub public: String,
}

impl Sealed {
    /// Looks at a key file as far as that goes without its password.
    pub fn read(text: &str, name: &str) -> Result<Sealed> {
        let wrong = |why: &str| Error::usage(format!("`{name}` is not a key file of cosign: {why}"));
        let (label, body) = pem(text).ok_or_else(|| {
            wrong("it is no PEM text").hint("such a file begins with `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----`")
        })?;
        if !LABELS.contains(&label) {
            let error = wrong(&format!("it holds a `{}`", label.escape_debug()));
            return Err(match label {
                "PUBLIC KEY" => error.hint("signing takes the private key (`cosign.key`)"),
                _ => error.hint("`cosign import-key-pair` encrypts a private key"),
            });
        }
        let content = STANDARD.decode(body).map_err(|_| wrong("it is damaged"))?;
        let json: Value = serde_json::from_slice(&content).map_err(|_| wrong("it is damaged"))?;
        // The crate below takes the nonce as it comes.
        let nonce = json["cipher"]["nonce"].as_str().and_then(|text| STANDARD.decode(text).ok());
        if nonce.is_none_or(|nonce| nonce.len() != NONCE) {
            return Err(wrong("it is damaged"));
        }
        let (cost, rest) = (&json["kdf"]["params"]["N"], (&json["kdf"]["params"]["r"], &json["kdf"]["params"]["p"]));
        let known = [kdf::SCRYPT_N_LOW, kdf::SCRYPT_N_HIGH].iter().any(|known| *cost == *known);
        if !known || (rest.0.as_u64(), rest.1.as_u64()) != (Some(8), Some(1)) {
            return Err(wrong("its scrypt parameters are not those that cosign writes"));
        }
        Ok(Sealed { name: name.to_string(), content })
    }

    /// The key in it.
    pub fn open(&self, password: &str) -> Result<Pair> {
        let name = &self.name;
        // The cause is not told: it says nothing more, and words of a parser could hold parts of the key.
        let der = kdf::decrypt(&self.content, password.as_bytes()).map_err(|_| {
            Error::usage(format!("the password does not open `{name}`"))
                .hint("it is taken from `COSIGN_PASSWORD` if that is set")
        })?;
        let unfit = || {
            Error::usage(format!("`{name}` holds a kind of key that is not signed with"))
                .hint("P-256 (what `stillframe keygen` makes), RSA and P-384 are")
        };
        let pair = SigStoreKeyPair::from_der(&der).map_err(|_| unfit())?;
        let scheme = match &pair {
            SigStoreKeyPair::ECDSA(ECDSAKeys::P256(_)) => SigningScheme::ECDSA_P256_SHA256_ASN1,
            SigStoreKeyPair::ECDSA(ECDSAKeys::P384(_)) => SigningScheme::ECDSA_P384_SHA384_ASN1,
            SigStoreKeyPair::RSA(_) => SigningScheme::RSA_PKCS1_SHA256(0),
            _ => return Err(unfit()),
        };
        pair.to_sigstore_signer(&scheme).map(Pair).map_err(|_| unfit())
    }
}

impl Pair {
    /// The other half.
    pub fn public(&self) -> Result<PublicKey> {
        let der = self.0.to_sigstore_keypair().and_then(|pair| pair.public_key_to_der()).map_err(broken)?;
        PublicKey::from_spki(&der)
    }

    /// The signature of these bytes.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.0.sign(bytes).map_err(broken)
    }
}

fn broken(_: sigstore::errors::SigstoreError) -> Error {
    Error::bug("a key that was read does not work")
}

/// A new pair of P-256 keys.
pub fn make(password: &str) -> Result<Made> {
    let signer = SigningScheme::ECDSA_P256_SHA256_ASN1.create_signer().map_err(broken)?;
    let pair = signer.to_sigstore_keypair().map_err(broken)?;
    let private = pair.private_key_to_encrypted_pem(password.as_bytes()).map_err(broken)?.replace("\r\n", "\n");
    Ok(Made { private, public: Pair(signer).public()?.to_pem() })
}

/// Writes a pair to `PREFIX.key`, readable by its owner only, and `PREFIX.pub`. Neither may be there.
pub fn write(prefix: &Path, made: &Made) -> Result<(PathBuf, PathBuf)> {
    let beside = |ending: &str| {
        let mut name = prefix.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let (private, public) = (beside(".key"), beside(".pub"));
    for path in [&private, &public] {
        if path.symlink_metadata().is_ok() {
            return Err(Error::local(format!("`{}` is there already", path.display()))
                .hint("keys are never overwritten; choose another name with `--output-prefix`"));
        }
    }
    create(&private, &made.private, 0o600)?;
    create(&public, &made.public, 0o644).inspect_err(|_| {
        let _ = fs::remove_file(&private);
    })?;
    Ok((private, public))
}

fn create(path: &Path, text: &str, mode: u32) -> Result<()> {
    let doing = || format!("writing `{}`", path.display());
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = opened.map_err(|cause| Error::io(doing(), cause))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|cause| {
        let _ = fs::remove_file(path);
        Error::io(doing(), cause)
    })
}

/// The label and the base64 of the first PEM block.
fn pem(text: &str) -> Option<(&str, String)> {
    let (label, rest) = text.split_once("-----BEGIN ")?.1.split_once("-----")?;
    let body = rest.split_once(&format!("-----END {label}-----"))?.0;
    Some((label, body.split_whitespace().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_made_opened_and_signs() {
        for password in ["", "a password"] {
            let made = make(password).unwrap();
            assert!(made.private.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
            let public = PublicKey::from_pem(&made.public, "x").unwrap();
            let old = made.private.replace("SIGSTORE", "COSIGN");
            for text in [&made.private, &old] {
                let pair = Sealed::read(text, "x").unwrap().open(password).unwrap();
                assert_eq!(pair.public().unwrap().id(), public.id());
                assert!(public.signed(b"bytes", &pair.sign(b"bytes").unwrap()));
            }
            let wrong = Sealed::read(&made.private, "x").unwrap().open("another").err().unwrap();
            assert!(wrong.message().contains("password does not open"), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_key_file_is_refused_before_its_password_is_asked_for() {
        let made = make("").unwrap();
        let (_, body) = pem(&made.private).unwrap();
        let json = String::from_utf8(STANDARD.decode(body).unwrap()).unwrap();
        let with = |from: &str, to: &str| {
            assert!(json.contains(from), "{json}");
            let body = STANDARD.encode(json.replace(from, to));
            format!("-----BEGIN {0}-----\n{body}\n-----END {0}-----\n", LABELS[0])
        };
        assert!(Sealed::read(&with("\"N\":32768", "\"N\":65536"), "x").is_ok());
        for text in [
            with("\"N\":32768", "\"N\":1073741824"),
            with("\"r\":8", "\"r\":800"),
            with("\"nonce\":\"", "\"nonce\":\"AAAA"),
            made.public,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".into(),
            String::new(),
        ] {
            let error = Sealed::read(&text, "x").err().unwrap();
            assert_eq!(error.kind().exit_code(), 2, "{text}");
        }
    }
}
