//! Stage 5: texts of stanzas, `Key: value` lines between empty ones, as Debian's control files are. A text in, its fields out. Pure.
//!
//! Source: deb822(5). A line that begins with a space or a tab goes on with the field before it.

use std::ops::Range;

/// One stanza of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stanza<'a>(&'a str);

/// The stanzas of a text with their places in it.
pub fn stanzas(text: &str) -> impl Iterator<Item = (Range<usize>, Stanza<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut start = None;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let length = rest.find('\n').map_or(rest.len(), |end| end + 1);
            let empty = rest.get(..length).unwrap_or_default().trim_ascii().is_empty();
            match (empty, start) {
                (true, Some(start)) => {
                    let range = start..at;
                    at += length;
                    return Some((range.clone(), Stanza(text.get(range).unwrap_or_default())));
                }
                (false, None) => start = Some(at),
                _ => {}
            }
            at += length;
        }
        let range = start?..text.len();
        Some((range.clone(), Stanza(text.get(range).unwrap_or_default())))
    })
}

impl<'a> Stanza<'a> {
    /// The stanza that a text is.
    pub fn of(text: &'a str) -> Stanza<'a> {
        Stanza(text)
    }

    /// The fields in their order: the name, and the whole value with its further lines.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            loop {
                if rest.is_empty() {
                    return None;
                }
                let mut end = rest.find('\n').map_or(rest.len(), |end| end + 1);
                while rest.get(end..).is_some_and(|more| more.starts_with([' ', '\t'])) {
                    let more = rest.get(end..).unwrap_or_default();
                    end += more.find('\n').map_or(more.len(), |end| end + 1);
                }
                let (field, after) = rest.split_at_checked(end)?;
                rest = after;
                if let Some((name, value)) = field.split_once(':').filter(|(name, _)| !name.starts_with('#')) {
                    return Some((name, value.trim_ascii()));
                }
            }
        })
    }

    /// The value of a field; names do not differ in case.
    pub fn field(self, name: &str) -> Option<&'a str> {
        self.fields().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_stand_between_empty_lines() {
        let text = "\nA: 1\nB: 2\n more\n\tlast\n\n \nA: 3\n#C: 4\nD:\n\n";
        let found: Vec<_> = stanzas(text).collect();
        assert_eq!(found.len(), 2);
        for (range, stanza) in &found {
            assert_eq!(&text[range.clone()], stanza.0);
        }
        let fields: Vec<_> = found[0].1.fields().collect();
        assert_eq!(fields, [("A", "1"), ("B", "2\n more\n\tlast")]);
        assert_eq!(found[1].1.field("a"), Some("3"));
        assert_eq!((found[1].1.field("C"), found[1].1.field("d")), (None, Some("")));
        assert_eq!(stanzas("").count() + stanzas("\n\n").count(), 0);
        assert_eq!(stanzas("A: 1").count(), 1);
    }
}
