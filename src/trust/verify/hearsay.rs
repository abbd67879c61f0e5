//! Stage 8: what is said of an image by whomever. A digest and a type in, unproven claims out: they may tell where to look, and nothing that
//! rests on them alone may be believed. May ask the registry.

use sigstore_verify::types::SignatureContent;

use super::bundle::{base64, read};
use super::candidates::{self, Candidate};
use super::policy::Want;
use super::statement::{self, Claim, PAYLOAD_TYPE};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::oci::{Digest, Repository, json};

/// So many bytes of candidates are read.
const MOST_TOTAL: u64 = 256 << 20;

/// Every claim of this type about a digest, with the blob that it stands in. A registry that cannot tell is an error.
pub async fn hearsay(ctx: &Ctx, repository: &Repository, digest: &Digest, want: &Want) -> Result<Vec<(Digest, Claim)>> {
    let mut all = Vec::new();
    for referrer in candidates::referrers(ctx, repository, digest, want).await? {
        all.extend(candidates::bundle(ctx, repository, &referrer, want).await?);
    }
    all.extend(candidates::legacy(ctx, repository, digest, want).await?);
    let (mut claims, mut total) = (Vec::new(), 0);
    for candidate in all.iter().filter(|candidate| !candidate.unlikely) {
        ctx.cancel.check()?;
        total += candidate.blob.size;
        if total > MOST_TOTAL {
            return Err(Error::remote(format!("there are over {MOST_TOTAL} bytes of candidates, which is the limit")));
        }
        let bytes = candidates::fetch(ctx, repository, candidate).await;
        match bytes.and_then(|bytes| claim(candidate, &bytes, digest, want)) {
            Ok(claim) => claims.push((candidate.blob.digest, claim)),
            Err(error) if error.kind() == Kind::Policy => {}
            Err(error) => return Err(error),
        }
    }
    Ok(claims)
}

fn claim(candidate: &Candidate, bytes: &[u8], digest: &Digest, want: &Want) -> Result<Claim> {
    let other = || Error::policy("it holds no statement");
    if !candidate.legacy {
        let SignatureContent::DsseEnvelope(envelope) = read(bytes)?.content else { return Err(other()) };
        return match envelope.payload_type == PAYLOAD_TYPE {
            true => statement::read(envelope.payload.as_bytes(), want, digest),
            false => Err(other()),
        };
    }
    let envelope: serde_json::Value = json::read(bytes, "the envelope").map_err(|_| other())?;
    match (envelope["payloadType"].as_str(), envelope["payload"].as_str()) {
        (Some(PAYLOAD_TYPE), Some(payload)) => statement::read(&base64(payload)?, want, digest),
        _ => Err(other()),
    }
}
