//! Stage 8: the kinds of attestations. A word or a URI in, the URI out. Pure.

use crate::error::{Error, Result, printable};

/// cosign's words for predicate types.
const WORDS: [(&str, &str); 10] = [
    ("custom", "https://cosign.sigstore.dev/attestation/v1"),
    ("cyclonedx", "https://cyclonedx.org/bom"),
    ("link", "https://in-toto.io/Link/v1"),
    ("openvex", "https://openvex.dev/ns"),
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
    ("spdx", "https://spdx.dev/Document"),
    ("spdxjson", "https://spdx.dev/Document"),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
];

/// The predicate type that a word stands for; a URI stands for itself.
pub fn predicate_type(word: &str) -> Result<String> {
    if let Some((_, uri)) = WORDS.iter().find(|(known, _)| *known == word) {
        return Ok(uri.to_string());
    }
    if word.contains("://") && !word.contains(char::is_whitespace) {
        return Ok(word.to_string());
    }
    let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
    Err(Error::usage(format!("`{}` is not a type of attestations", printable(word)))
        .hint(format!("write a URI, or one of {}", words.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_uris() {
        assert_eq!(predicate_type("spdxjson").unwrap(), "https://spdx.dev/Document");
        assert_eq!(predicate_type("https://h.test/x").unwrap(), "https://h.test/x");
        for wrong in ["", "spd", "https://h.test/x y"] {
            assert_eq!(predicate_type(wrong).unwrap_err().kind().exit_code(), 2, "{wrong}");
        }
    }
}
