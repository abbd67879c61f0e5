//! Stage 8: what is asked of a signature. Keys and rules in, a policy out. Pure but for reading a key's file.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_verify::crypto::{SigningScheme, VerificationKey};
use sigstore_verify::types::{DerPublicKey, SignatureBytes};

use crate::error::{Error, Result, printable};
use crate::manifest::Matcher;
use crate::oci::Digest;
use crate::trust::root;

/// The predicate type of a statement that is a signature and nothing else.
pub const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

/// Whose signature is asked for.
#[derive(Clone, Debug)]
pub enum Who {
    /// The holder of this key.
    Key(PublicKey),
    /// Whom a certificate authority of the trusted root has certified as this.
    Identity {
        /// The certificate's subject: a mail address, or the URI of a workflow.
        identity: Matcher,
        /// Who said so to the certificate authority.
        issuer: Matcher,
    },
}

/// All that a signature must meet.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whose it is.
    pub who: Who,
    /// Annotations that must be signed with it.
    pub annotations: BTreeMap<String, String>,
    /// Whether a key's signature must stand in a transparency log; that of an identity always must.
    pub require_log: bool,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// A signature; an attestation is none.
    Signature,
    /// An attestation with a predicate of this type.
    Attestation(String),
}

impl Want {
    /// What has this predicate type.
    pub fn of(predicate_type: &str) -> Want {
        match predicate_type {
            SIGNATURE => Want::Signature,
            kind => Want::Attestation(kind.to_string()),
        }
    }

    /// The predicate type that is looked for.
    pub fn predicate_type(&self) -> &str {
        match self {
            Want::Signature => SIGNATURE,
            Want::Attestation(kind) => kind,
        }
    }

    /// In words, with its article.
    pub fn name(&self) -> String {
        match self {
            Want::Signature => "a signature".to_string(),
            Want::Attestation(kind) => format!("an attestation of the type `{}`", printable(kind)),
        }
    }
}

impl Policy {
    /// Everything that is signed by this key.
    pub fn key(key: PublicKey) -> Policy {
        Policy { who: Who::Key(key), annotations: BTreeMap::new(), require_log: false }
    }

    /// Everything that is signed by this identity.
    pub fn identity(identity: Matcher, issuer: Matcher) -> Policy {
        Policy { who: Who::Identity { identity, issuer }, annotations: BTreeMap::new(), require_log: true }
    }

    /// Whether the trusted root is needed.
    pub fn needs_roots(&self) -> bool {
        self.require_log || matches!(self.who, Who::Identity { .. })
    }

    /// The policy as a document; equal policies have equal ones.
    pub fn to_json(&self) -> Value {
        let who = match &self.who {
            Who::Key(key) => json!({ "key": key.id() }),
            Who::Identity { identity, issuer } => {
                json!({ "identity": identity.rule(), "issuer": issuer.rule() })
            }
        };
        json!({ "who": who, "annotations": self.annotations, "log": self.require_log })
    }
}

/// A public key that signatures are checked with.
#[derive(Clone, Debug)]
pub struct PublicKey {
    der: DerPublicKey,
}

impl PublicKey {
    /// The key in a PEM file (`PUBLIC KEY`).
    pub fn read(path: &Path) -> Result<PublicKey> {
        PublicKey::from_pem(&root::read(path)?, &path.display().to_string())
    }

    /// The key in a PEM text; `from` names it for messages.
    pub fn from_pem(text: &str, from: &str) -> Result<PublicKey> {
        let wrong = || {
            let error = Error::usage(format!("`{from}` is not a public key"));
            if text.contains("PRIVATE KEY") {
                return error.hint("it is a private key; verifying takes the public one (`cosign.pub`)");
            }
            error.hint("a public key is a PEM text that begins with `-----BEGIN PUBLIC KEY-----`")
        };
        let der = DerPublicKey::from_pem(text).map_err(|cause| wrong().because(cause))?;
        PublicKey::from_der(der).map_err(|cause| wrong().because(cause))
    }

    /// The key in its plain form (SubjectPublicKeyInfo).
    pub fn from_der(der: DerPublicKey) -> Result<PublicKey> {
        let unfit = |cause| Error::usage("signatures by this kind of key cannot be checked").because(cause);
        VerificationKey::from_spki(&der).map_err(unfit)?;
        Ok(PublicKey { der })
    }

    /// The digest of the key, by which bundles hint at it.
    pub fn id(&self) -> Digest {
        Digest::of(self.der.as_bytes())
    }

    /// By what a bundle hints at the key: its digest, in base64.
    pub fn hint(&self) -> String {
        STANDARD.encode(self.id().bytes())
    }

    /// The key as PEM.
    pub fn to_pem(&self) -> String {
        // The crate ends lines as mails do; logs and other verifiers compare texts.
        self.der.to_pem().replace("\r\n", "\n")
    }

    /// Whether it is an ECDSA key on P-256, which every verifier and every log takes.
    pub fn is_p256(&self) -> bool {
        let scheme = VerificationKey::from_spki(&self.der).map(|key| key.scheme());
        scheme.is_ok_and(|scheme| scheme == SigningScheme::EcdsaP256Sha256)
    }

    /// The key in its plain form.
    pub fn der(&self) -> &DerPublicKey {
        &self.der
    }

    /// Whether this is the key's signature of these bytes.
    pub fn signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let signature = SignatureBytes::from_bytes(signature);
        VerificationKey::from_spki(&self.der).is_ok_and(|key| key.verify(bytes, &signature).is_ok())
    }

    /// Whether this is the key's signature of something with this digest.
    pub(super) fn signed_digest(&self, digest: &[u8], signature: &[u8]) -> bool {
        let signature = SignatureBytes::from_bytes(signature);
        VerificationKey::from_spki(&self.der).is_ok_and(|key| key.verify_prehashed(digest, &signature).is_ok())
    }
}
