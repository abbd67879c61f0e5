//! Stage 1: what `[sign]` means: who signs, and in which form. Written values in, checked ones out. Pure.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::meant::{Form, KeyRef, Method, Sign};
use super::read::{Meaning, tidy};
use super::written::Written;
use crate::error::{Error, Finding, Result, printable};

/// Key references of other tools that we know of but do not read.
const FOREIGN: [&str; 8] = ["awskms", "gcpkms", "azurekms", "hashivault", "k8s", "gitlab", "github", "openbao"];

/// What `[sign]` asks for, if it is there. Mistakes go into the report.
pub(super) fn read(meaning: &mut Meaning, written: &Written) -> Option<Sign> {
    let view = written.sign.as_ref()?;
    let directory = meaning.directory.clone();
    let path = |meaning: &mut Meaning, key: &str| -> Option<PathBuf> {
        let text = meaning.text(view.text(key)?)?;
        Some(tidy(&directory.join(text)))
    };
    let (signing_config, trusted_root) = (path(meaning, "signing-config"), path(meaning, "trusted-root"));
    let form = view.text("format").and_then(|spot| meaning.parsed(spot, "sign", str::parse));
    let unlocked =
        |text: &str| match text.contains("pin-value") {
            true => Err(Error::usage("a PIN stands in the manifest")
                .hint("give it in `COSIGN_PKCS11_PIN` when the program runs")),
            false => KeyRef::read(text, &directory),
        };
    let key = view.text("key").map(|spot| meaning.parsed(spot, "sign", unlocked));
    let wrong = |meaning: &mut Meaning, what: &str, help: &str| {
        meaning.report.add(Finding::error("sign", what).at(&view.place, "").help(help));
    };
    let method = match (view.text("method")?.value.as_str(), key) {
        ("key", Some(key)) => Method::Key(key?),
        ("key", None) => {
            wrong(
                meaning,
                "`method` is \"key\", but no `key` is named",
                "add `key = \"cosign.key\"`, or `key = \"env://NAME\"`",
            );
            return None;
        }
        ("keyless", None) => Method::Keyless,
        ("keyless", Some(_)) => {
            wrong(meaning, "`key` stands beside `method = \"keyless\"`", "take one of the two out");
            return None;
        }
        _ => return None,
    };
    Some(Sign { method, form, log: view.is("log"), signing_config, trusted_root })
}

impl KeyRef {
    /// A reference to a key; a path counts from `directory`.
    pub fn read(text: &str, directory: &Path) -> Result<KeyRef> {
        let wrong = |why: &str| Error::usage(format!("`{}` is not a key to sign with: {why}", printable(text)));
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
                let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
                let fits =
                    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && name.bytes().all(inner);
                if !fits || key.is_empty() || key.chars().any(char::is_control) {
                    return Err(
                        wrong("it lacks the name of a signer or of its key").hint("write it as in `signer://NAME/KEY`")
                    );
                }
                Ok(KeyRef::Signer { name: name.to_string(), key: key.to_string() })
            }
            known if FOREIGN.contains(&known) => {
                Err(wrong("keys of this kind are asked for through a program of yours").hint(format!(
                    "write `signer://{known}/KEY` and put `stillframe-signer-{known}` into the `PATH` (docs/signing.md)"
                )))
            }
            _ => {
                Err(wrong("the scheme is unknown")
                    .hint("write a file, `env://NAME`, `pkcs11:…` or `signer://NAME/KEY`"))
            }
        }
    }
}

impl FromStr for Form {
    type Err = Error;

    fn from_str(text: &str) -> Result<Form> {
        match text {
            "bundle" => Ok(Form::Bundle),
            "legacy" => Ok(Form::Legacy),
            "both" => Ok(Form::Both),
            _ => Err(Error::usage(format!("`{}` is not a form of signatures", printable(text)))
                .hint("write `bundle`, `legacy` or `both`")),
        }
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
}
