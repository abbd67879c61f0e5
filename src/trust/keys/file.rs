//! Stage 8: private keys in cosign's encrypted files. A text and a password in, a key that signs out; a new pair in, two files out,
//! which are never written over. (cosign's key format: PEM around JSON, scrypt and NaCl's secretbox.)

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use sigstore::crypto::SigningScheme;
use sigstore::crypto::signing_key::ecdsa::{ECDSAKeys, EllipticCurve};
use sigstore::crypto::signing_key::{SigStoreKeyPair, SigStoreSigner};
use sigstore_sign::types::SignatureBytes;

use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::trust::sign::{By, Signer};
use crate::trust::verify::PublicKey;

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

/// Refuses what is no private key of cosign's kind; `from` names it for messages.
pub(super) fn check(text: &str, from: &str) -> Result<()> {
    if text.contains("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----")
        || text.contains("-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----")
    {
        return Ok(());
    }
    Err(Error::usage(format!("`{from}` is not a private key of cosign's kind"))
        .hint("`stillframe keygen` makes one; `cosign import-key-pair` takes over a plain PEM key"))
}

impl Key {
    /// The key in a text; `from` names it for messages.
    pub fn read(text: &str, password: &[u8], from: &str) -> Result<Key> {
        let from = printable(from);
        check(text, &from)?;
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

    /// The key's signature of these bytes.
    pub fn signature(&self, bytes: &[u8]) -> Result<SignatureBytes> {
        let signature = self.signer.sign(bytes).map_err(|cause| Error::usage("the key did not sign").because(cause))?;
        Ok(SignatureBytes::new(signature))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl Signer for Key {
    fn who<'a>(&'a self, _: &'a Ctx) -> BoxFuture<'a, Result<By>> {
        Box::pin(async { Ok(By::Key(self.public.clone())) })
    }

    fn sign<'a>(&'a self, _: &'a Ctx, bytes: &'a [u8]) -> BoxFuture<'a, Result<(SignatureBytes, By)>> {
        Box::pin(async { Ok((self.signature(bytes)?, By::Key(self.public.clone()))) })
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
        assert!(public.signed(b"hello", key.signature(b"hello").unwrap().as_bytes()));
        assert!(!public.signed(b"hallo", key.signature(b"hello").unwrap().as_bytes()));
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
