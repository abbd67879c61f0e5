//! Stage 10: `stillframe history`.

use serde_json::json;

use super::super::args::History;
use super::super::session::Session;
use super::describe;
use super::look::{Look, open};
use super::text::{Ink, Side, Style, columns};
use crate::error::{Report, Result, printable};
use crate::image::inside::{Maker, Step};
use crate::source::inside::Inside;

/// Most lines of the manifest that are shown for a layer.
const MOST_LINES: usize = 50;

/// Shows how the layers of an image came to be, lowest first.
pub async fn run(session: &Session<'_>, options: &History) -> Result<u8> {
    let look = open(session, &options.reference, options.platform.as_ref()).await?;
    let inside = look.inside(session).await?;
    if session.terminal.json() {
        let steps: Vec<_> = look.steps.iter().map(|step| describe::step(&look, step, &inside)).collect();
        let document = json!({ "image": describe::image(&look), "history": steps });
        session.terminal.document(document, &Report::default())?;
    } else {
        let style = Style { color: session.terminal.colored(), bytes: options.bytes };
        session.terminal.result(&text(&look, &inside, style))?;
    }
    Ok(0)
}

fn text(look: &Look, inside: &[Inside], style: Style) -> String {
    let mut rows = vec![
        ["LAYER", "SIZE", "WIRE", "CREATED", "FROM", "CREATED BY"].map(|word| (word.into(), Some(Ink::Bold))).to_vec(),
    ];
    for step in &look.steps {
        let layer = step.layer.and_then(|at| look.manifest.layers.get(at));
        let size = step.layer.and_then(|at| inside.get(at)).map_or(0, Inside::bytes);
        let number = step.layer.map_or("-".into(), |at| (at + 1).to_string());
        let ink = if step.layer.is_none() { Some(Ink::Dim) } else { None };
        rows.push(vec![
            (number, ink),
            (style.size(size), ink),
            (layer.map_or("-".into(), |layer| style.size(layer.size)), ink),
            (printable(step.created.as_deref().unwrap_or("-")), Some(Ink::Dim)),
            (from(step), Some(Ink::Cyan)),
            (words(step), ink),
        ]);
        let lines = step.layer.and_then(|at| look.lines.get(at)).map(Vec::as_slice).unwrap_or_default();
        for line in lines.iter().take(MOST_LINES) {
            let dest = if line.dest.is_empty() { String::new() } else { format!(" /{}", line.dest) };
            rows.push(below(format!("{}  [[{}]]{dest}", line.place, line.table)));
        }
        if lines.len() > MOST_LINES {
            rows.push(below(format!("and {} more lines", lines.len() - MOST_LINES)));
        }
    }
    let (left, right) = (Side::Left, Side::Right);
    columns(style, &[right, right, right, left, left, left], &rows)
}

fn below(text: String) -> Vec<(String, Option<Ink>)> {
    let mut row = vec![(String::new(), None); 5];
    row.push((text, Some(Ink::Dim)));
    row
}

fn from(step: &Step) -> String {
    match &step.maker {
        Maker::Unknown => "-".to_string(),
        maker => printable(&maker.words()),
    }
}

fn words(step: &Step) -> String {
    let by = step.created_by.clone().unwrap_or_default();
    // A history holds tabs and line ends where a Dockerfile had them.
    let by = by.split_whitespace().collect::<Vec<_>>().join(" ");
    let comment = step.comment.as_ref().map(|comment| format!("  # {comment}")).unwrap_or_default();
    printable(&format!("{by}{comment}"))
}
