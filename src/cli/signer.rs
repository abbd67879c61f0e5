//! Stage 10: who signs, as options and manifest say. Options in, a signatory out: a key with or without a log, or whoever we are. Asks
//! for passwords and PINs, and lets a person sign in, where there is a terminal.

use std::path::Path;

use super::args::With;
use super::prompt;
use super::session::{Session, keys, outside, variable};
use crate::error::{Error, Result};
use crate::manifest::{self, KeyRef, Method};
use crate::trust::keys::{Secret, open};
use crate::trust::root::{self, RootOptions, Roots};
use crate::trust::sign::{FILE, Format, Keyless, Person, Services, Signatory, Source};

/// Whoever shall sign.
pub async fn signatory<'a>(session: &'a Session<'_>, with: &'a With) -> Result<Signatory<'a>> {
    let manifest = if with.key.is_some() || with.keyless { None } else { signing(session)? };
    let method = match (&with.key, &manifest) {
        (Some(key), _) => Method::Key(KeyRef::read(key, Path::new(""))?),
        (None, Some(signing)) if with.identity_token.is_none() => signing.method.clone(),
        _ if with.keyless || with.identity_token.is_some() => Method::Keyless,
        _ => {
            return Err(Error::usage("nothing says with what to sign")
                .hint("write `--key cosign.key` (`stillframe keygen` makes one) or `--keyless`, or `[sign]` into the manifest"));
        }
    };
    let format = with.format.or(manifest.as_ref().map(|signing| signing.format)).unwrap_or(Format::Both);
    let file = |given: &Option<std::path::PathBuf>, said: fn(&manifest::Signing) -> &Option<std::path::PathBuf>| {
        given.clone().or_else(|| manifest.as_ref().and_then(|signing| said(signing).clone()))
    };
    let signing_config = file(&with.signing_config, |signing| &signing.signing_config);
    let trusted_root = file(&with.trusted_root, |signing| &signing.trusted_root);
    let named = RootOptions { signing: signing_config, services: true, ..session.roots(trusted_root.as_deref()) };
    let ctx = &session.ctx;
    match method {
        Method::Key(key) => {
            let log = with.log || named.signing.is_some() || manifest.is_some_and(|signing| signing.log);
            if !log && named.trusted.is_some() {
                return Err(Error::usage("a trusted root has no meaning for a key without a log").hint("add `--log`"));
            }
            let signer = open(ctx, &key, &keys(), async |secret| ask(session, secret).await).await?;
            if !log {
                return Ok(Signatory::alone(signer, format));
            }
            let roots = root::load(ctx, &named).await?;
            let services = Services::of(&roots)?;
            if services.logs.is_empty() && with.log {
                return Err(nothing("a transparency log", &roots));
            }
            Signatory::witnessed(ctx, signer, services, roots, format, with.patience)
        }
        Method::Keyless => {
            let (given, yes) = (with.identity_token.as_deref(), with.yes);
            let person = prompt::possible().then(|| -> Person<'a> {
                Box::new(move |url| Box::pin(async move { sign_in(session, yes, &url).await }))
            });
            let source = Source::new(given, &variable, Path::new(FILE), None, person);
            source.ready()?;
            let roots = root::load(ctx, &named).await?;
            let services = Services::of(&roots)?;
            let keyless = Keyless::new(source, &services, &roots, with.patience)?;
            Signatory::witnessed(ctx, Box::new(keyless), services, roots, format, with.patience)
        }
    }
}

/// What the manifest says of signing, if there is one.
pub fn signing(session: &Session<'_>) -> Result<Option<manifest::Signing>> {
    let Ok(location) = manifest::locate::locate(&session.options.file) else { return Ok(None) };
    let manifest::Read { manifest, report } = manifest::read(&location, &outside(&session.options.set));
    report.pass()?;
    Ok(manifest.sign)
}

impl With {
    /// Whether the options say with what to sign.
    pub fn says(&self) -> bool {
        self.key.is_some() || self.keyless || self.identity_token.is_some()
    }
}

fn nothing(what: &str, roots: &Roots) -> Error {
    Error::usage(format!("`{}` names no service of this kind: {what}", roots.from))
        .hint("name another signing config with `--signing-config FILE`")
}

/// The secret that opens a key: typed on the terminal; a password, else, is all of stdin.
async fn ask(session: &Session<'_>, secret: Secret) -> Result<String> {
    match secret {
        Secret::Password(key) if prompt::possible() => {
            prompt::ask(session, &format!("password of the private key `{key}`: "), true).await
        }
        Secret::Password(_) => prompt::stdin_line().await,
        Secret::Pin(key) if prompt::possible() => {
            prompt::ask(session, &format!("PIN of the token with the key `{key}`: "), true).await
        }
        Secret::Pin(_) => Err(Error::usage("nothing says the PIN of the token")
            .hint("set `COSIGN_PKCS11_PIN`, or name its file with `pin-source` in the URI")),
    }
}

/// Lets a person sign in, once they know what that means.
async fn sign_in(session: &Session<'_>, yes: bool, url: &str) -> Result<String> {
    if !yes {
        session.terminal.ask(
            "Signing without a key publishes who signs. Your identity (mostly a mail address), what you sign and when go into a \
             certificate and into transparency logs; everybody can read them there, and nothing is ever deleted.\n",
        );
        let answer = prompt::ask(session, "Go on? [y/N] ", false).await?;
        if !matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            return Err(Error::usage("nothing was signed: who signs is not to be published")
                .hint("sign with a key, which publishes nothing: `--key cosign.key`; `--yes` answers the question"));
        }
    }
    session.terminal.ask(&format!("Open this address in a browser, anywhere, and sign in:\n\n  {url}\n\n"));
    prompt::ask(session, "Code that you were given there: ", false).await
}
