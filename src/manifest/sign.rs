//! Stage 1: what `[sign]` means. Written values in, checked ones out. Pure.

use super::meant::{Method, SignatureFormat, Signing};
use super::read::{Meaning, tidy};
use super::written::Written;
use crate::error::Finding;

/// What a key in a variable begins with.
const VARIABLE: &str = "env://";

/// How the image is signed, if the manifest says so. Mistakes go into the report.
pub(super) fn read(meaning: &mut Meaning, written: &Written) -> Option<Signing> {
    let view = written.sign.as_ref()?;
    let key = view.text("key").and_then(|spot| meaning.text(spot));
    let format = view.text("format").and_then(|spot| meaning.parsed(spot, "signature-format", str::parse));
    let method = match (view.text("method")?.value.as_str(), key) {
        ("key", Some(key)) if key.starts_with(VARIABLE) => Method::Key(key),
        ("key", Some(key)) => Method::Key(tidy(&meaning.directory.join(key)).display().to_string()),
        ("keyless", None) => Method::Keyless,
        (method, key) => {
            let (what, help) = match key.is_some() {
                true => {
                    ("`key` has no meaning with `method = \"keyless\"`", "take it out, or write `method = \"key\"`")
                }
                false if method == "key" => {
                    ("nothing says which key", "write `key = \"cosign.key\"`, or `key = \"env://COSIGN_PRIVATE_KEY\"`")
                }
                // Another method is the grammar's mistake, told there.
                false => return None,
            };
            meaning.report.add(Finding::error("sign", what).at(&view.place, "").help(help));
            return None;
        }
    };
    Some(Signing { method, format: format.unwrap_or(SignatureFormat::Both), place: view.place.clone() })
}
