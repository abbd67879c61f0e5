//! Stage 8: private keys in cosign's encrypted files. A text and a password in, a key that signs out. Reads the file or the
//! environment variable that a person named. (cosign's key format: PEM around JSON, scrypt and NaCl's secretbox.)

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sigstore::crypto::SigningScheme;
use sigstore::crypto::signing_key::ecdsa::{ECDSAKeys, EllipticCurve};
use sigstore::crypto::signing_key::{SigStoreKeyPair, SigStoreSigner};

use super::root;
use super::verify::PublicKey;
use crate::error::{Error, Result, printable};

/// What a reference to a variable begins with.
const VARIABLE: &str = "env://";
/// Longest key, in bytes.
const MOST_BYTES: usize = 64 << 10;

/// A private key that can sign.
pub struct Key {
    signer: SigStoreSigner,
    public: PublicKey,
}

/// Two texts to be kept in files.
pub struct Pair {
    /// The encrypted private key.
    pub private: String,
    /// The public key.
    pub public: String,
}

/// The text of a key: from a file, or from a variable as in `env://COSIGN_PRIVATE_KEY`.
pub fn text(reference: &str) -> Result<String> {
    let Some(name) = reference.strip_prefix(VARIABLE) else { return root::read(Path::new(reference)) };
    let text = std::env::var(name).map_err(|_| {
        Error::usage(format!("the key `{}` is not there: the environment has no such variable", printable(reference)))
    })?;
    match text.len() > MOST_BYTES {
        true => Err(Error::usage(format!(
            "`{}` has over {MOST_BYTES} bytes, which is the limit for a key",
            printable(reference)
        ))),
        false => Ok(text),
    }
}

impl Key {
    /// The key in a text; `from` names it for messages.
    pub fn read(text: &str, password: &[u8], from: &str) -> Result<Key> {
        let from = printable(from);
        if !text.contains("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----")
            && !text.contains("-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----")
        {
            let error = Error::usage(format!("`{from}` is not a private key of cosign's kind"));
            return Err(
                error.hint("`stillframe keygen` makes one; `cosign import-key-pair` takes over a plain PEM key")
            );
        }
        let pair = SigStoreKeyPair::from_encrypted_pem(text.as_bytes(), password).map_err(|_| {
            Error::usage(format!(
                "the private key `{from}` could not be opened: the password is wrong, or the key is broken"
            ))
            .hint("`COSIGN_PASSWORD` holds the password; set but empty counts")
        })?;
        let scheme = match &pair {
            SigStoreKeyPair::ECDSA(ECDSAKeys::P256(_)) => SigningScheme::ECDSA_P256_SHA256_ASN1,
            SigStoreKeyPair::RSA(_) => SigningScheme::RSA_PKCS1_SHA256(0),
            other => {
                let error = Error::usage(format!("`{from}` is of a kind that half of the verifiers refuse: {other}"));
                return Err(error.hint("sign with an ECDSA key on P-256, as `stillframe keygen` makes it, or with RSA"));
            }
        };
        let unfit = |cause| Error::usage(format!("the private key `{from}` cannot sign")).because(cause);
        let public = PublicKey::from_pem(&pair.public_key_to_pem().map_err(unfit)?, &from)?;
        Ok(Key { signer: pair.to_sigstore_signer(&scheme).map_err(unfit)?, public })
    }

    /// The key's signature of these bytes, checked with the public key before it is given out.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let signature = self.signer.sign(bytes).map_err(|cause| Error::usage("the key did not sign").because(cause))?;
        match self.public.signed(bytes, &signature) {
            true => Ok(signature),
            false => Err(Error::bug("a fresh signature does not verify")),
        }
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// By what a bundle hints at the key: its digest, in base64.
    pub fn hint(&self) -> String {
        STANDARD.encode(self.public.id().bytes())
    }
}

/// A new key pair: ECDSA on P-256, which every verifier takes.
pub fn generate(password: &[u8]) -> Result<Pair> {
    let failed = |cause| Error::bug("no key could be made").because(cause);
    let pair = SigStoreKeyPair::ECDSA(ECDSAKeys::new(EllipticCurve::P256).map_err(failed)?);
    let private = pair.private_key_to_encrypted_pem(password).map_err(failed)?.to_string();
    Ok(Pair { private, public: pair.public_key_to_pem().map_err(failed)? })
}

/// Writes a key pair to `PREFIX.key`, which only its owner may read, and `PREFIX.pub`. Nothing is written over.
pub fn write(prefix: &Path, pair: &Pair) -> Result<(PathBuf, PathBuf)> {
    let named = |ending: &str| {
        let mut name = prefix.as_os_str().to_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let (private, public) = (named(".key"), named(".pub"));
    create(&private, pair.private.as_bytes(), 0o600)?;
    if let Err(error) = create(&public, pair.public.as_bytes(), 0o644) {
        // A private key without its public half is of no use to anybody.
        let _ = fs::remove_file(&private);
        return Err(error);
    }
    Ok((private, public))
}

fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let doing = || format!("writing `{}`", path.display());
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(|cause| match cause.kind() {
        ErrorKind::AlreadyExists => {
            Error::usage(format!("`{}` is there already, and a key is never written over", path.display()))
                .hint("choose another name with `--output-prefix`")
        }
        _ => Error::io(doing(), cause),
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|cause| {
        let _ = fs::remove_file(path);
        Error::io(doing(), cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_with_its_password_only() {
        let pair = generate(b"secret").unwrap();
        let key = Key::read(&pair.private, b"secret", "cosign.key").unwrap();
        let public = PublicKey::from_pem(&pair.public, "cosign.pub").unwrap();
        assert!(public.signed(b"hello", &key.sign(b"hello").unwrap()));
        assert!(!public.signed(b"hallo", &key.sign(b"hello").unwrap()));
        for wrong in [&b""[..], b"Secret"] {
            let error = Key::read(&pair.private, wrong, "cosign.key").err().unwrap();
            assert!(error.message().contains("password"), "{}", error.message());
        }
    }

    #[test]
    fn what_is_no_key_says_so() {
        let pair = generate(b"").unwrap();
        assert!(Key::read(&pair.private, b"", "k").is_ok());
        for wrong in ["", "-----BEGIN PRIVATE KEY-----\n", pair.public.as_str()] {
            assert!(Key::read(wrong, b"", "k").err().unwrap().message().contains("not a private key"));
        }
    }
}
