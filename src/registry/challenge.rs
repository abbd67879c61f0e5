//! Stage 4: `WWW-Authenticate`. Header texts in, challenges out. Pure.

/// Longest header text that is looked at.
pub(super) const MOST_BYTES: usize = 16 << 10;
/// Most challenges and most parameters that are kept.
pub(super) const MOST: usize = 64;

/// One challenge (RFC 9110, 11.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// `basic`, `bearer` … in lower case.
    pub scheme: String,
    /// The parameters in order, names in lower case.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter by its lower-case name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// All challenges of all `WWW-Authenticate` headers, in order. What cannot be read is left out.
pub(super) fn read<'a>(headers: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    for header in headers.filter(|header| header.len() <= MOST_BYTES) {
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let (word, after) = token(rest);
            if word.is_empty() || challenges.len() >= MOST {
                break;
            }
            let value = after.trim_start_matches([' ', '\t']).strip_prefix('=').filter(|value| !value.starts_with('='));
            match (value, challenges.last_mut()) {
                (Some(value), Some(challenge)) => {
                    let (text, after) = self::value(value.trim_start_matches([' ', '\t']));
                    if challenge.parameters.len() < MOST {
                        challenge.parameters.push((word.to_ascii_lowercase(), text));
                    }
                    rest = after;
                }
                (Some(_), None) => break,
                (None, _) => {
                    challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                    rest = token68(after);
                }
            }
        }
    }
    challenges
}

/// The token at the start of a text, and what follows it.
fn token(text: &str) -> (&str, &str) {
    let inner = |character: char| character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
    let end = text.find(|character| !inner(character)).unwrap_or(text.len());
    text.split_at(end)
}

/// Skips the one opaque word that a scheme may have in place of parameters (`Negotiate YWJj==`).
fn token68(text: &str) -> &str {
    let trimmed = text.trim_start_matches([' ', '\t']);
    let inner = |character: char| character.is_ascii_alphanumeric() || "-._~+/".contains(character);
    let end = trimmed.find(|character| !inner(character)).unwrap_or(trimmed.len());
    let after = trimmed[end..].trim_start_matches('=');
    let ended = after.is_empty() || after.trim_start_matches([' ', '\t']).starts_with(',');
    let padded = trimmed[end..].len() - after.len();
    if end > 0 && ended && (padded != 1 || after.is_empty()) { after } else { text }
}

/// A quoted or bare value at the start of a text, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_string(), &text[end..]);
    };
    let (mut out, mut escaped) = (String::new(), false);
    for (at, character) in inner.char_indices() {
        match character {
            _ if escaped => {
                out.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (out, &inner[at + 1..]),
            _ => out.push(character),
        }
    }
    (out, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: &[(&str, &[(&str, &str)])]) {
        let found = read([header].into_iter());
        let expected: Vec<Challenge> = expected
            .iter()
            .map(|(scheme, parameters)| Challenge {
                scheme: scheme.to_string(),
                parameters: parameters.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            })
            .collect();
        assert_eq!(found, expected, "{header}");
    }

    #[test]
    fn aut_14_challenges_are_read_in_all_their_forms() {
        let realm = ("realm", "https://a.test/token");
        check(
            r#"Bearer realm="https://a.test/token",service="a.test",scope="repository:x:pull,push""#,
            &[("bearer", &[realm, ("service", "a.test"), ("scope", "repository:x:pull,push")])],
        );
        check(
            r#"bearer REALM="https://a.test/token" , error=insufficient_scope"#,
            &[("bearer", &[realm, ("error", "insufficient_scope")])],
        );
        check(
            r#"Basic realm="a \"b\", c", Bearer realm="https://a.test/token""#,
            &[("basic", &[("realm", "a \"b\", c")]), ("bearer", &[realm])],
        );
        check(
            r#"Negotiate, Basic realm=x, Bearer realm="https://a.test/token""#,
            &[("negotiate", &[]), ("basic", &[("realm", "x")]), ("bearer", &[realm])],
        );
        check("Negotiate YWJj==, Basic realm=x", &[("negotiate", &[]), ("basic", &[("realm", "x")])]);
        check("Basic", &[("basic", &[])]);
        check(r#"Bearer realm="open"#, &[("bearer", &[("realm", "open")])]);
        check("=,=\"", &[]);
        check("", &[]);
        check(&"x,".repeat(20_000), &[]);
        assert_eq!(read([&*"x ,".repeat(1000)].into_iter()).len(), MOST);
    }
}
