//! Stage 8, keys: who signs with a key. A reference in, a key that signs out. May read key files, run an external signer and talk to
//! a token; what is secret goes into no message.
//!
//! ```text
//! file       cosign's encrypted key files: read, made, written
//! external   a program that signs for us
//! pkcs11     a token, behind the cargo feature `pkcs11`
//! ```

mod external;
mod file;
#[cfg(feature = "pkcs11")]
mod pkcs11;

pub use file::{Made, make, write};

use std::ffi::OsString;

use crate::error::{Error, Result};
use crate::manifest::KeyRef;
use crate::trust::root;
use crate::trust::verify::PublicKey;

/// The variable that holds the password of key files; set but empty counts.
const PASSWORD: &str = "COSIGN_PASSWORD";

/// A key that signs.
pub struct Key {
    public: PublicKey,
    holder: Holder,
}

enum Holder {
    File(file::Pair),
    Signer(external::Signer),
    #[cfg(feature = "pkcs11")]
    Token(pkcs11::Token),
}

/// What a key may ask of the world.
pub struct Outside<'a> {
    /// A variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Where programs are looked for, in place of the `PATH`.
    pub search: Option<&'a OsString>,
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

impl Key {
    /// The key that a reference leads to. `ask` is called for a secret that the environment does not hold, with what it is for.
    pub async fn open(
        reference: &KeyRef,
        outside: &Outside<'_>,
        ask: impl AsyncFnOnce(&str) -> Result<String>,
    ) -> Result<Key> {
        match reference {
            KeyRef::File(path) => {
                let name = path.display().to_string();
                let text = root::read(path).map_err(|error| error.hint("`stillframe keygen` makes a pair of keys"))?;
                Key::sealed(&text, &name, outside, ask).await
            }
            KeyRef::Variable(variable) => {
                let text = outside.text(variable)?;
                let text = text.ok_or_else(|| Error::usage(format!("the variable `{variable}` is not set")))?;
                Key::sealed(&text, &format!("env://{variable}"), outside, ask).await
            }
            KeyRef::Signer { name, key } => {
                let signer = external::Signer::new(name, key, outside.search);
                Ok(Key { public: signer.public().await?, holder: Holder::Signer(signer) })
            }
            #[cfg(feature = "pkcs11")]
            KeyRef::Pkcs11(uri) => {
                let uri = pkcs11::Uri::read(uri)?;
                let pin = match uri.pin.clone() {
                    Some(pin) => pin,
                    None => match outside.text(pkcs11::PIN)? {
                        Some(pin) => pin,
                        None => ask("the PIN of the token").await?,
                    },
                };
                let token = pkcs11::Token::open(&uri, &pin, outside.text(pkcs11::MODULE)?.as_deref())?;
                Ok(Key { public: token.public()?, holder: Holder::Token(token) })
            }
            #[cfg(not(feature = "pkcs11"))]
            KeyRef::Pkcs11(_) => Err(Error::usage("this program was built without PKCS#11")
                .hint("build it with `--features pkcs11`, or reach the token through `signer://` (docs/signing.md)")),
        }
    }

    async fn sealed(
        text: &str,
        name: &str,
        outside: &Outside<'_>,
        ask: impl AsyncFnOnce(&str) -> Result<String>,
    ) -> Result<Key> {
        let sealed = file::Sealed::read(text, name)?;
        let password = match outside.password()? {
            Some(password) => password,
            None => ask(&format!("the password of `{name}`")).await?,
        };
        let pair = sealed.open(&password)?;
        Ok(Key { public: pair.public()?, holder: Holder::File(pair) })
    }

    /// The other half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature of these bytes, in DER; looked at before it is handed out.
    pub async fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let signature = match &self.holder {
            Holder::File(pair) => pair.sign(bytes)?,
            Holder::Signer(signer) => signer.sign(bytes).await?,
            #[cfg(feature = "pkcs11")]
            Holder::Token(token) => token.sign(bytes)?,
        };
        if !self.public.signed(bytes, &signature) {
            return Err(Error::policy("what was signed does not fit the public key of who signed it")
                .hint("the private key and its public key may not belong together"));
        }
        Ok(signature)
    }
}
