//! Stage 10: findings and errors as text, as JSON and as SARIF. Values in, text out. Pure.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use crate::error::{Error, Finding, Place, Report, Severity, printable};

mod annotations;
mod sarif;

pub use annotations::annotations;
pub use sarif::sarif;

/// Columns of the text; fixed, so that the output does not depend on a terminal's width.
const WIDTH: usize = 120;
/// The byte order mark, which editors do not show.
const MARK: char = '\u{feff}';
/// Longest line in bytes of which an excerpt is shown.
const LONGEST_LINE: usize = 2000;

/// All findings for people, with excerpts and carets.
pub fn text(report: &Report, color: bool) -> String {
    report.all().iter().map(|finding| one(finding, color) + "\n\n").collect()
}

fn renderer(color: bool) -> Renderer {
    if color { Renderer::styled().term_width(WIDTH) } else { Renderer::plain().term_width(WIDTH) }
}

fn one(finding: &Finding, color: bool) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(printable(&finding.message)).id(finding.code);
    let mut elements: Vec<Element<'_>> = Vec::new();
    if let Some((place, label)) = &finding.place {
        let mut related: Vec<&(Place, String)> = Vec::new();
        let mut elsewhere = Vec::new();
        for other in &finding.related {
            if other.0.text.path == place.text.path { related.push(other) } else { elsewhere.push(other) }
        }
        elements.push(excerpt(place, label, &related, finding.hidden));
        elements.extend(elsewhere.into_iter().map(|(place, label)| excerpt(place, label, &[], false)));
    }
    elements.extend(finding.help.iter().map(|help| Level::HELP.message(printable(help)).into()));
    let allowed = finding.allowed.iter();
    elements.extend(allowed.map(|why| Level::NOTE.with_name("allowed").message(printable(why)).into()));
    let group: Group<'_> = title.elements(elements);
    renderer(color).render(&[group])
}

fn excerpt<'a>(place: &'a Place, label: &'a str, related: &[&'a (Place, String)], hidden: bool) -> Element<'a> {
    let path = place.text.path.as_str();
    let all = || [place].into_iter().chain(related.iter().map(|(place, _)| place));
    if all().any(|place| longest_line(place) > LONGEST_LINE) {
        let (line, column) = place.line_column();
        return annotate_snippets::Origin::path(path).line(line).char_column(column).into();
    }
    let mut text = without_passwords(&place.text.text);
    if hidden {
        text = without(&text, place.span.clone());
    }
    let mark = if text.starts_with(MARK) { MARK.len_utf8() } else { 0 };
    let annotation = |kind: AnnotationKind, place: &Place, label: &'a str| {
        let at = |byte: usize| byte.saturating_sub(mark);
        let annotation = kind.span(at(place.span.start)..at(place.span.end));
        if label.is_empty() { annotation } else { annotation.label(label) }
    };
    let primary = annotation(AnnotationKind::Primary, place, label);
    let mut snippet = Snippet::source(text[mark..].to_string()).path(path).annotation(primary);
    for (place, label) in related {
        snippet = snippet.annotation(annotation(AnnotationKind::Context, place, label));
    }
    snippet.into()
}

/// The length of the longest line that an excerpt of this place shows: its own and the ones beside it.
fn longest_line(place: &Place) -> usize {
    let text = &place.text.text;
    let before = text[..place.span.start].rmatch_indices('\n').nth(1).map_or(0, |(at, _)| at + 1);
    let after = text[place.span.end..].match_indices('\n').nth(1).map_or(text.len(), |(at, _)| place.span.end + at);
    text[before..after].lines().map(str::len).max().unwrap_or(0)
}

/// The text with a `*` for each byte of a password in a URL, so that all places stay where they are.
fn without_passwords(text: &str) -> String {
    let mut masked = text.to_string();
    for (at, _) in text.match_indices("://") {
        let rest = &text[at + 3..];
        let end = rest.find(|end: char| end.is_whitespace() || "/\"'?#".contains(end)).unwrap_or(rest.len());
        let Some((user, _)) = rest[..end].rsplit_once('@') else { continue };
        if let Some(colon) = user.find(':') {
            let (start, end) = (at + 3 + colon + 1, at + 3 + user.len());
            masked.replace_range(start..end, &"*".repeat(end - start));
        }
    }
    masked
}

/// The text with a `*` for each byte of a part that is no end of a line, so that all places stay where they are.
fn without(text: &str, part: Range<usize>) -> String {
    let hide = |character: char| match character {
        '\n' | '\r' => character.to_string(),
        other => "*".repeat(other.len_utf8()),
    };
    let hidden: String = text[part.clone()].chars().map(hide).collect();
    [&text[..part.start], &hidden, &text[part.end..]].concat()
}

/// An error for people: the sentence, its causes, the ways out.
pub fn error(error: &Error, color: bool) -> String {
    let mut elements: Vec<Element<'_>> = Vec::new();
    elements.extend(
        error
            .causes()
            .iter()
            .map(|cause| Level::NOTE.no_name().message(format!("because: {}", printable(cause))).into()),
    );
    elements.extend(error.hints().iter().map(|hint| Level::HELP.with_name("hint").message(printable(hint)).into()));
    let group = Level::ERROR.primary_title(printable(error.message())).elements(elements);
    renderer(color).render(&[group]) + "\n"
}

/// All findings for machines.
pub fn json(report: &Report) -> Value {
    let place = |place: &Place, label: &str| {
        let (line, column) = place.line_column();
        json!({ "file": place.text.path, "line": line, "column": column, "label": label })
    };
    let finding = |finding: &Finding| {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        json!({
            "code": finding.code,
            "severity": severity,
            "exit": (finding.severity == Severity::Error).then(|| finding.kind.exit_code()),
            "message": finding.message,
            "place": finding.place.as_ref().map(|(at, label)| place(at, label)),
            "related": finding.related.iter().map(|(at, label)| place(at, label)).collect::<Vec<_>>(),
            "help": finding.help,
            "allowed": finding.allowed,
        })
    };
    report.all().iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_in_place() {
        let check = |text: &str, expect: &str| assert_eq!(without_passwords(text), expect);
        check("a = \"https://me:secret@host/x@y\"", "a = \"https://me:******@host/x@y\"");
        check("https://me:p@ss@host https://host:80/a:b@c", "https://me:****@host https://host:80/a:b@c");
        check("https://me:ü@host", "https://me:**@host");
    }
}
