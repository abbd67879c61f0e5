//! Stage 8: transparency logs (Rekor v1 and v2). A signature and what it is over in, the log's entry out. Asks the log once. What is
//! there already is as good as new.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_sign::rekor::LogEntry;
use sigstore_sign::types::{KindVersion, TransparencyLogEntry};

use super::services::Service;
use super::signature::{Message, Signature, envelope};
use super::signer::By;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::oci::json::{canonical, read};
use crate::registry::{Ask, Stop, Told};

/// Largest answer of a log, in bytes.
const MOST_BYTES: u64 = 4 << 20;
/// Digits of the name of a log entry: a digest, maybe with the number of its tree before it.
const ENTRY_NAME: [usize; 2] = [80, 64];
/// What Rekor v2 calls the kind of key that it takes from us.
const P256: &str = "PKIX_ECDSA_P256_SHA_256";
/// The media type of what is asked and answered.
const JSON: &str = "application/json";

/// An entry in a log.
pub async fn entry(
    ctx: &Ctx,
    log: &Service,
    message: Message<'_>,
    signature: &Signature,
) -> Result<TransparencyLogEntry, Stop> {
    let doing = format!("writing to the transparency log `{}`", log.url);
    let entry = match log.version {
        1 => first(ctx, log, message, signature).await,
        _ => second(ctx, log, message, signature).await,
    };
    entry.map_err(|stop| stop.context(doing))
}

async fn first(
    ctx: &Ctx,
    log: &Service,
    message: Message<'_>,
    signature: &Signature,
) -> Result<TransparencyLogEntry, Stop> {
    let verifier = STANDARD.encode(signature.by.pem());
    let (asked, kind) = match message {
        Message::Payload(bytes) => {
            let spec = json!({
                "data": { "hash": { "algorithm": "sha256", "value": Digest::of(bytes).hex() } },
                "signature": { "content": signature.bytes.to_base64(), "publicKey": { "content": verifier } },
            });
            (json!({ "apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec }), KindVersion::HashedRekordV001)
        }
        Message::Statement(bytes) => {
            let envelope = canonical(&envelope(bytes, &signature.bytes));
            let spec = json!({ "proposedContent": {
                "envelope": String::from_utf8_lossy(&envelope),
                "verifiers": [verifier],
            }});
            (json!({ "apiVersion": "0.0.1", "kind": "dsse", "spec": spec }), KindVersion::DsseV001)
        }
    };
    let url = format!("{}/api/v1/log/entries", log.url.trim_end_matches('/'));
    let mut told = post(ctx, &url, &asked).await?;
    if told.status == 409 {
        let name = named(&told).ok_or_else(|| told.refusal())?;
        let url = format!("{url}/{name}");
        told = ctx.registries.ask(&Ask { url: &url, body: None, accept: JSON, bearer: None, most: MOST_BYTES }).await?;
    }
    let what = "the log's entry";
    let entries: BTreeMap<String, LogEntry> = read(&told.success()?, what)?;
    let wrong = || Error::remote(format!("{what} is not what it should be"));
    let entry = entries.into_values().next().ok_or_else(wrong)?;
    Ok(entry.to_bundle_entry(kind).map_err(|cause| wrong().because(cause))?)
}

async fn second(
    ctx: &Ctx,
    log: &Service,
    message: Message<'_>,
    signature: &Signature,
) -> Result<TransparencyLogEntry, Stop> {
    let mut verifier = match &signature.by {
        By::Key(key) if !key.is_p256() => {
            return Err(Stop::Fatal(
                Error::usage("the log takes ECDSA keys on P-256 only")
                    .hint("sign with such a key, or with a signing config that names no log of this kind (Rekor v2)"),
            ));
        }
        By::Key(key) => json!({ "publicKey": { "rawBytes": STANDARD.encode(key.der().as_bytes()) } }),
        By::Certificate { chain, .. } => {
            let leaf = chain.first().ok_or_else(|| Error::bug("a certificate is nowhere"))?;
            json!({ "x509Certificate": { "rawBytes": STANDARD.encode(leaf.as_bytes()) } })
        }
    };
    verifier["keyDetails"] = json!(P256);
    let digest = sigstore_sign::crypto::sha256(&message.bytes());
    let asked = json!({ "hashedRekordRequestV002": {
        "digest": STANDARD.encode(digest.as_bytes()),
        "signature": { "content": signature.bytes.to_base64(), "verifier": verifier },
    }});
    let url = format!("{}/api/v2/log/entries", log.url.trim_end_matches('/'));
    let told = post(ctx, &url, &asked).await?;
    Ok(read(&told.success()?, "the log's entry")?)
}

async fn post(ctx: &Ctx, url: &str, asked: &Value) -> Result<Told, Stop> {
    let body = Some((JSON, canonical(asked).into()));
    ctx.registries.ask(&Ask { url, body, accept: JSON, bearer: None, most: MOST_BYTES }).await
}

/// The entry that a log's refusal names because it is there already: in the header `Location`, or in its words.
fn named(told: &Told) -> Option<String> {
    let of = |text: &str| {
        let words = text.split(|character: char| !character.is_ascii_hexdigit());
        words.filter(|word| ENTRY_NAME.contains(&word.len())).max_by_key(|word| word.len()).map(str::to_string)
    };
    told.location.as_deref().and_then(of).or_else(|| of(&String::from_utf8_lossy(&told.body)))
}
