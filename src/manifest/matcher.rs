//! Stage 1: who may have signed, as a text or a pattern. A rule in, yes or no for a whole text out. Pure.

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result, printable};

/// Largest compiled pattern in bytes.
const MOST_BYTES: usize = 1 << 20;

/// A rule for a text: the text itself, or a pattern that the whole of it must fit.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// Exactly this.
    Exact(String),
    /// A pattern, as it was written and as it is used: from the first to the last character.
    Pattern(String, Regex),
}

impl Matcher {
    /// Exactly this text, which must not be empty.
    pub fn exact(text: &str) -> Result<Matcher> {
        if text.is_empty() {
            return Err(Error::usage("an identity or issuer cannot be empty"));
        }
        Ok(Matcher::Exact(text.to_string()))
    }

    /// A regular expression for the whole text (check SIG-07).
    pub fn pattern(text: &str) -> Result<Matcher> {
        let wrong = |cause: regex::Error| {
            Error::usage(format!("`{}` is not a regular expression", printable(text))).because(cause)
        };
        if text.is_empty() {
            return Err(Error::usage("an identity or issuer cannot be empty"));
        }
        // By itself first: `a)|(b` must not become whole by what is put around it.
        let compile = |text: &str| RegexBuilder::new(text).size_limit(MOST_BYTES).build().map_err(wrong);
        compile(text)?;
        Ok(Matcher::Pattern(text.to_string(), compile(&format!(r"\A(?:{text})\z"))?))
    }

    /// The kind of the rule and its text; equal rules have equal ones.
    pub fn rule(&self) -> (&'static str, &str) {
        match self {
            Matcher::Exact(text) => ("exact", text),
            Matcher::Pattern(text, _) => ("pattern", text),
        }
    }

    /// Whether the whole text fits.
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Matcher::Exact(wanted) => wanted == text,
            Matcher::Pattern(_, pattern) => pattern.is_match(text),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Matcher::Exact(text) => write!(f, "`{}`", printable(text)),
            Matcher::Pattern(text, _) => write!(f, "the pattern `{}`", printable(text)),
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        self.rule() == other.rule()
    }
}

impl Eq for Matcher {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sig_07_a_rule_is_for_the_whole_text() {
        let exact = Matcher::exact("a@example.com").unwrap();
        let pattern = Matcher::pattern(r"[ab]@example\.com").unwrap();
        for rule in [exact, pattern] {
            assert!(rule.fits("a@example.com"));
            for other in [
                "a@example.com.evil.test",
                "xa@example.com",
                "a@example.com\n",
                "\na@example.com",
                "A@example.com",
                "a@exampleXcom",
                "",
            ] {
                assert!(!rule.fits(other), "{rule} {other:?}");
            }
        }
        let either = Matcher::pattern("a|b").unwrap();
        assert!(either.fits("a") && either.fits("b") && !either.fits("ax") && !either.fits("xb"));
        assert!(!Matcher::pattern("(?m)^a$").unwrap().fits("a\nb"));
    }

    #[test]
    fn rules_that_are_none_are_refused() {
        for wrong in ["", "(", "a)|(b", "(?x) a # ", "a{1000}{1000}{1000}"] {
            let refused = Matcher::pattern(wrong);
            assert!(refused.as_ref().is_err() || !refused.unwrap().fits("b"), "{wrong}");
        }
        for wrong in ["", "(", "a)|(b", "a{1000}{1000}{1000}"] {
            assert_eq!(Matcher::pattern(wrong).unwrap_err().kind().exit_code(), 2, "{wrong}");
        }
        assert!(Matcher::exact("").is_err());
        assert!(Matcher::pattern("a{2}").unwrap().fits("aa"));
    }
}
