//! Between stages 1 and 2: words of a Dockerfile. Quotes, escapes and `$variables` in, values out, by the rules of the Dockerfile
//! reference ("Environment replacement"). Pure.

use std::iter::Peekable;
use std::str::Chars;

use crate::import::value::Value;

/// Looks a variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<Value>;

/// A word with its variables replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// What it says.
    pub value: Value,
    /// Variables that nobody has set.
    pub unknown: Vec<String>,
    /// Replacements that are not understood.
    pub odd: Vec<String>,
}

/// Splits a text into words at spaces outside of quotes; quotes and escapes stay.
pub fn split(text: &str, escape: char) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, space) if space.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), character) if open == character => quote = None,
            (None | Some('"'), character) if character == escape => {
                word.push(character);
                word.extend(characters.next());
                continue;
            }
            _ => {}
        }
        word.push(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The pairs of `ENV`, `LABEL` and `ARG`: `name=value` words, or the old form of one name and the rest of the line.
pub fn pairs(text: &str, escape: char) -> Vec<(String, Option<String>)> {
    let words = split(text, escape);
    match words.first() {
        Some(first) if !first.contains('=') => {
            let rest = text.trim_start().get(first.len()..).unwrap_or_default().trim();
            vec![(first.clone(), Some(rest.to_string()))]
        }
        _ => names(text, escape),
    }
}

/// Words that may have a value.
pub fn names(text: &str, escape: char) -> Vec<(String, Option<String>)> {
    let pair = |word: String| match word.split_once('=') {
        Some((name, value)) => (name.to_string(), Some(value.to_string())),
        None => (word, None),
    };
    split(text, escape).into_iter().map(pair).collect()
}

/// Takes quotes and escapes off a word, and replaces its variables.
pub fn expand(text: &str, escape: char, lookup: Lookup<'_>) -> Word {
    let mut word = Word::default();
    let mut characters = text.chars().peekable();
    let mut double = false;
    while let Some(character) = characters.next() {
        match character {
            '\'' if !double => {
                for inner in characters.by_ref().take_while(|inner| *inner != '\'') {
                    word.value.push(inner);
                }
            }
            '"' => double = !double,
            '$' => variable(&mut characters, escape, lookup, &mut word),
            character if character == escape => match characters.next() {
                Some(next) if double && next != '"' && next != '$' && next != escape => {
                    word.value.push(character);
                    word.value.push(next);
                }
                next => next.into_iter().for_each(|next| word.value.push(next)),
            },
            character => word.value.push(character),
        }
    }
    word
}

fn variable(characters: &mut Peekable<Chars<'_>>, escape: char, lookup: Lookup<'_>, word: &mut Word) {
    if characters.peek() == Some(&'{') {
        characters.next();
        let inner = braced(characters);
        let end = inner.find(|one: char| !is_name(one)).unwrap_or(inner.len());
        let (name, operation) = inner.split_at(end);
        if name.is_empty() || !replaced(name, operation, escape, lookup, word) {
            word.odd.push(format!("${{{inner}}}"));
        }
        return;
    }
    let mut name = String::new();
    while let Some(next) = characters.next_if(|next| is_name(*next)) {
        name.push(next);
    }
    if name.is_empty() {
        word.value.push('$');
    } else {
        replaced(&name, "", escape, lookup, word);
    }
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Everything up to the brace that closes, which may hold braces itself.
fn braced(characters: &mut Peekable<Chars<'_>>) -> String {
    let (mut inner, mut depth) = (String::new(), 1);
    for character in characters.by_ref() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        inner.push(character);
    }
    inner
}

/// Deepest default inside of a default.
const DEEPEST: usize = 16;

/// Replaces a variable; `false` where its operation is not known.
fn replaced(name: &str, operation: &str, escape: char, lookup: Lookup<'_>, word: &mut Word) -> bool {
    let found = lookup(name);
    let (counts, rest) = match operation.strip_prefix(':') {
        Some(rest) => (found.as_ref().is_some_and(|value| !value.is_empty()), rest),
        None => (found.is_some(), operation),
    };
    let other = |word: &mut Word, text: &str| {
        if text.matches("${").count() > DEEPEST {
            return false;
        }
        let inner = expand(text, escape, lookup);
        word.value.extend(&inner.value);
        word.unknown.extend(inner.unknown);
        word.odd.extend(inner.odd);
        true
    };
    match (rest.chars().next(), found) {
        (None, None) if operation.is_empty() => word.unknown.push(name.to_string()),
        (None, Some(value)) if operation.is_empty() => word.value.extend(&value),
        (Some('-' | '?'), Some(value)) if counts => word.value.extend(&value),
        (Some('-'), _) => return other(word, &rest[1..]),
        (Some('+'), _) if counts => return other(word, &rest[1..]),
        (Some('+'), _) => {}
        (Some('?'), _) => word.unknown.push(name.to_string()),
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let lookup = |name: &str| match name {
            "set" => Some(Value::text("value")),
            "empty" => Some(Value::text("")),
            _ => None,
        };
        let word = expand(text, '\\', &lookup);
        let shown = [vec![word.value.plain()], word.unknown, word.odd].concat().join(" | ");
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn variables_are_replaced_as_the_reference_says() {
        check("a$set/b", "avalue/b");
        check("${set}x", "valuex");
        check(r#""$set" '$set'"#, "value $set");
        check(r"\$set \${set}", "$set ${set}");
        check("$none", " | none");
        check("${none:-other}", "other");
        check("${empty:-other}${empty-other}", "other");
        check("${set:+other}${none:+other}", "other");
        check("${none:-${set}/x}", "value/x");
        check("${set:?no}", "value");
        check("${none:?no}", " | none");
        check("${set%%e*}", " | ${set%%e*}");
        check("5$ $", "5$ $");
        check(r#"a\ b "c\"d\n""#, r#"a b c"d\n"#);
    }

    #[test]
    fn words_end_at_spaces_outside_of_quotes() {
        assert_eq!(split(r#"a="b c" d=e\ f  'g h'"#, '\\'), [r#"a="b c""#, r"d=e\ f", "'g h'"]);
        assert_eq!(pairs("NAME the rest = of it", '\\'), [("NAME".into(), Some("the rest = of it".into()))]);
        assert_eq!(pairs("A=1 B", '\\'), [("A".into(), Some("1".into())), ("B".into(), None)]);
    }
}
