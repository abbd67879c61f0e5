//! Stage 1: what `[sign]` means. Written values in, checked ones out. Pure.

use std::path::PathBuf;

use super::keyref::KeyRef;
use super::meant::{Method, SignatureFormat, Signing};
use super::read::{Meaning, tidy};
use super::written::Written;
use crate::error::{Error, Finding};

/// How the image is signed, if the manifest says so. Mistakes go into the report.
pub(super) fn read(meaning: &mut Meaning, written: &Written) -> Option<Signing> {
    let view = written.sign.as_ref()?;
    let directory = meaning.beside(&view.place).to_path_buf();
    let path = |meaning: &mut Meaning, key: &str| -> Option<PathBuf> {
        let text = meaning.text(view.text(key)?)?;
        Some(tidy(&directory.join(text)))
    };
    let (signing_config, trusted_root) = (path(meaning, "signing-config"), path(meaning, "trusted-root"));
    let format = view.text("format").and_then(|spot| meaning.parsed(spot, "signature-format", str::parse));
    let key = view.text("key").map(|spot| {
        meaning.parsed(spot, "sign", |text| match KeyRef::read(text, &directory)? {
            key if key.is_secret() => Err(Error::usage("a PIN stands in the manifest")
                .hint("take it out, and give it in `COSIGN_PKCS11_PIN` or name its file with `pin-source`")),
            key => Ok(key),
        })
    });
    let log = view.flag("log");
    let wrong = match (view.text("method")?.value.as_str(), &key, log) {
        ("keyless", Some(_), _) => {
            Some(("`key` has no meaning with `method = \"keyless\"`", "take it out, or write `method = \"key\"`"))
        }
        ("keyless", None, Some(_)) => Some((
            "`log` has no meaning with `method = \"keyless\"`",
            "take it out: such signatures always are in a log",
        )),
        ("key", None, _) => {
            Some(("nothing says which key", "write `key = \"cosign.key\"`, or `key = \"env://COSIGN_PRIVATE_KEY\"`"))
        }
        ("key", _, Some(false)) if signing_config.is_some() => {
            Some(("`signing-config` has no meaning with `log = false`", "take one of the two out"))
        }
        ("key", _, None | Some(false)) if trusted_root.is_some() && signing_config.is_none() => {
            Some(("`trusted-root` has no meaning for a key without a log", "add `log = true`, or take it out"))
        }
        _ => None,
    };
    if let Some((what, help)) = wrong {
        meaning.report.add(Finding::error("sign", what).at(&view.place, "").help(help));
        return None;
    }
    let method = match (view.text("method")?.value.as_str(), key) {
        ("key", Some(key)) => Method::Key(key?),
        ("keyless", _) => Method::Keyless,
        // Another method is the grammar's mistake, told there.
        _ => return None,
    };
    Some(Signing {
        method,
        format: format.unwrap_or(SignatureFormat::Both),
        log: log.unwrap_or(signing_config.is_some()),
        signing_config,
        trusted_root,
    })
}
