//! Stage 10: findings and errors as text and as JSON. Values in, text out. Pure.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use crate::error::{Error, Finding, Place, Report, Severity, printable};

/// Columns of the text; fixed, so that the output does not depend on a terminal's width.
const WIDTH: usize = 120;
/// Characters shown of a very long line.
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
        elements.push(excerpt(place, label, &related));
        elements.extend(elsewhere.into_iter().map(|(place, label)| excerpt(place, label, &[])));
    }
    elements.extend(finding.help.iter().map(|help| Level::HELP.message(printable(help)).into()));
    let group: Group<'_> = title.elements(elements);
    renderer(color).render(&[group])
}

fn excerpt<'a>(place: &'a Place, label: &'a str, related: &[&'a (Place, String)]) -> Element<'a> {
    let text = &place.text.text;
    let short = text.lines().all(|line| line.len() <= LONGEST_LINE);
    if !short {
        let (line, column) = place.line_column();
        return annotate_snippets::Origin::path(place.text.path.as_str()).line(line).char_column(column).into();
    }
    let annotation = |kind: AnnotationKind, place: &Place, label: &'a str| {
        let annotation = kind.span(place.span.clone());
        if label.is_empty() { annotation } else { annotation.label(label) }
    };
    let mut snippet = Snippet::source(text.as_str()).path(place.text.path.as_str()).annotation(annotation(
        AnnotationKind::Primary,
        place,
        label,
    ));
    for (place, label) in related {
        snippet = snippet.annotation(annotation(AnnotationKind::Context, place, label));
    }
    snippet.into()
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
        })
    };
    report.all().iter().map(finding).collect()
}
