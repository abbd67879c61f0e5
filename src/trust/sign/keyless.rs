//! Stage 8: whoever an identity provider says we are. An identity token becomes a certificate for a key that lives as long as this
//! process; bytes in, signatures out. Asks the certificate authority, anew as its certificate grows old.

use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use sigstore_sign::crypto::KeyPair;
use sigstore_sign::crypto::x509::parse_certificate_info;
use sigstore_sign::types::SignatureBytes;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use super::fulcio;
use super::services::Services;
use super::signatory::LEAST_LIFE;
use super::signer::{By, Signer};
use super::token::Source;
use crate::ctx::Ctx;
use crate::error::{Error, Result, printable};
use crate::event::Event;
use crate::trust::root::Roots;

/// How far our clock may be from that of the certificate authority before it is told, in seconds.
const MOST_SKEW: i64 = 60;

/// Who we are.
pub struct Keyless<'a> {
    source: Source<'a>,
    authority: String,
    issuer: Option<String>,
    patience: Duration,
    kept: Mutex<Option<Certified>>,
}

/// A key, and the certificate that says whose it is.
struct Certified {
    pair: KeyPair,
    by: By,
}

impl<'a> Keyless<'a> {
    /// An identity from this source, by the authority of these services.
    pub fn new(source: Source<'a>, services: &Services, roots: &Roots, patience: Duration) -> Result<Keyless<'a>> {
        let unfit = |why: &str| {
            Error::usage(format!("the signing config of `{}` {why}", roots.from))
                .hint("name another one with `--signing-config FILE`")
        };
        let authority = services.authority.clone().ok_or_else(|| unfit("names no certificate authority"))?;
        if services.logs.is_empty() {
            return Err(unfit(
                "names no transparency log, and without one nobody believes a certificate after some minutes",
            ));
        }
        if services.stamps.is_empty() && services.logs.first().is_none_or(|log| log.version != 1) {
            return Err(unfit("names no timestamp authority, and its log tells no time (Rekor v2)"));
        }
        let issuer = services.issuer.clone();
        Ok(Keyless { source, authority, issuer, patience, kept: Mutex::new(None) })
    }

    /// A certificate that is not old.
    async fn certified(&self, ctx: &Ctx) -> Result<MappedMutexGuard<'_, Certified>> {
        let mut kept = self.kept.lock().await;
        let now = ctx.registries.now();
        if !kept.as_ref().is_some_and(|certified| certified.by.lasts(now, LEAST_LIFE)) {
            *kept = Some(self.certify(ctx).await?);
        }
        MutexGuard::try_map(kept, Option::as_mut).map_err(|_| Error::bug("a certificate is nowhere"))
    }

    async fn certify(&self, ctx: &Ctx) -> Result<Certified> {
        let token = self.source.token(ctx, self.issuer.as_deref()).await?;
        let pair = KeyPair::generate_ecdsa_p256().map_err(|cause| Error::bug("no key can be made").because(cause))?;
        let chain = fulcio::certify(ctx, &self.authority, &token, &pair, self.patience).await?;
        let wrong = |cause| {
            Error::remote(format!("`{}` gave a certificate that cannot be read", self.authority)).because(cause)
        };
        let leaf = chain.first().ok_or_else(|| Error::bug("a certificate is nowhere"))?;
        let info = parse_certificate_info(leaf).map_err(wrong)?;
        let (now, life) = (ctx.registries.now(), info.not_after.as_second() - info.not_before.as_second());
        let skew = now.as_second() - info.not_before.as_second();
        if skew.abs() > MOST_SKEW {
            ctx.note(format!(
                "the clock here and that of `{}` are {} s apart; signatures may not verify",
                self.authority,
                skew.abs()
            ));
        }
        // By our clock, which may be wrong: what counts is how long it still holds.
        let until: Timestamp = now.checked_add(SignedDuration::from_secs(life)).unwrap_or(now);
        let by = By::Certificate { chain, until };
        let (identity, issuer) = by.named()?;
        if let Some(email) = token.email().filter(|email| *email != identity) {
            return Err(Error::remote(format!(
                "`{}` gave a certificate of `{}`, not of `{}`",
                self.authority,
                printable(&identity),
                printable(email)
            )));
        }
        ctx.say(Event::Detail { text: format!("`{}` says that we are {identity} (by {issuer})", self.authority) });
        Ok(Certified { pair, by })
    }
}

impl Signer for Keyless<'_> {
    fn who<'a>(&'a self, ctx: &'a Ctx) -> BoxFuture<'a, Result<By>> {
        Box::pin(async { Ok(self.certified(ctx).await?.by.clone()) })
    }

    fn sign<'a>(&'a self, ctx: &'a Ctx, bytes: &'a [u8]) -> BoxFuture<'a, Result<(SignatureBytes, By)>> {
        Box::pin(async move {
            let certified = self.certified(ctx).await?;
            let signature = certified.pair.sign(bytes);
            let signature = signature.map_err(|cause| Error::bug("a fresh key does not sign").because(cause))?;
            Ok((signature, certified.by.clone()))
        })
    }
}
