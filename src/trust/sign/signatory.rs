//! Stage 8: who signs, with all that shall speak for it: a signer, the logs and timestamp authorities that a signing config names, and
//! whom we trust. Messages in, signatures with their proofs out. Asks the services, with patience while one of them is away.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;

use super::services::{Choice, Service, Services};
use super::signature::{Message, Signature};
use super::signer::{By, Signer};
use super::{rekor, stamp};
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::manifest::SignatureFormat as Format;
use crate::registry::Stop;
use crate::trust::root::Roots;
use crate::trust::verify::Policy;

/// A certificate that holds for less is replaced before it signs, and before a log is asked once more, in seconds: the log's time must
/// fall into its life.
pub(super) const LEAST_LIFE: i64 = 120;

/// Who signs, and what speaks for it.
pub struct Signatory<'a> {
    signer: Box<dyn Signer + 'a>,
    services: Services,
    roots: Option<Roots>,
    format: Format,
    patience: Duration,
    by: OnceCell<By>,
}

impl<'a> Signatory<'a> {
    /// A signer for whom nobody speaks: a key without a log.
    pub fn alone(signer: Box<dyn Signer + 'a>, format: Format) -> Signatory<'a> {
        let (services, patience) = (Services::default(), Duration::ZERO);
        Signatory { signer, services, roots: None, format, patience, by: OnceCell::new() }
    }

    /// A signer for whom services speak. Where they allow no legacy signatures, `both` means bundles, and that is said; services that
    /// are away are waited for as long as `patience` says.
    pub fn witnessed(
        ctx: &Ctx,
        signer: Box<dyn Signer + 'a>,
        services: Services,
        roots: Roots,
        asked: Format,
        patience: Duration,
    ) -> Result<Signatory<'a>> {
        let promised = services.logs.is_empty() || !services.promising.is_empty();
        let why = "legacy signatures need a log that gives promises (Rekor v1), and the signing config names none";
        let format = match asked {
            Format::Legacy if !promised => {
                return Err(Error::usage(why).hint("sign with `--signature-format bundle`"));
            }
            Format::Both if !promised => {
                ctx.note(format!("{why}: only bundles are written"));
                Format::Bundle
            }
            other => other,
        };
        Ok(Signatory { signer, services, roots: Some(roots), format, patience, by: OnceCell::new() })
    }

    /// What is written beside images.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whom signatures are checked by.
    pub fn roots(&self) -> Option<&Roots> {
        self.roots.as_ref()
    }

    /// What somebody asks for who trusts exactly this signer.
    pub async fn policy(&self, ctx: &Ctx) -> Result<Policy> {
        let by = self.by.get_or_try_init(|| self.signer.who(ctx)).await?;
        by.policy(!self.services.logs.is_empty())
    }

    /// Who signs, for receipts; nobody before the first signature.
    pub fn to_json(&self) -> Option<Value> {
        self.by.get().map(By::to_json)
    }

    /// Whether one signature of a statement serves a bundle and a legacy layer.
    pub(super) fn shares(&self) -> bool {
        self.services.logs == self.services.promising
    }

    /// Signs, and lets everybody speak who must; while a service is away, again and again. `promised` asks for a log that gives promises.
    pub(super) async fn sign(&self, ctx: &Ctx, message: Message<'_>, promised: bool) -> Result<Signature> {
        let logs = if promised { &self.services.promising } else { &self.services.logs };
        let mut turns = None;
        'again: loop {
            let (bytes, by) = self.signer.sign(ctx, &message.bytes()).await?;
            if let By::Key(key) = &by
                && !key.signed(&message.bytes(), bytes.as_bytes())
            {
                return Err(Error::usage("what was signed does not fit the public key of who signed it")
                    .hint("the private key and its public key may not belong together"));
            }
            let mut signature = Signature { bytes, by, entries: Vec::new(), stamps: Vec::new() };
            let (mut entries, mut stamps) = (BTreeMap::new(), BTreeMap::new());
            let turns = turns.get_or_insert_with(|| ctx.registries.turns("sigstore", self.patience));
            loop {
                match self.witness(ctx, message, &signature, logs, &mut entries, &mut stamps).await {
                    Ok(()) => break,
                    Err(stop) => turns.after(stop).await?,
                }
                if !signature.by.lasts(ctx.registries.now(), LEAST_LIFE) {
                    continue 'again;
                }
            }
            signature.entries = entries.into_values().collect();
            signature.stamps = stamps.into_values().collect();
            return Ok(signature);
        }
    }

    /// Asks everybody who must speak and did not yet.
    async fn witness(
        &self,
        ctx: &Ctx,
        message: Message<'_>,
        signature: &Signature,
        logs: &Choice,
        entries: &mut BTreeMap<usize, sigstore_sign::types::TransparencyLogEntry>,
        stamps: &mut BTreeMap<usize, sigstore_sign::types::TimestampToken>,
    ) -> Result<(), Stop> {
        gather(logs, entries, async |log| rekor::entry(ctx, log, message, signature).await).await?;
        gather(&self.services.stamps, stamps, async |service| stamp::ask(ctx, &service.url, &signature.bytes).await)
            .await
    }
}

/// Asks services in their order until as many as must have answered; those that did before are not asked again.
async fn gather<T>(
    choice: &Choice,
    answers: &mut BTreeMap<usize, T>,
    ask: impl AsyncFn(&Service) -> Result<T, Stop>,
) -> Result<(), Stop> {
    let mut failed = None;
    for (at, service) in choice.all.iter().enumerate() {
        if answers.len() >= choice.count {
            break;
        }
        if answers.contains_key(&at) {
            continue;
        }
        match ask(service).await {
            Ok(answer) => drop(answers.insert(at, answer)),
            // One that may be back is worth more patience than one that refuses.
            Err(Stop::Fatal(_)) if failed.is_some() => {}
            Err(stop) => failed = Some(stop),
        }
    }
    match failed {
        Some(stop) if answers.len() < choice.count => Err(stop),
        _ => Ok(()),
    }
}
