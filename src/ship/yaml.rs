//! Stage 9: images in YAML for Kubernetes, Kustomize and Helm. A text in, every reference to an image of ours with its place out; and values
//! for them in, the text with these in their places out. Every other byte stays. Pure.

use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::{Event, Parser};

use crate::error::{Finding, Place, Report, Text, printable};

/// What a reference begins with.
pub const SCHEME: &str = "stillframe://";
/// Most references of one text.
const MOST: usize = 10_000;

/// What is wanted of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `NAME@sha256:…`.
    Reference,
    /// The name alone (`#name`).
    Name,
    /// The digest alone (`#digest`).
    Digest,
    /// Its first tag (`#tag`).
    Tag,
}

/// A reference to an image of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The image: the last part of its name.
    pub image: String,
    /// What of it is wanted.
    pub part: Part,
    /// Where all of it stands.
    pub place: Place,
}

/// All references of a text, in its order. What stands in comments is none. Mistakes go into the report.
pub fn find(text: &Arc<Text>, report: &mut Report) -> Vec<Found> {
    let mut found = Vec::new();
    let mut bytes = Bytes::of(&text.text);
    for event in Parser::new_from_str(&text.text) {
        match event {
            Ok((Event::Scalar(value, ..), span)) if value.contains(SCHEME) => {
                let range = bytes.at(span.start.index())..bytes.at(span.end.index());
                inside(text, range, value.matches(SCHEME).count(), &mut found, report);
            }
            Ok(_) => {}
            Err(wrong) => {
                let at = bytes.at(wrong.marker().index());
                let place = Place { text: text.clone(), span: at..at };
                report.add(Finding::error("yaml", printable(wrong.info())).at(&place, "").help(
                    "a Helm template is no YAML before it is rendered; put the reference into its values, or use `--render`",
                ));
                return found;
            }
        }
    }
    if found.len() > MOST {
        report.add(Finding::error("yaml", format!("there are over {MOST} references in it, which is the limit")));
    }
    found
}

/// The references in one scalar, as it is written.
fn inside(text: &Arc<Text>, range: Range<usize>, count: usize, found: &mut Vec<Found>, report: &mut Report) {
    let raw = &text.text[range.clone()];
    let place = |span: Range<usize>| Place { text: text.clone(), span };
    if raw.matches(SCHEME).count() != count {
        let finding = Finding::error("yaml", "a reference is written with escapes or over several lines");
        report.add(finding.at(&place(range), "").help(format!("write it plainly, as in `{SCHEME}api`")));
        return;
    }
    for (at, _) in raw.match_indices(SCHEME) {
        let rest = &raw[at + SCHEME.len()..];
        let word =
            |rest: &str| rest.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).unwrap_or(rest.len());
        let image = &rest[..word(rest)];
        let behind = &rest[image.len()..];
        let (part, length) = match behind.strip_prefix('#') {
            Some(selector) => match &selector[..word(selector)] {
                "name" => (Part::Name, 5),
                "digest" => (Part::Digest, 7),
                "tag" => (Part::Tag, 4),
                other => {
                    let span = range.start + at..range.start + at + SCHEME.len() + image.len() + 1 + other.len();
                    let finding = Finding::error("yaml", format!("`#{}` is no part of an image", printable(other)));
                    report.add(finding.at(&place(span), "").help("known are `#name`, `#digest` and `#tag`"));
                    continue;
                }
            },
            None => (Part::Reference, 0),
        };
        let span = range.start + at..range.start + at + SCHEME.len() + image.len() + length;
        let end = text.text[span.end..range.end].chars().next();
        if image.is_empty() || end.is_some_and(|c| "/:@".contains(c)) {
            let finding = Finding::error("yaml", format!("`{SCHEME}` is followed by the last part of an image's name"));
            report.add(
                finding
                    .at(&place(span), "")
                    .help(format!("as in `{SCHEME}api`, without a registry, a tag or a digest")),
            );
            continue;
        }
        found.push(Found { image: image.to_string(), part, place: place(span) });
    }
}

/// The text with these values in the places of these references, which stand in its order.
pub fn replaced(text: &str, values: &[(Place, String)]) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut from = 0;
    for (place, value) in values {
        whole += text.get(from..place.span.start).unwrap_or_default();
        whole += value;
        from = place.span.end;
    }
    whole + text.get(from..).unwrap_or_default()
}

/// From numbers of characters, which only grow, to numbers of bytes.
struct Bytes<'a> {
    text: &'a str,
    characters: usize,
    bytes: usize,
}

impl Bytes<'_> {
    fn of(text: &str) -> Bytes<'_> {
        Bytes { text, characters: 0, bytes: 0 }
    }

    fn at(&mut self, index: usize) -> usize {
        if index < self.characters {
            (self.characters, self.bytes) = (0, 0);
        }
        let more: usize = self.text[self.bytes..].chars().take(index - self.characters).map(char::len_utf8).sum();
        (self.characters, self.bytes) = (index, self.bytes + more);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> (Vec<(String, Part, String)>, Vec<String>) {
        let text = Arc::new(Text { path: "a.yaml".into(), text: text.into() });
        let mut report = Report::default();
        let found = find(&text, &mut report);
        let one = |found: &Found| (found.image.clone(), found.part, text.text[found.place.span.clone()].to_string());
        let wrong = |finding: &Finding| {
            let (line, column) = finding.place.as_ref().unwrap().0.line_column();
            format!("{line}:{column} {}", finding.message)
        };
        (found.iter().map(one).collect(), report.all().iter().map(wrong).collect())
    }

    #[test]
    fn references_are_found_in_scalars_of_every_kind_and_not_in_comments() {
        let text = "# stillframe://comment\nä: ü # stillframe://comment\nimage: stillframe://plain # stillframe://comment\n\
                    a: \"stillframe://double\" \nb: 'it''s # stillframe://single'\nc: [stillframe://one, {k: stillframe://two}]\n\
                    d: |\n  --image=stillframe://block # no comment\n  x\ne: >-\n  folded stillframe://folded\n  more\n\
                    ---\n- &anchor stillframe://anchored\n- *anchor\n- !!str stillframe://tagged\n? stillframe://key\n";
        let text = text.replace("? stillframe://key\n", "- {stillframe://key: 1}\n");
        let (found, wrong) = all(&text);
        let names: Vec<&str> = found.iter().map(|(image, ..)| image.as_str()).collect();
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(names, ["plain", "double", "single", "one", "two", "block", "folded", "anchored", "tagged", "key"]);
        assert!(found.iter().all(|(image, _, raw)| *raw == format!("stillframe://{image}")));
    }

    #[test]
    fn parts_of_an_image_are_chosen() {
        let (found, wrong) =
            all("newName: stillframe://api#name\ndigest: \"stillframe://api#digest\"\ntag: stillframe://api#tag\n");
        assert_eq!(wrong, Vec::<String>::new());
        let parts: Vec<Part> = found.iter().map(|(_, part, _)| *part).collect();
        assert_eq!(parts, [Part::Name, Part::Digest, Part::Tag]);
        assert_eq!(found[1].2, "stillframe://api#digest");
    }

    #[test]
    fn mistakes_have_their_places() {
        let (_, wrong) =
            all("a: stillframe://api:1.2\nb: stillframe://\nc: \"stillframe:\\x2f/api\"\nd: stillframe://api#size\n");
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert!(wrong[0].starts_with("1:4 ") && wrong[3].starts_with("4:4 `#size`"), "{wrong:?}");
        let (_, wrong) = all("a: [1\nb: stillframe://api\n");
        assert!(wrong[0].starts_with("2:"), "{wrong:?}");
    }

    #[test]
    fn every_other_byte_stays() {
        let text = "\u{feff}a:   stillframe://x   # ü\r\nb: 'stillframe://x'\r\n\r\n...\n";
        let shared = Arc::new(Text { path: "a".into(), text: text.into() });
        let found = find(&shared, &mut Report::default());
        let values: Vec<(Place, String)> = found.into_iter().map(|found| (found.place, "R".into())).collect();
        assert_eq!(replaced(text, &values), text.replace("stillframe://x", "R"));
    }
}
