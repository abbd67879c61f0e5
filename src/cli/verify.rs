//! Stage 10: `stillframe verify`.

use serde_json::json;

use super::args::Verify;
use super::session::Session;
use super::tag::find;
use crate::error::{Error, Report, Result};
use crate::manifest::Matcher;
use crate::oci::Digest;
use crate::source::{self, Place};
use crate::trust::predicate::predicate_type;
use crate::trust::root;
use crate::trust::verify::{Accepted, Policy, PublicKey, Want, verify};

/// Shows that an image is signed as it should be, or fails.
pub async fn run(session: &Session<'_>, options: &Verify) -> Result<u8> {
    let Place::Registry(reference) = &options.reference else {
        return Err(Error::usage(format!(
            "`{}` is in no registry, and signatures are looked for there",
            options.reference
        ))
        .hint("verify the image where it came from, by the digest that it has here"));
    };
    let (want, policy) = (want(options)?, policy(options)?);
    let ctx = &session.ctx;
    let name = &reference.repository;
    let digest = find(ctx, reference).await?.digest;
    let roots = match policy.needs_roots() {
        true => Some(root::load(ctx, &session.roots(options.trusted_root.as_deref())).await?),
        false => None,
    };
    let mut documents = Vec::new();
    for digest in digests(session, options, digest).await? {
        let accepted = verify(ctx, name, &digest, &want, &policy, roots.as_ref()).await?;
        for one in &accepted {
            tell(session, &digest, one);
        }
        let accepted: Vec<_> = accepted.iter().map(Accepted::to_json).collect();
        documents.push(json!({ "digest": digest, "accepted": accepted }));
    }
    let line = format!("{name}@{digest}");
    if session.terminal.json() {
        let told = json!({ "digest": digest, "name": name.to_string(), "reference": line, "images": documents });
        session.terminal.document(told, &Report::default())?;
    } else {
        session.terminal.result(&format!("{line}\n"))?;
    }
    Ok(0)
}

/// What must be signed: what the reference leads to, and with `--recursive` everything in it.
async fn digests(session: &Session<'_>, options: &Verify, digest: Digest) -> Result<Vec<Digest>> {
    if !options.recursive {
        return Ok(vec![digest]);
    }
    let Place::Registry(reference) = &options.reference else { return Ok(Vec::new()) };
    let pinned = Place::Registry(crate::oci::Reference { digest: Some(digest), ..reference.clone() });
    let image = source::open(&session.ctx, &pinned).await?;
    Ok(image.documents.iter().rev().map(|paper| paper.descriptor.digest).collect())
}

fn tell(session: &Session<'_>, digest: &Digest, accepted: &Accepted) {
    if !session.terminal.json() {
        session.ctx.note(format!("{digest} is {}", accepted.told()));
    }
}

fn want(options: &Verify) -> Result<Want> {
    match &options.attestation {
        Some(word) => Ok(Want::Attestation(predicate_type(word)?)),
        None => Ok(Want::Signature),
    }
}

fn policy(options: &Verify) -> Result<Policy> {
    let either = |exact: &Option<String>, pattern: &Option<String>| match (exact, pattern) {
        (Some(text), _) => Matcher::exact(text).map(Some),
        (None, Some(text)) => Matcher::pattern(text).map(Some),
        (None, None) => Ok(None),
    };
    let identity = either(&options.identity, &options.identity_regexp)?;
    let issuer = either(&options.issuer, &options.issuer_regexp)?;
    let policy = match (&options.key, identity, issuer) {
        (Some(path), ..) => Policy { require_log: options.require_log, ..Policy::key(PublicKey::read(path)?) },
        (None, Some(identity), Some(issuer)) => Policy::identity(identity, issuer),
        (None, Some(_), None) => {
            return Err(Error::usage("an identity says nothing without who issued it")
                .hint("add `--issuer URL`, as in `--issuer https://token.actions.githubusercontent.com`"));
        }
        (None, None, Some(_)) => {
            return Err(Error::usage("an issuer says nothing without the identity that it issued")
                .hint("add `--identity TEXT`: a mail address, or the URI of a workflow"));
        }
        (None, None, None) => {
            return Err(Error::usage("nothing says whose signature is asked for")
                .hint("write `--key cosign.pub`, or `--identity TEXT --issuer URL`"));
        }
    };
    Ok(Policy { annotations: options.annotation.iter().cloned().collect(), ..policy })
}
