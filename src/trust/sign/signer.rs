//! Stage 8: somebody who signs. Bytes in, a signature and whose it is out. The contract of all kinds of signers, and nothing else.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use sigstore_sign::crypto::x509::parse_certificate_info;
use sigstore_sign::types::{DerCertificate, SignatureBytes};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::manifest::Matcher;
use crate::trust::verify::{Policy, PublicKey};

/// Somebody who signs: the holder of a key, or whoever an identity provider says we are.
pub trait Signer: Send + Sync {
    /// Who would sign now. An identity asks for its certificate, if it has none.
    fn who<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<By>>;

    /// The signature of these bytes (ECDSA in DER, or RSA PKCS #1, with SHA-256), and whose it is.
    fn sign<'a>(&'a self, ctx: &'a Ctx, bytes: &'a [u8]) -> BoxFuture<'a, Result<(SignatureBytes, By)>>;
}

/// Who signed.
#[derive(Clone, Debug)]
pub enum By {
    /// The holder of a key.
    Key(PublicKey),
    /// Whom a certificate names.
    Certificate {
        /// The leaf first.
        chain: Vec<DerCertificate>,
        /// When it ends, by our clock.
        until: Timestamp,
    },
}

impl By {
    /// What logs and annotations hold of who signed, as PEM.
    pub fn pem(&self) -> String {
        match self {
            By::Key(key) => key.to_pem(),
            By::Certificate { chain, .. } => chain.first().map(pem).unwrap_or_default(),
        }
    }

    /// The certificates above the leaf, as PEM; a key has none.
    pub fn above(&self) -> Option<String> {
        match self {
            By::Key(_) => None,
            By::Certificate { chain, .. } => Some(chain.iter().skip(1).map(pem).collect()),
        }
    }

    /// Whether so many seconds are left in which services may speak for a signature.
    pub fn lasts(&self, now: Timestamp, seconds: i64) -> bool {
        match self {
            By::Key(_) => true,
            By::Certificate { until, .. } => until.as_second() - now.as_second() >= seconds,
        }
    }

    /// What somebody asks for who trusts exactly this signer. `log` says whether a key's signatures stand in a log.
    pub fn policy(&self, log: bool) -> Result<Policy> {
        match self {
            By::Key(key) => Ok(Policy { require_log: log, ..Policy::key(key.clone()) }),
            By::Certificate { .. } => {
                let (identity, issuer) = self.named()?;
                Ok(Policy::identity(Matcher::exact(&identity)?, Matcher::exact(&issuer)?))
            }
        }
    }

    /// For receipts.
    pub fn to_json(&self) -> Value {
        match self {
            By::Key(key) => json!({ "key": key.id() }),
            By::Certificate { .. } => {
                let (identity, issuer) = self.named().unwrap_or_default();
                json!({ "identity": identity, "issuer": issuer })
            }
        }
    }

    /// Whom a certificate names, and who said so.
    pub fn named(&self) -> Result<(String, String)> {
        let wrong = || Error::remote("the certificate that was given to us names no identity, or not who issued it");
        let By::Certificate { chain, .. } = self else { return Err(Error::bug("a key names nobody")) };
        let leaf = chain.first().ok_or_else(wrong)?;
        let info = parse_certificate_info(leaf).map_err(|cause| wrong().because(cause))?;
        let identity = info.identity.ok_or_else(wrong)?;
        Ok((identity.as_str().to_string(), info.issuer.ok_or_else(wrong)?))
    }
}

fn pem(certificate: &DerCertificate) -> String {
    // The crate ends lines as mails do; logs and other verifiers compare texts.
    certificate.to_pem().replace("\r\n", "\n")
}
