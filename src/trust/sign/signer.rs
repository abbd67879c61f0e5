//! Stage 8: somebody who signs. Bytes in, a signature with all that speaks for it out: by a key, or by a certificate that lives for
//! minutes. Asks the services that the signing config names, with patience while one of them is away.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sigstore_sign::crypto::KeyPair;
use sigstore_sign::crypto::x509::parse_certificate_info;
use sigstore_sign::types::{DerCertificate, SignatureBytes};
use tokio::sync::Mutex;

use super::paper::{By, Paper};
use super::services::{Choice, Services};
use super::token::Source;
use super::witness::{self, Message, Stop, Tally};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::manifest::{Form, Matcher};
use crate::trust::keys::Key;
use crate::trust::root::Roots;
use crate::trust::verify::{Policy, PublicKey};

/// All pauses of one signature together, while a service is away.
const PATIENCE: Duration = Duration::from_secs(300);
/// The first pause; the next ones double.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A certificate that holds for less is replaced first, in seconds: the log's time must fall into its life.
const LEAST_LIFE: i64 = 240;

/// Somebody who signs.
pub struct Signer {
    who: Who,
    services: Services,
    roots: Option<Roots>,
}

enum Who {
    Key(Key),
    Identity(Identity),
}

/// Who we are, and the certificate that says so.
struct Identity {
    source: Source,
    kept: Mutex<Option<Certified>>,
}

struct Certified {
    pair: KeyPair,
    chain: Vec<DerCertificate>,
    until: Timestamp,
}

impl Signer {
    /// The holder of a key, without any service.
    pub fn key(key: Key) -> Signer {
        Signer { who: Who::Key(key), services: Services::default(), roots: None }
    }

    /// The holder of a key, whose signatures go to the logs and timestamp authorities of the signing config.
    pub fn logged(key: Key, roots: Roots) -> Result<Signer> {
        let services = services(&roots)?;
        if services.logs.is_empty() && services.stamps.is_empty() {
            return Ok(Signer::key(key));
        }
        Ok(Signer { who: Who::Key(key), services, roots: Some(roots) })
    }

    /// Whoever the surroundings say we are.
    pub fn keyless(source: Source, roots: Roots) -> Result<Signer> {
        let services = services(&roots)?;
        let unfit = |why: &str| Error::usage(format!("the signing config of `{}` {why}", roots.from));
        if services.authority.is_none() {
            return Err(unfit("names no certificate authority"));
        }
        if services.logs.is_empty() {
            return Err(unfit(
                "names no transparency log, and a certificate without one proves nothing after some minutes",
            ));
        }
        let timed = services.logs.all.iter().take(services.logs.count).any(|log| log.version == 1);
        if services.stamps.is_empty() && !timed {
            return Err(unfit("names no timestamp authority, and its log tells no time"));
        }
        let identity = Identity { source, kept: Mutex::new(None) };
        Ok(Signer { who: Who::Identity(identity), services, roots: Some(roots) })
    }

    /// The key, if it is one that stays.
    pub fn public(&self) -> Option<&PublicKey> {
        match &self.who {
            Who::Key(key) => Some(key.public()),
            Who::Identity(_) => None,
        }
    }

    /// Whom signatures are checked by before they go out.
    pub fn roots(&self) -> Option<&Roots> {
        self.roots.as_ref()
    }

    /// The form that signatures take: what is asked for, or all that the services allow.
    pub fn form(&self, asked: Option<Form>) -> Result<Form> {
        let logged = !self.services.logs.is_empty();
        let legacy = !logged || !self.services.promising.is_empty();
        match asked {
            Some(Form::Legacy | Form::Both) if !legacy => Err(Error::usage(
                "legacy signatures need a transparency log of the first generation, and the signing config names none",
            )
            .hint("sign with `--signature-format bundle`")),
            Some(form) => Ok(form),
            None if legacy => Ok(Form::Both),
            None => Ok(Form::Bundle),
        }
    }

    /// Signs; while a service is away, again and again for some minutes. `promised` asks for a log that gives promises.
    pub(super) async fn sign(&self, ctx: &Ctx, message: Message<'_>, promised: bool) -> Result<Paper> {
        let (mut spent, mut pause) = (Duration::ZERO, FIRST_PAUSE);
        loop {
            let error = match self.attempt(ctx, message, promised).await {
                Ok(paper) => return Ok(paper),
                Err(Stop::Fatal(error)) => return Err(error),
                Err(Stop::Again(error)) => error,
            };
            if spent + pause > PATIENCE {
                return Err(error.context(format!("gave up after {} s", spent.as_secs())));
            }
            let why =
                format!("{}: {}; next attempt in {} s", error.message(), error.causes().join(": "), pause.as_secs());
            ctx.say(Event::Wait { why });
            ctx.registries.pause(pause).await?;
            spent += pause;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(&self, ctx: &Ctx, message: Message<'_>, promised: bool) -> Result<Paper, Stop> {
        let bytes = message.bytes();
        let (signature, by) = match &self.who {
            Who::Key(key) => (SignatureBytes::new(key.sign(&bytes).await?), By::Key(key.public().clone())),
            Who::Identity(identity) => identity.sign(ctx, &self.services, &bytes).await?,
        };
        let logs: &Choice = if promised { &self.services.promising } else { &self.services.logs };
        let mut entries = Tally::new(logs);
        for log in &logs.all {
            if entries.wants() {
                entries.take(witness::log(ctx, log, message, &signature, &by).await);
            }
        }
        let entries = entries.end()?;
        let mut stamps = Tally::new(&self.services.stamps);
        for service in &self.services.stamps.all {
            if stamps.wants() {
                stamps.take(witness::stamp(ctx, &service.url, &signature).await);
            }
        }
        let stamps = stamps.end()?;
        Ok(Paper { signature, by, entries, stamps })
    }

    /// What whoever verifies a signature of ours asks for.
    pub(super) fn policy(&self, by: &By) -> Result<Policy> {
        match by {
            By::Key(key) => Ok(Policy { require_log: !self.services.logs.is_empty(), ..Policy::key(key.clone()) }),
            By::Certificate(chain) => {
                let (identity, issuer) = named(chain)?;
                Ok(Policy::identity(Matcher::exact(&identity)?, Matcher::exact(&issuer)?))
            }
        }
    }
}

impl Identity {
    async fn sign(&self, ctx: &Ctx, services: &Services, bytes: &[u8]) -> Result<(SignatureBytes, By), Stop> {
        let mut kept = self.kept.lock().await;
        let life = kept.as_ref().map_or(0, |certified| certified.until.as_second() - Timestamp::now().as_second());
        if life < LEAST_LIFE {
            *kept = Some(self.certified(ctx, services).await?);
        }
        let certified = kept.as_ref().ok_or_else(|| Error::bug("a certificate is nowhere"))?;
        let signature =
            certified.pair.sign(bytes).map_err(|cause| Error::bug("a fresh key does not sign").because(cause))?;
        Ok((signature, By::Certificate(certified.chain.clone())))
    }

    async fn certified(&self, ctx: &Ctx, services: &Services) -> Result<Certified, Stop> {
        let url = services.authority.as_deref().unwrap_or_default();
        let token = self.source.token(ctx, services.issuer.as_deref()).await?;
        let pair = KeyPair::generate_ecdsa_p256().map_err(|cause| Error::bug("no key can be made").because(cause))?;
        let chain = witness::certify(ctx, url, &token, &pair).await?;
        let wrong = |cause| Error::remote(format!("`{url}` gave a certificate that cannot be read")).because(cause);
        let leaf = chain.first().ok_or_else(|| Error::bug("a certificate is nowhere"))?;
        let until = parse_certificate_info(leaf).map_err(wrong)?.not_after;
        ctx.say(Event::Detail { text: format!("`{url}` certified us as {}", token.identity()) });
        Ok(Certified { pair, chain, until })
    }
}

fn services(roots: &Roots) -> Result<Services> {
    let config = roots.signing.as_ref().ok_or_else(|| {
        Error::usage(format!("`{}` does not say which services sign", roots.from))
            .hint("name a signing config with `--signing-config FILE`")
    })?;
    Services::new(config)
}

/// Whom a certificate names, and who said so.
fn named(chain: &[DerCertificate]) -> Result<(String, String)> {
    let wrong = || Error::remote("the certificate that was given to us names no identity or no issuer");
    let leaf = chain.first().ok_or_else(wrong)?;
    let info = parse_certificate_info(leaf).map_err(|cause| wrong().because(cause))?;
    let identity = info.identity.ok_or_else(wrong)?.as_str().to_string();
    Ok((identity, info.issuer.ok_or_else(wrong)?))
}

/// Who signed, for receipts.
pub(super) fn told(by: &By) -> Value {
    match by {
        By::Key(key) => json!({ "key": key.id() }),
        By::Certificate(chain) => {
            let (identity, issuer) = named(chain).unwrap_or_default();
            json!({ "identity": identity, "issuer": issuer })
        }
    }
}
