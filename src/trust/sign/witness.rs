//! Stage 8: the services that speak for a signature. A key, a signature and addresses in; a certificate, entries of transparency logs
//! and timestamps out. Asks Fulcio, Rekor (both generations) and timestamp authorities.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_sign::crypto::{KeyPair, sha256};
use sigstore_sign::fulcio::{self, FulcioClient};
use sigstore_sign::oidc::IdentityToken;
use sigstore_sign::rekor::{
    self, DsseEntry, HashedRekord, HashedRekordV2, LogEntry, RekorClient, RekorV2Client, RekorV2KeyDetails,
};
use sigstore_sign::tsa::{self, TimestampClient};
use sigstore_sign::types::{
    DerCertificate, EntryUuid, KindVersion, SignatureBytes, TimestampToken, TransparencyLogEntry,
};

use super::paper::{By, envelope};
use super::services::{Choice, Service};
use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::trust::statement::{PAYLOAD_TYPE, pae};

/// Most characters of a service's answer that are told.
const MOST_TOLD: usize = 300;
/// Characters of the name of a log entry: a digest, maybe with the number of its tree before it.
const ENTRY_NAME: [usize; 2] = [80, 64];

/// What is signed.
#[derive(Clone, Copy)]
pub enum Message<'a> {
    /// Bytes as they are: the payload of a legacy signature.
    Payload(&'a [u8]),
    /// A statement, in an envelope.
    Statement(&'a [u8]),
}

impl Message<'_> {
    /// The bytes that the signature is over.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Message::Payload(bytes) => bytes.to_vec(),
            Message::Statement(bytes) => pae(PAYLOAD_TYPE, bytes),
        }
    }
}

/// Why a service said nothing.
pub enum Stop {
    /// It would say the same again.
    Fatal(Error),
    /// It may be back soon.
    Again(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Fatal(error)
    }
}

/// What services said that were asked in their order, until as many as must take part did.
pub struct Tally<T> {
    count: usize,
    said: Vec<T>,
    stop: Option<Stop>,
}

impl<T> Tally<T> {
    /// Nobody was asked yet.
    pub fn new(choice: &Choice) -> Tally<T> {
        Tally { count: choice.count, said: Vec::new(), stop: None }
    }

    /// Whether one more must be asked.
    pub fn wants(&self) -> bool {
        self.said.len() < self.count
    }

    /// What one of them said.
    pub fn take(&mut self, answer: Result<T, Stop>) {
        match answer {
            Ok(answer) => self.said.push(answer),
            // One that may be back is worth more patience than one that refuses.
            Err(Stop::Fatal(_)) if self.stop.is_some() => {}
            Err(stop) => self.stop = Some(stop),
        }
    }

    /// What all of them said, if it is enough.
    pub fn end(self) -> Result<Vec<T>, Stop> {
        match self.stop {
            Some(stop) if self.said.len() < self.count => Err(stop),
            _ => Ok(self.said),
        }
    }
}

/// A certificate for a key, by the word of an identity token; the leaf first.
pub async fn certify(ctx: &Ctx, url: &str, token: &IdentityToken, pair: &KeyPair) -> Result<Vec<DerCertificate>, Stop> {
    let doing = format!("asking `{url}` for a certificate");
    let client = FulcioClient::builder(url).with_http_client(ctx.registries.service(url)?).build();
    let client = client.map_err(|cause| Error::bug(doing.clone()).because(cause))?;
    match client.create_signing_certificate(token, pair).await {
        Ok(certificate) => Ok(certificate.certificate_chain().to_vec()),
        Err(fulcio::Error::Http(why)) => Err(stop(doing, None, why)),
        Err(fulcio::Error::Status { status, message }) => {
            // What it says may hold what it was sent.
            let message = message.replace(token.expose_secret(), "…");
            Err(match stop(doing, Some(status), message) {
                Stop::Fatal(error) if (400..404).contains(&status) => Stop::Fatal(error.hint(
                    "the identity token may be expired, or not meant for sigstore (its audience must be `sigstore`)",
                )),
                other => other,
            })
        }
        Err(other) => Err(Stop::Fatal(Error::remote(doing).because(other))),
    }
}

/// An entry in a log.
pub async fn log(
    ctx: &Ctx,
    log: &Service,
    message: Message<'_>,
    signature: &SignatureBytes,
    by: &By,
) -> Result<TransparencyLogEntry, Stop> {
    let url = &log.url;
    let doing = format!("writing to the transparency log `{url}`");
    let http = ctx.registries.service(url)?;
    let failed = |error: rekor::Error| match error {
        rekor::Error::Http(why) => stop(doing.clone(), None, why),
        rekor::Error::Status { status, message } => stop(doing.clone(), Some(status), message),
        other => Stop::Fatal(Error::remote(doing.clone()).because(other)),
    };
    if log.version == 1 {
        let client = RekorClient::builder(url).with_http_client(http).build().map_err(failed)?;
        let (entry, kind) = first(&client, message, signature, by, &failed).await?;
        let entry = entry.to_bundle_entry(kind);
        return entry.map_err(|cause| Stop::Fatal(Error::remote(doing.clone()).because(cause)));
    }
    let (digest, details) = (sha256(&message.bytes()), RekorV2KeyDetails::PkixEcdsaP256Sha256);
    let request = match by {
        By::Key(key) if !key.is_p256() => {
            return Err(Stop::Fatal(
                Error::usage(format!("the log `{url}` takes P-256 keys only"))
                    .hint("sign without a log, or with a P-256 key"),
            ));
        }
        By::Key(key) => HashedRekordV2::new_with_public_key(&digest, signature, key.der(), details),
        By::Certificate(chain) => {
            let leaf = chain.first().ok_or_else(|| Error::bug("a certificate is nowhere"))?;
            HashedRekordV2::new_with_certificate(&digest, signature, leaf, details)
        }
    };
    let client = RekorV2Client::builder(url).with_http_client(http).build().map_err(failed)?;
    client.create_entry(request).await.map_err(failed)
}

/// An entry in a log of the first generation. What is there already is as good as new.
async fn first(
    client: &RekorClient,
    message: Message<'_>,
    signature: &SignatureBytes,
    by: &By,
    failed: &impl Fn(rekor::Error) -> Stop,
) -> Result<(LogEntry, KindVersion), Stop> {
    let verifier = STANDARD.encode(by.pem());
    // The crate's own constructors take certificates only, and write their lines as mails do.
    let wrong = |cause| Stop::Fatal(Error::bug("a log entry cannot be written").because(cause));
    let (said, kind) = match message {
        Message::Payload(bytes) => {
            let entry = json!({ "apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
                "data": { "hash": { "algorithm": "sha256", "value": sha256(bytes).to_hex() } },
                "signature": { "content": signature.to_base64(), "publicKey": { "content": verifier } },
            }});
            let entry: HashedRekord = serde_json::from_value(entry).map_err(wrong)?;
            (client.create_entry(entry).await, KindVersion::HashedRekordV001)
        }
        Message::Statement(bytes) => {
            let text = serde_json::to_string(&envelope(bytes, signature)).map_err(wrong)?;
            let entry: Value = json!({ "apiVersion": "0.0.1", "kind": "dsse", "spec": {
                "proposedContent": { "envelope": text, "verifiers": [verifier] },
            }});
            let entry: DsseEntry = serde_json::from_value(entry).map_err(wrong)?;
            (client.create_dsse_entry(entry).await, KindVersion::DsseV001)
        }
    };
    let entry = match said {
        Err(rekor::Error::Status { status: 409, message }) => match named(&message) {
            Some(name) => client.get_entry_by_uuid(&EntryUuid::new(name)).await,
            None => Err(rekor::Error::Status { status: 409, message }),
        },
        other => other,
    };
    Ok((entry.map_err(failed)?, kind))
}

/// The entry that a log's refusal names because it is there already.
fn named(message: &str) -> Option<&str> {
    let words = message.split(|character: char| !character.is_ascii_hexdigit());
    words.filter(|word| ENTRY_NAME.contains(&word.len())).max_by_key(|word| word.len())
}

/// A timestamp of a signature.
pub async fn stamp(ctx: &Ctx, url: &str, signature: &SignatureBytes) -> Result<TimestampToken, Stop> {
    let doing = format!("asking `{url}` for a timestamp");
    let client = TimestampClient::builder(url).with_http_client(ctx.registries.service(url)?).build();
    let client = client.map_err(|cause| Error::bug(doing.clone()).because(cause))?;
    client.timestamp_signature(signature).await.map_err(|error| match error {
        // The crate tells the status in words only.
        tsa::Error::Http(why) => {
            let status = why.split("status ").nth(1).and_then(|rest| rest.get(..3)?.parse().ok());
            stop(doing, status, why)
        }
        other => Stop::Fatal(Error::remote(doing).because(other)),
    })
}

/// What a failed request means: no answer, or one that may change, is worth another attempt.
fn stop(doing: String, status: Option<u16>, message: String) -> Stop {
    let told: String = printable(&message).chars().take(MOST_TOLD).collect();
    let error = Error::remote(doing).because(Error::remote(told));
    match status {
        None | Some(408 | 429 | 500..) => Stop::Again(error),
        Some(_) => Stop::Fatal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_entry_that_is_there() {
        let (long, short) = ("a".repeat(80), "0".repeat(64));
        for (text, expected) in [
            (format!("with UUID {long}"), Some(long.as_str())),
            (format!("/api/v1/log/entries/{short}\""), Some(short.as_str())),
            ("it is there".to_string(), None),
        ] {
            assert_eq!(named(&text), expected);
        }
    }
}
