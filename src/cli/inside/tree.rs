//! Stage 10: files as a drawn tree, each directory with the bytes of all below it. Rows in, text out. Pure.

use std::collections::BTreeMap;

use super::files::{ink, leads};
use super::text::{Ink, Side, Style, columns, mode};
use crate::image::inside::{Row, raw};

/// Something in a directory, and what is below it.
#[derive(Default)]
pub struct Branch<'a> {
    /// What is listed there; nothing for a directory that no row names.
    pub row: Option<&'a Row<'a>>,
    /// The bytes of it and of all below it.
    pub bytes: u64,
    /// What is in it, by name.
    pub below: BTreeMap<&'a [u8], Branch<'a>>,
}

/// The rows as a tree.
pub fn branches<'a>(rows: &'a [Row<'a>]) -> Branch<'a> {
    let mut root = Branch::default();
    for row in rows {
        let mut at = &mut root;
        at.bytes += row.bytes();
        for name in row.path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            at = at.below.entry(name).or_default();
            at.bytes += row.bytes();
        }
        at.row = Some(row);
    }
    root
}

/// Draws the rows, down to a depth.
pub fn text(rows: &[Row<'_>], depth: Option<usize>, style: Style) -> String {
    let root = branches(rows);
    let mut lines = vec![line(style, &root, String::new(), "/".to_string())];
    draw(style, &root, "", depth.unwrap_or(usize::MAX), &mut lines);
    columns(style, &[Side::Left, Side::Right, Side::Right, Side::Left], &lines)
}

type Cells = Vec<(String, Option<Ink>)>;

fn draw(style: Style, branch: &Branch<'_>, before: &str, depth: usize, lines: &mut Vec<Cells>) {
    if depth == 0 {
        return;
    }
    let last = branch.below.len().saturating_sub(1);
    for (at, (name, child)) in branch.below.iter().enumerate() {
        let (own, next) = if at == last { ("└── ", "    ") } else { ("├── ", "│   ") };
        lines.push(line(style, child, format!("{before}{own}"), raw(name)));
        draw(style, child, &format!("{before}{next}"), depth - 1, lines);
    }
}

fn line(style: Style, branch: &Branch<'_>, before: String, name: String) -> Cells {
    let facts = branch.row.map_or("d---------".to_string(), mode);
    let owner = branch.row.and_then(|row| row.held).map_or("-".into(), |held| format!("{}:{}", held.uid, held.gid));
    let leads = branch.row.map(leads).unwrap_or_default();
    let ink = branch.row.map_or(Some(Ink::Blue), ink);
    let name = ink.map_or_else(|| name.clone(), |ink| style.ink(ink, &name));
    vec![(facts, None), (owner, None), (style.size(branch.bytes), None), (format!("{before}{name}{leads}"), None)]
}
