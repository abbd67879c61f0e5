//! Stage 1: what a private key is called. A text in, where the key is out. Pure.

use std::fmt;
use std::path::{Path, PathBuf};

use super::read::tidy;
use crate::error::{Error, Result, printable};

/// Key references of other tools, which an external signer can stand for.
const FOREIGN: [&str; 9] =
    ["awskms", "gcpkms", "azurekms", "hashivault", "openbao", "k8s", "gitlab", "github", "sigstore-kms"];
/// The longest name of an external signer, and of a key of its.
const LONGEST_NAME: usize = 64;
const LONGEST_KEY: usize = 1024;

/// Where a private key is.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyRef {
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
    /// In a token; the URI (RFC 7512), which may hold its PIN.
    Pkcs11(String),
    /// Behind a program, which is asked for a key by its name.
    Signer {
        /// The program is `stillframe-signer-NAME`.
        name: String,
        /// What the program calls the key.
        key: String,
    },
}

impl KeyRef {
    /// Reads a reference; a path counts from `directory`.
    pub fn read(text: &str, directory: &Path) -> Result<KeyRef> {
        let wrong = |why: &str| Error::usage(format!("`{}` is not a private key: {why}", shown(text)));
        if text.is_empty() {
            return Err(wrong("it is empty"));
        }
        if text.starts_with("pkcs11:") {
            return Ok(KeyRef::Pkcs11(text.to_string()));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(KeyRef::File(tidy(&directory.join(text))));
        };
        match scheme {
            "env" if !rest.is_empty() && !rest.contains(['=', '\0']) => Ok(KeyRef::Variable(rest.to_string())),
            "env" => Err(wrong("it names no variable").hint("write it as in `env://COSIGN_PRIVATE_KEY`")),
            "signer" => {
                let (name, key) = rest.split_once('/').unwrap_or((rest, ""));
                if !is_name(name) || key.is_empty() || key.len() > LONGEST_KEY || key.chars().any(char::is_control) {
                    return Err(wrong("a signer's name has letters, digits, `.`, `_` and `-`, and a key follows it")
                        .hint("write it as in `signer://NAME/KEY`"));
                }
                Ok(KeyRef::Signer { name: name.to_string(), key: key.to_string() })
            }
            known if FOREIGN.contains(&known) => Err(wrong(
                "keys of this kind are asked for through a program of yours",
            )
            .hint(format!(
                "write `signer://{known}/KEY` and put `stillframe-signer-{known}` into the `PATH` (`docs/signing.md`)"
            ))),
            _ => Err(wrong("the scheme is unknown")
                .hint("write a file, `env://VARIABLE`, `pkcs11:…` or `signer://NAME/KEY`")),
        }
    }

    /// Whether the reference holds a secret itself.
    pub fn is_secret(&self) -> bool {
        matches!(self, KeyRef::Pkcs11(uri) if uri.contains("pin-value"))
    }
}

/// The same rule as for credential helpers: nothing that could be a path or an option.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && text.len() <= LONGEST_NAME && text.bytes().all(inner)
}

/// A reference as it may be shown: a PIN may follow the question mark.
fn shown(text: &str) -> String {
    match text.split_once('?') {
        Some((first, _)) if text.starts_with("pkcs11:") => format!("{}?…", printable(first)),
        _ => printable(text),
    }
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyRef::File(path) => f.write_str(&printable(&path.display().to_string())),
            KeyRef::Variable(name) => write!(f, "env://{}", printable(name)),
            KeyRef::Pkcs11(uri) => f.write_str(&shown(uri)),
            KeyRef::Signer { name, key } => write!(f, "signer://{name}/{}", printable(key)),
        }
    }
}

impl fmt::Debug for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_keys() {
        let read = |text: &str| KeyRef::read(text, Path::new("/here"));
        assert_eq!(read("a/../cosign.key").unwrap(), KeyRef::File("/here/cosign.key".into()));
        assert_eq!(read("env://KEY").unwrap(), KeyRef::Variable("KEY".into()));
        let signer = KeyRef::Signer { name: "aws".into(), key: "alias/a".into() };
        assert_eq!(read("signer://aws/alias/a").unwrap(), signer);
        assert!(matches!(read("pkcs11:token=a").unwrap(), KeyRef::Pkcs11(_)));
        for wrong in
            ["", "env://", "env://A=B", "signer://a", "signer:///a", "signer://../x/a", "signer://-a/b", "ftp://x"]
        {
            assert_eq!(read(wrong).unwrap_err().kind().exit_code(), 2, "{wrong}");
        }
        assert!(read("awskms:///alias/a").unwrap_err().hints()[0].contains("stillframe-signer-awskms"));
    }

    #[test]
    fn a_pin_is_not_shown() {
        let key = KeyRef::read("pkcs11:object=k?pin-value=CANARY", Path::new("/")).unwrap();
        assert!(key.is_secret());
        assert_eq!(key.to_string(), "pkcs11:object=k?…");
        assert_eq!(format!("{key:?}"), "pkcs11:object=k?…");
    }
}
