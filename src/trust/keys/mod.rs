//! Stage 8, keys: who signs with a key. A reference in, a signer out. May read key files, run an external signer and talk to a token;
//! what is secret goes into no message.
//!
//! ```text
//! file       cosign's encrypted key files: read, made, written
//! external   a program that signs for us
//! pkcs11     a key in a token, behind the cargo feature `pkcs11`
//! uri        what such a key is called
//! ```

mod external;
mod file;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(feature = "pkcs11")]
mod uri;

pub use file::{Key, Pair, generate, write};

use std::ffi::OsString;

use super::root;
use super::sign::Signer;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::manifest::KeyRef;

/// Longest key in a variable, in bytes.
const MOST_BYTES: usize = 64 << 10;
/// The variable that holds the password of key files; set but empty counts.
const PASSWORD: &str = "COSIGN_PASSWORD";

/// What a key may ask of the world.
pub struct Outside<'a> {
    /// A variable of the environment.
    pub variable: &'a (dyn Fn(&str) -> Option<OsString> + Sync),
    /// Where programs are looked for, in place of the `PATH`.
    pub search: Option<OsString>,
}

/// A secret that somebody has to be asked for.
pub enum Secret {
    /// The password of a key file.
    Password(String),
    /// The PIN of a token.
    Pin(String),
}

impl Outside<'_> {
    fn text(&self, name: &str) -> Result<Option<String>> {
        let text = (self.variable)(name).map(OsString::into_string).transpose();
        text.map_err(|_| Error::usage(format!("the variable `{name}` is not UTF-8")))
    }

    /// The password of key files, if the environment has it.
    pub fn password(&self) -> Result<Option<String>> {
        self.text(PASSWORD)
    }
}

/// The key that a reference leads to. `ask` is called for a secret that the environment does not hold.
pub async fn open(
    ctx: &Ctx,
    reference: &KeyRef,
    outside: &Outside<'_>,
    ask: impl AsyncFnOnce(Secret) -> Result<String>,
) -> Result<Box<dyn Signer>> {
    let text = match reference {
        KeyRef::File(path) => {
            root::read(path).map_err(|error| error.hint("`stillframe keygen` makes a pair of keys"))?
        }
        KeyRef::Variable(name) => {
            let missing =
                || Error::usage(format!("the key `{reference}` is not there: the environment has no such variable"));
            let text = outside.text(name)?.ok_or_else(missing)?;
            if text.len() > MOST_BYTES {
                let why = format!("`{reference}` has over {MOST_BYTES} bytes, which is the limit for a key");
                return Err(Error::usage(why));
            }
            text
        }
        KeyRef::Signer { name, key } => {
            let signer = external::Program::open(ctx, name, key, outside.search.clone()).await?;
            return Ok(Box::new(signer));
        }
        KeyRef::Pkcs11(uri) => return token(ctx, uri, outside, ask).await,
    };
    let from = reference.to_string();
    file::check(&text, &from)?;
    let secret = match outside.password()? {
        Some(secret) => secret,
        None => ask(Secret::Password(from.clone())).await?,
    };
    Ok(Box::new(Key::read(&text, secret.as_bytes(), &from)?))
}

#[cfg(feature = "pkcs11")]
async fn token(
    ctx: &Ctx,
    text: &str,
    outside: &Outside<'_>,
    ask: impl AsyncFnOnce(Secret) -> Result<String>,
) -> Result<Box<dyn Signer>> {
    let uri = uri::Uri::read(text)?;
    let module = match &uri.module {
        Some(module) => module.clone(),
        None => outside.text(pkcs11::MODULE)?.map(Into::into).ok_or_else(|| {
            Error::usage("nothing names the PKCS#11 module")
                .hint(format!("add `?module-path=FILE` to the URI, or set `{}`", pkcs11::MODULE))
        })?,
    };
    let pin = match (&uri.pin, outside.text(pkcs11::PIN)?) {
        (Some(uri::Pin::Value(pin)), _) => pin.clone(),
        (Some(uri::Pin::File(path)), _) => root::read(path)?.trim_end_matches(['\r', '\n']).to_string(),
        (None, Some(pin)) => pin,
        (None, None) => ask(Secret::Pin(uri.to_string())).await?,
    };
    Ok(Box::new(pkcs11::Token::open(ctx, uri, module, pin).await?))
}

#[cfg(not(feature = "pkcs11"))]
async fn token(
    _: &Ctx,
    _: &str,
    _: &Outside<'_>,
    _: impl AsyncFnOnce(Secret) -> Result<String>,
) -> Result<Box<dyn Signer>> {
    Err(Error::usage("this program was built without PKCS#11")
        .hint("build it with `--features pkcs11`, or reach the token through `signer://NAME/KEY` (`docs/signing.md`)"))
}
