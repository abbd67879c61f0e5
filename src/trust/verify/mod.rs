//! Stage 8, verification: a digest, what is looked for and a policy in; what meets the policy out, or every reason why nothing does.
//!
//! Stricter than cosign where that is lax (`docs/signing.md`): one candidate that meets the whole policy is enough, wherever it
//! lies; an attestation is no signature; a list that cannot be read is never an empty one.
//!
//! ```text
//! policy      what is asked              candidates  what may be an answer
//! bundle      one bundle, checked        legacy      one layer of a legacy tag, checked
//! statement   what was signed           hearsay     what is said, unproven
//! ```

mod bundle;
mod candidates;
mod hearsay;
mod legacy;
mod policy;
mod statement;

pub use bundle::{Proof, check as check_bundle, check_blob};
pub use hearsay::hearsay;
pub use legacy::{ENVELOPE, SIMPLE, check as check_layer};
pub use policy::{Policy, PublicKey, SIGNATURE, Want, Who};
pub use statement::{Claim, PAYLOAD_TYPE};

use std::fmt;

use serde_json::{Value, json};

use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::event::Event;
use crate::oci::{Descriptor, Digest, Repository};
use crate::trust::root::Roots;
use candidates::Candidate;

/// Most reasons that are told; the rest would only hide the first.
const MOST_REASONS: usize = 10;

/// So many bytes of candidates are read; after them the search fails.
const MOST_TOTAL: u64 = 256 << 20;

/// Something that meets the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// The blob of the bundle or of the legacy layer.
    pub blob: Descriptor,
    /// The manifest that names it.
    pub manifest: Descriptor,
    /// Whether it stands under a legacy tag.
    pub legacy: bool,
    /// What was said of the image.
    pub claim: Claim,
    /// Who said it.
    pub proof: Proof,
}

impl Accepted {
    /// What was done to the image and by whom, for people.
    pub fn told(&self) -> String {
        let how = if self.claim.predicate_type == SIGNATURE { "signed" } else { "attested" };
        format!("{how} by {}", self.signer())
    }

    fn signer(&self) -> String {
        match (&self.proof.key, &self.proof.identity, &self.proof.issuer) {
            (_, Some(identity), Some(issuer)) => format!("{identity} (by {issuer})"),
            (Some(key), ..) => format!("the key {key}"),
            _ => "nobody".to_string(),
        }
    }

    /// The document for `--format json`.
    pub fn to_json(&self) -> Value {
        let Proof { key, identity, issuer, claims, log, times } = &self.proof;
        json!({
            "annotations": self.claim.annotations,
            "blob": self.blob.digest,
            "claims": claims,
            "format": if self.legacy { "legacy" } else { "bundle" },
            "identity": identity,
            "issuer": issuer,
            "key": key,
            "logIndexes": log,
            "name": self.claim.name,
            "predicate": self.claim.predicate,
            "predicateType": self.claim.predicate_type,
            "times": times,
        })
    }
}

/// The search for what meets a policy.
struct Search<'a> {
    ctx: &'a Ctx,
    repository: &'a Repository,
    digest: &'a Digest,
    want: &'a Want,
    policy: &'a Policy,
    roots: Option<&'a Roots>,
    /// What meets the policy.
    accepted: Vec<Accepted>,
    /// Why the others do not.
    reasons: Vec<String>,
    /// What could not be looked at; only without an accepted one it matters.
    failed: Option<Error>,
    /// How many bytes of candidates were read.
    total: u64,
    /// What said of itself that it is something else.
    unlikely: Vec<Candidate>,
}

/// Everything that meets the policy, at least one. Bundles are looked at first; where one is enough, legacy tags are not.
pub async fn verify(
    ctx: &Ctx,
    repository: &Repository,
    digest: &Digest,
    want: &Want,
    policy: &Policy,
    roots: Option<&Roots>,
) -> Result<Vec<Accepted>> {
    let mut search = Search::new(ctx, repository, digest, want, policy, roots);
    search.bundles().await?;
    if search.accepted.is_empty() {
        search.legacy().await?;
    }
    for candidate in std::mem::take(&mut search.unlikely) {
        if !search.accepted.is_empty() {
            break;
        }
        search.look(&candidate).await?;
    }
    search.outcome()
}

/// The same, but legacy tags are looked at in any case, and what cannot be looked at fails.
pub async fn every(
    ctx: &Ctx,
    repository: &Repository,
    digest: &Digest,
    want: &Want,
    policy: &Policy,
    roots: Option<&Roots>,
) -> Result<Vec<Accepted>> {
    let mut search = Search::new(ctx, repository, digest, want, policy, roots);
    search.bundles().await?;
    search.legacy().await?;
    if search.failed.is_some() {
        search.accepted.clear();
    }
    search.outcome()
}

impl<'a> Search<'a> {
    fn new(
        ctx: &'a Ctx,
        repository: &'a Repository,
        digest: &'a Digest,
        want: &'a Want,
        policy: &'a Policy,
        roots: Option<&'a Roots>,
    ) -> Search<'a> {
        let (accepted, reasons, unlikely) = (Vec::new(), Vec::new(), Vec::new());
        Search { ctx, repository, digest, want, policy, roots, accepted, reasons, failed: None, total: 0, unlikely }
    }
}

impl Search<'_> {
    async fn bundles(&mut self) -> Result<()> {
        let listed = candidates::referrers(self.ctx, self.repository, self.digest, self.want).await;
        let Some(listed) = self.fetched(listed)? else { return Ok(()) };
        for referrer in &listed {
            let candidate = candidates::bundle(self.ctx, self.repository, referrer, self.want).await;
            match self.fetched(candidate)?.flatten() {
                Some(candidate) if candidate.unlikely => self.unlikely.push(candidate),
                Some(candidate) => self.look(&candidate).await?,
                None => {}
            }
        }
        Ok(())
    }

    async fn legacy(&mut self) -> Result<()> {
        let listed = candidates::legacy(self.ctx, self.repository, self.digest, self.want).await;
        for candidate in self.fetched(listed)?.unwrap_or_default() {
            if candidate.unlikely {
                self.unlikely.push(candidate);
            } else {
                self.look(&candidate).await?;
            }
        }
        Ok(())
    }

    /// Checks one candidate against the policy.
    async fn look(&mut self, candidate: &Candidate) -> Result<()> {
        self.ctx.cancel.check()?;
        if self.total > MOST_TOTAL {
            let error = Error::remote(format!("there are over {MOST_TOTAL} bytes of candidates, which is the limit"));
            return self.fetched::<()>(Err(error)).map(|_| ());
        }
        let bytes = candidates::fetch(self.ctx, self.repository, candidate).await;
        self.total += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let checked = bytes.and_then(|bytes| match candidate.legacy {
            true => legacy::check(
                &candidate.blob.media_type,
                &bytes,
                &candidate.blob.annotations,
                self.digest,
                self.want,
                self.policy,
                self.roots,
            ),
            false => bundle::check(&bytes, self.digest, self.want, self.policy, self.roots),
        });
        match checked {
            Ok((claim, proof)) => {
                let Candidate { blob, manifest, legacy, .. } = candidate;
                let blob = Descriptor::new(&blob.media_type, blob.digest, blob.size);
                self.accepted.push(Accepted { blob, manifest: manifest.clone(), legacy: *legacy, claim, proof });
            }
            Err(error) if error.kind() == Kind::Policy => {
                let why =
                    [error.message().to_string()].into_iter().chain(error.causes()).collect::<Vec<_>>().join(": ");
                let reason = format!("{}: {why}", candidate.name());
                self.ctx.say(Event::Detail { text: reason.clone() });
                self.reasons.push(reason);
            }
            Err(error) => drop(self.fetched::<()>(Err(error))?),
        }
        Ok(())
    }

    /// What was fetched; a failure of the registry is kept for the end, any other one ends the search.
    fn fetched<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == Kind::Remote => {
                self.ctx.say(Event::Detail { text: format!("{error:?}") });
                self.failed.get_or_insert(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn outcome(self) -> Result<Vec<Accepted>> {
        let image = format!("`{}@{}`", self.repository, self.digest);
        let want = self.want.name();
        if !self.accepted.is_empty() {
            return Ok(self.accepted);
        }
        if let Some(failed) = self.failed {
            return Err(failed.context(format!("looking for {want} of {image}")));
        }
        if self.reasons.is_empty() {
            let error = Error::policy(format!("{image} has no {}", want.split_once(' ').map_or("", |(_, word)| word)));
            return Err(
                error.hint("another digest may be the signed one: an image of the index, or what the tag said before")
            );
        }
        let count = self.reasons.len();
        let error = Error::policy(format!("no candidate out of {count} is {want} of {image} that meets the policy"));
        Err(match Reason::chain(self.reasons) {
            Some(reason) => error.because(reason),
            None => error,
        })
    }
}

/// One reason of several, each the next one's cause.
#[derive(Debug)]
struct Reason {
    text: String,
    next: Option<Box<Reason>>,
}

impl Reason {
    fn chain(mut all: Vec<String>) -> Option<Reason> {
        if all.len() > MOST_REASONS {
            let rest = all.len() - MOST_REASONS;
            all.truncate(MOST_REASONS);
            all.push(format!("and {rest} more; `-v` shows them"));
        }
        let link = |next: Option<Reason>, text: String| Some(Reason { text, next: next.map(Box::new) });
        all.into_iter().rev().fold(None, link)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Reason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.next.as_deref().map(|next| next as &(dyn std::error::Error + 'static))
    }
}
