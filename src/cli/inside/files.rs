//! Stage 10: `stillframe files`.

use std::cmp::Reverse;
use std::path::Path;

use serde_json::{Value, json};

use super::super::args::{By, Files, Wanted};
use super::super::session::Session;
use super::look::{Look, open};
use super::text::{Ink, Side, Style, columns, count, mode};
use super::{describe, page, tree};
use crate::error::{Error, Report, Result};
use crate::image::inside::{
    Row, Tree, Twins, Waste, What, Why, mtree, of_layer, of_tree, raw, score, shown, twins, waste,
};
use crate::ship;
use crate::source::inside::Inside;

/// Most groups of files with one content that are listed.
const MOST_TWINS: usize = 1000;
/// Most paths of such a group that are shown.
const MOST_PATHS: usize = 10;

/// Lists the files of an image, or of one of its layers.
pub async fn run(session: &Session<'_>, options: &Files) -> Result<u8> {
    let look = open(session, &options.reference, options.platform.as_ref()).await?;
    let inside = look.inside(session).await?;
    let merged = look.tree(&inside)?;
    let one = options.layer.as_ref().map(|wanted| number(&look, wanted)).transpose()?;
    let mut rows = match one.and_then(|at| Some((at, inside.get(at)?))) {
        Some((at, inside)) => of_layer(inside, at as u32),
        None => of_tree(&merged),
    };
    if options.by == By::Size {
        rows.sort_by_key(|row| (Reverse(row.size()), row.path));
    }
    let style = Style { color: session.terminal.colored(), bytes: options.bytes };
    if let Some(path) = &options.html {
        return html(session, &look, &inside, &merged, path);
    }
    if session.terminal.json() {
        session.terminal.document(document(&look, &inside, &merged, &rows, one), &Report::default())?;
        return Ok(0);
    }
    let text = match () {
        () if options.mtree => mtree(&rows),
        () if options.waste => waste_text(&look, &inside, &merged, style),
        () if options.tree => tree::text(&rows, options.depth, style) + &sums(&inside, &merged, &rows, one, style),
        () => list(&look, &rows, style) + &sums(&inside, &merged, &rows, one, style),
    };
    session.terminal.result(&text)?;
    Ok(0)
}

/// The place of the layer that is meant.
fn number(look: &Look, wanted: &Wanted) -> Result<usize> {
    let layers = look.manifest.layers.len();
    let found = match wanted {
        Wanted::Number(number) => (*number <= layers).then(|| number - 1),
        Wanted::Digest(digest) => {
            let blob = look.manifest.layers.iter().position(|layer| layer.digest == *digest);
            blob.or_else(|| look.config.rootfs.diff_ids.iter().position(|id| id.0 == *digest))
        }
        Wanted::Name(name) => (0..layers).find(|at| look.maker(*at) == *name),
    };
    found.ok_or_else(|| {
        let names: Vec<String> =
            (0..layers).map(|at| format!("{} {}", at + 1, look.maker(at)).trim_end().to_string()).collect();
        Error::usage(format!("`{}` has no layer `{wanted}`", look.name)).hint(format!(
            "it has {}: {}",
            count(layers as u64, "layer", "layers"),
            names.join(", ")
        ))
    })
}

fn html(session: &Session<'_>, look: &Look, inside: &[Inside], tree: &Tree, path: &Path) -> Result<u8> {
    ship::receipt(path, page::html(look, inside, tree)?.as_bytes())?;
    if session.terminal.json() {
        let document = json!({ "image": describe::image(look), "html": path.display().to_string() });
        session.terminal.document(document, &Report::default())?;
    } else {
        session.terminal.result(&format!("{}\n", path.display()))?;
    }
    Ok(0)
}

fn document(look: &Look, inside: &[Inside], tree: &Tree, rows: &[Row<'_>], one: Option<usize>) -> Value {
    let seen: Vec<Option<&Inside>> = inside.iter().map(Some).collect();
    let (waste, twins, dive) = (waste(tree), twins(tree), score(inside));
    json!({
        "image": describe::image(look),
        "layer": one.map(|at| at + 1),
        "layers": describe::layers(look, &seen),
        "files": rows.iter().map(|row| describe::row(look, row)).collect::<Vec<_>>(),
        "bytes": {
            "seen": tree.seen_bytes(),
            "stored": tree.stored_bytes(),
            "wasted": tree.stored_bytes() - tree.seen_bytes(),
            "twice": twins.iter().map(Twins::extra).sum::<u64>(),
            "efficiency": tree.efficiency(),
            "dive": { "efficiency": dive.efficiency, "wasted": dive.wasted },
        },
        "waste": waste.iter().map(describe::waste).collect::<Vec<_>>(),
        "duplicates": twins.iter().take(MOST_TWINS).map(describe::twins).collect::<Vec<_>>(),
    })
}

/// One line for each path.
fn list(look: &Look, rows: &[Row<'_>], style: Style) -> String {
    let line = |row: &Row<'_>| {
        let (uid, gid) = row.held.map_or((0, 0), |held| (held.uid, held.gid));
        let size = match row.what {
            What::Character(major, minor) | What::Block(major, minor) => format!("{major}, {minor}"),
            _ => row.size().map_or("-".into(), |size| style.size(size)),
        };
        vec![
            (mode(row), None),
            (row.held.map_or("-".into(), |_| format!("{uid}:{gid}")), None),
            (size, None),
            (look.origin(row.path, row.layer), Some(Ink::Dim)),
            (shown(row.path) + &leads(row), ink(row)),
        ]
    };
    let lines: Vec<_> = rows.iter().map(line).collect();
    let (left, right) = (Side::Left, Side::Right);
    columns(style, &[left, right, right, left, left], &lines)
}

/// Where a row leads to, or what happens there.
pub fn leads(row: &Row<'_>) -> String {
    match &row.what {
        What::Link(target) => format!(" -> {}", raw(target)),
        What::File { twin: Some(twin), .. } => format!(" = {}", shown(twin)),
        What::Lower(target) => format!(" = {} of a lower layer", shown(target)),
        What::Directory { opaque: true } => " (emptied)".to_string(),
        What::Whiteout => " (removed)".to_string(),
        _ => String::new(),
    }
}

/// The colour of a path.
pub fn ink(row: &Row<'_>) -> Option<Ink> {
    match row.what {
        What::Directory { .. } => Some(Ink::Blue),
        What::Link(_) | What::Lower(_) => Some(Ink::Cyan),
        What::Whiteout => Some(Ink::Red),
        What::Character(..) | What::Block(..) | What::Fifo => Some(Ink::Yellow),
        What::File { .. } => row.held.filter(|held| held.mode & 0o111 != 0).map(|_| Ink::Green),
    }
}

fn sums(inside: &[Inside], tree: &Tree, rows: &[Row<'_>], one: Option<usize>, style: Style) -> String {
    let number = |wanted: fn(&What<'_>) -> bool| rows.iter().filter(|row| wanted(&row.what)).count() as u64;
    let kinds = format!(
        "{}, {}, {}",
        count(number(|what| matches!(what, What::File { .. })), "file", "files"),
        count(number(|what| matches!(what, What::Directory { .. })), "directory", "directories"),
        count(number(|what| matches!(what, What::Link(_))), "link", "links"),
    );
    let bytes: u64 = rows.iter().map(Row::bytes).sum();
    if one.is_some() {
        let removed = number(|what| matches!(what, What::Whiteout));
        let removed = if removed == 0 { String::new() } else { format!(", {} removed", removed) };
        return format!("\n{kinds}{removed}: {}\n", style.said(bytes));
    }
    let layers = count(inside.len() as u64, "layer", "layers");
    let mut text = format!("\n{kinds}: {} in {layers}\n", style.said(bytes));
    let wasted = tree.stored_bytes() - tree.seen_bytes();
    if wasted > 0 {
        text += &format!(
            "{} more are shipped and not seen, efficiency {}; `--waste` lists them\n",
            style.said(wasted),
            percent(tree.efficiency())
        );
    }
    text
}

/// A part as hundredths, with one digit behind the point.
pub fn percent(part: f64) -> String {
    let tenths = (part * 1000.0).round() as u64;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn waste_text(look: &Look, inside: &[Inside], tree: &Tree, style: Style) -> String {
    let (waste, twins, dive) = (waste(tree), twins(tree), score(inside));
    let sum: u64 = waste.iter().map(|one| one.size).sum();
    let extra: u64 = twins.iter().map(Twins::extra).sum();
    let mut text = format!(
        "{} are shipped, {} are seen: efficiency {}\n",
        style.said(tree.stored_bytes()),
        style.said(tree.seen_bytes()),
        percent(tree.efficiency())
    );
    text +=
        &format!("as dive counts it: efficiency {}, {} wasted\n", percent(dive.efficiency), style.said(dive.wasted));
    text += &format!("\n{}\n", style.ink(Ink::Bold, &format!("shipped and not seen: {}", style.said(sum))));
    let rows: Vec<_> = waste.iter().map(|one| wasted(look, one, style)).collect();
    text += &columns(style, &[Side::Right, Side::Left, Side::Left], &rows);
    text += &format!("\n{}\n", style.ink(Ink::Bold, &format!("there more than once: {}", style.said(extra))));
    for one in twins.iter().take(MOST_TWINS) {
        let paths: Vec<String> = one.paths.iter().take(MOST_PATHS).map(|path| shown(path)).collect();
        let more = one.paths.len().saturating_sub(MOST_PATHS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text += &format!("{}  {}{more}\n", style.size(one.extra()), paths.join(" "));
    }
    if twins.len() > MOST_TWINS {
        text += &format!("and {} more contents\n", twins.len() - MOST_TWINS);
    }
    text
}

fn wasted(look: &Look, one: &Waste, style: Style) -> Vec<(String, Option<Ink>)> {
    let name = |layer: u32| {
        let maker = look.maker(layer as usize);
        if maker.is_empty() { format!("layer {}", layer + 1) } else { format!("layer {} ({maker})", layer + 1) }
    };
    let why = match one.why {
        Why::Removed => "removed by",
        Why::Replaced => "replaced by",
        Why::Facts => "stored again, with only mode, owner, time or attributes changed, by",
        Why::Again => "stored again, unchanged, by",
    };
    let files = if one.files > 1 { format!(", {}", count(one.files, "file", "files")) } else { String::new() };
    let words = format!("{}{files}: in {}, {why} {}", shown(&one.path), name(one.layer), name(one.by));
    vec![(style.size(one.size), None), (one.why.word().to_string(), Some(Ink::Yellow)), (words, None)]
}
