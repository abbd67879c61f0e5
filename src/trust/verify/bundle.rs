//! Stage 8: one sigstore bundle. Its bytes, a digest and a policy in, what it proves out, or why not. Pure but for the clock that the
//! sigstore crates read.
//!
//! Certificates, logs and timestamps are checked by `sigstore-verify`. A key's signature without a log is checked here, because
//! that crate does not take it; where such a bundle has log entries, they must at least be about this signature (SIG-06).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sigstore_verify::crypto::CertificateInfo;
use sigstore_verify::types::bundle::{TimestampVerificationData, VerificationMaterialContent};
use sigstore_verify::types::{Artifact, Bundle, Sha256Hash, SignatureContent};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult, Verifier};

use super::policy::{Policy, PublicKey, Want, Who};
use super::statement::{self, Claim, PAYLOAD_TYPE};
use crate::error::{Error, Result, printable};
use crate::manifest::Matcher;
use crate::oci::Digest;
use crate::trust::root::Roots;

/// Most log entries of a bundle, and most timestamps.
const MOST_ENTRIES: usize = 32;
/// A trusted root that trusts nobody.
const NOBODY: &str = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;

/// What was proven about a signature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// The digest of the key, where a key was asked for.
    pub key: Option<Digest>,
    /// The certificate's subject.
    pub identity: Option<String>,
    /// Who said so to the certificate authority.
    pub issuer: Option<String>,
    /// What else the certificate says of the build (Fulcio's extensions).
    pub claims: BTreeMap<String, String>,
    /// Where it stands in transparency logs; only what was checked.
    pub log: Vec<u64>,
    /// When it was there already, by the word of a log or a timestamp authority.
    pub times: Vec<String>,
}

/// What a bundle says of an image, once it meets the policy.
pub fn check(
    bytes: &[u8],
    digest: &Digest,
    want: &Want,
    policy: &Policy,
    roots: Option<&Roots>,
) -> Result<(Claim, Proof)> {
    let bundle = read(bytes)?;
    let SignatureContent::DsseEnvelope(envelope) = &bundle.content else {
        return Err(Error::policy("the bundle holds no statement, but signs bytes as they are"));
    };
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(Error::policy(format!("the payload type is `{}`", printable(&envelope.payload_type))));
    }
    let claim = statement::read(envelope.payload.as_bytes(), want, digest)?;
    let proof = prove(&bundle, digest, policy, roots)?;
    annotated(&claim, policy)?;
    Ok((claim, proof))
}

/// Whether a bundle's signature of an artifact with this digest meets the policy. What the signature says is not looked at beyond
/// that: an image wants [`check`].
pub fn check_blob(bytes: &[u8], artifact: &Digest, policy: &Policy, roots: Option<&Roots>) -> Result<Proof> {
    prove(&read(bytes)?, artifact, policy, roots)
}

/// Refuses a claim that lacks an annotation which the policy asks for.
pub(super) fn annotated(claim: &Claim, policy: &Policy) -> Result<()> {
    for (key, value) in &policy.annotations {
        if claim.annotations.get(key) != Some(value) {
            let (key, value) = (printable(key), printable(value));
            return Err(Error::policy(format!("the annotation `{key}={value}` is not signed with it")));
        }
    }
    Ok(())
}

pub(super) fn read(bytes: &[u8]) -> Result<Bundle> {
    let wrong = || Error::policy("the bundle cannot be read");
    let text = std::str::from_utf8(bytes).map_err(|cause| wrong().because(cause))?;
    let bundle = Bundle::from_json(text).map_err(|cause| wrong().because(cause))?;
    let material = &bundle.verification_material;
    let stamps = material.timestamp_verification_data.rfc3161_timestamps.len();
    if material.tlog_entries.len() > MOST_ENTRIES || stamps > MOST_ENTRIES {
        return Err(Error::policy(format!(
            "the bundle has over {MOST_ENTRIES} log entries or timestamps, which is the limit"
        )));
    }
    Ok(bundle)
}

/// Proves who signed.
pub(super) fn prove(bundle: &Bundle, digest: &Digest, policy: &Policy, roots: Option<&Roots>) -> Result<Proof> {
    match &policy.who {
        Who::Key(key) => by_key(bundle, digest, key, policy.require_log, roots),
        Who::Identity { identity, issuer } => by_identity(bundle, digest, identity, issuer, roots),
    }
}

fn by_key(bundle: &Bundle, digest: &Digest, key: &PublicKey, log: bool, roots: Option<&Roots>) -> Result<Proof> {
    let material = &bundle.verification_material;
    if !matches!(material.content, VerificationMaterialContent::PublicKey(_)) {
        return Err(Error::policy("it was made with a certificate, not with a key"));
    }
    let signed = match &bundle.content {
        SignatureContent::DsseEnvelope(envelope) => key.signed(&envelope.pae(), envelope.signature.sig.as_bytes()),
        SignatureContent::MessageSignature(message) => {
            key.signed_digest(hash(digest)?.as_bytes(), message.signature.as_bytes())
        }
        _ => false,
    };
    if !signed {
        return Err(Error::policy("the signature is not by this key"));
    }
    let wanted = PublicKeyVerificationPolicy::new(key.der().clone());
    let mut proof = Proof { key: Some(key.id()), ..Proof::default() };
    if log {
        let found = verifier(roots)?.verify(artifact(digest)?, bundle, &wanted).map_err(refused)?;
        witnessed(&mut proof, bundle, &found);
    } else if !material.tlog_entries.is_empty() {
        // Nobody vouches for the entries, so nothing is taken from them; but they may not be those of another signature.
        let mut bare = bundle.clone();
        bare.verification_material.timestamp_verification_data = TimestampVerificationData::default();
        let nobody = Roots::read(NOBODY, "nobody")?;
        verifier(Some(&nobody))?.verify(artifact(digest)?, &bare, &wanted.skip_tlog_unsafe()).map_err(refused)?;
    }
    Ok(proof)
}

fn by_identity(
    bundle: &Bundle,
    digest: &Digest,
    identity: &Matcher,
    issuer: &Matcher,
    roots: Option<&Roots>,
) -> Result<Proof> {
    if bundle.signing_certificate().is_none() {
        return Err(Error::policy("it was made with a key, not with a certificate"));
    }
    // Anyone whom the roots vouch for; who it is is asked below, by rules that the crate does not know.
    let anyone = VerificationPolicy::any_identity();
    let found = verifier(roots)?.verify(artifact(digest)?, bundle, &anyone).map_err(refused)?;
    let (Some(subject), Some(said_by), Some(certificate)) = (found.identity(), found.issuer(), found.certificate())
    else {
        return Err(Error::policy("the certificate names no identity, or not who issued it"));
    };
    if !found.certificate_verified() || !found.tlog_verified() || !found.sct_verified() {
        return Err(Error::bug("a certificate was taken without its proofs"));
    }
    if !identity.fits(subject.as_str()) {
        return Err(Error::policy(format!("it is by `{}`, not by {identity}", printable(subject.as_str()))));
    }
    if !issuer.fits(said_by) {
        return Err(Error::policy(format!("its identity was issued by `{}`, not by {issuer}", printable(said_by))));
    }
    let mut proof = Proof {
        identity: Some(subject.as_str().to_string()),
        issuer: Some(said_by.to_string()),
        claims: claims(certificate),
        ..Proof::default()
    };
    witnessed(&mut proof, bundle, &found);
    Ok(proof)
}

fn witnessed(proof: &mut Proof, bundle: &Bundle, found: &VerificationResult) {
    proof.log = bundle.verification_material.tlog_entries.iter().map(|entry| entry.log_index.get()).collect();
    proof.times = found.verified_timestamps().iter().map(ToString::to_string).collect();
}

fn verifier(roots: Option<&Roots>) -> Result<Verifier> {
    let roots = roots.ok_or_else(|| Error::bug("a signature is to be checked without a trusted root"))?;
    let unfit = |cause| Error::usage(format!("`{}` cannot be trusted by", roots.from)).because(cause);
    Verifier::new(&roots.trusted).map_err(unfit)
}

fn artifact(digest: &Digest) -> Result<Artifact<'static>> {
    Ok(Artifact::from_digest(hash(digest)?))
}

fn hash(digest: &Digest) -> Result<Sha256Hash> {
    Sha256Hash::from_hex(&digest.hex()).map_err(|cause| Error::bug("a digest is no SHA-256").because(cause))
}

/// What the crates say is wrong, under one sentence.
fn refused(cause: sigstore_verify::Error) -> Error {
    Error::policy("the signature's proofs do not hold").because(cause)
}

fn claims(certificate: &CertificateInfo) -> BTreeMap<String, String> {
    let ci = &certificate.ci_claims;
    let all = [
        ("buildConfigDigest", &ci.build_config_digest),
        ("buildConfigURI", &ci.build_config_uri),
        ("buildSignerDigest", &ci.build_signer_digest),
        ("buildSignerURI", &ci.build_signer_uri),
        ("buildTrigger", &ci.build_trigger),
        ("runInvocationURI", &ci.run_invocation_uri),
        ("runnerEnvironment", &ci.runner_environment),
        ("sourceRepositoryDigest", &ci.source_repository_digest),
        ("sourceRepositoryRef", &ci.source_repository_ref),
        ("sourceRepositoryURI", &ci.source_repository_uri),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_string(), value.clone()?))).collect()
}

/// Base64 as the legacy annotations have it.
pub(super) fn base64(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text.trim()).map_err(|cause| Error::policy("the signature is not base64").because(cause))
}
