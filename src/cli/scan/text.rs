//! Stage 10: what a scan found, as a table for people. A judged scan in, text out. Pure.

use std::collections::BTreeMap;

use crate::error::printable;
use crate::manifest::Rating;
use crate::trust::scan::{Judged, Verdict, Vulnerability};

/// Most names of packages or programs in one cell.
const MOST_NAMES: usize = 3;
/// Most characters of a cell.
const MOST_WIDTH: usize = 48;

/// A table, gravest first, and what is to be said of it.
pub fn text(judged: &Judged) -> String {
    let scan = &judged.scan;
    let mut rows = Vec::new();
    for (one, verdict) in scan.vulnerabilities.iter().zip(&judged.verdicts) {
        rows.push(row(one, verdict));
    }
    let mut text = table(&rows);
    for (one, verdict) in scan.vulnerabilities.iter().zip(&judged.verdicts) {
        let why = match verdict {
            Verdict::Allowed(reason, None) => format!("allowed: {reason}"),
            Verdict::Allowed(reason, Some(until)) => format!("allowed until {until}: {reason}"),
            Verdict::Cleared(status, why, from) => format!("{status}: {why} (`{from}`)"),
            _ => match (&one.unsure, &one.gravity.informational) {
                (Some(why), _) => format!("not sure: {why}"),
                (None, Some(kind)) => kind.clone(),
                (None, None) => continue,
            },
        };
        text += &format!("{} in {}: {}\n", printable(&one.id), printable(&one.package.name), printable(&why));
    }
    for what in scan.unknown() {
        let mark = if judged.blind { "deny " } else { "" };
        text += &format!("{mark}not known: {}\n", printable(&what));
    }
    for what in &scan.contents.private {
        text += &format!("not asked about: {}\n", printable(what));
    }
    text + &summary(judged)
}

fn row(one: &Vulnerability, verdict: &Verdict) -> Vec<String> {
    let rating = one.gravity.rating.map_or("unknown", Rating::name);
    let gravity = match one.gravity.score {
        Some(score) => format!("{rating} {score:.1}"),
        None => rating.to_string(),
    };
    let names: Vec<&str> = match one.seen.parts.is_empty() {
        true => one.seen.programs.iter().map(String::as_str).collect(),
        false => one.seen.parts.iter().map(|(name, ..)| name.as_str()).collect(),
    };
    let mut places = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
    if names.len() > MOST_NAMES {
        places += &format!(" and {} more", names.len() - MOST_NAMES);
    }
    let verdict = match verdict {
        Verdict::Deny => "deny",
        Verdict::Tell => "",
        Verdict::Allowed(..) => "allowed",
        Verdict::Cleared(status, ..) => status,
    };
    let fixed = one.fixed.clone().unwrap_or_else(|| "-".to_string());
    let package = format!("{} {}", one.package.name, one.package.version);
    [gravity, one.id.clone(), package, fixed, places, verdict.to_string(), one.summary.clone()]
        .iter()
        .map(|cell| cut(&printable(cell)))
        .collect()
}

fn cut(cell: &str) -> String {
    match cell.char_indices().nth(MOST_WIDTH) {
        Some((end, _)) => format!("{}…", &cell[..end]),
        None => cell.to_string(),
    }
}

/// The columns, each as wide as its widest cell; those in which nothing stands are left out.
fn table(rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head = ["severity", "vulnerability", "package", "fixed in", "where", "", "what"].map(str::to_string).to_vec();
    let rows: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let shown: Vec<(usize, usize)> = (0..head.len())
        .filter(|at| rows.iter().skip(1).any(|row| !row[*at].is_empty()))
        .map(|at| (at, width(at)))
        .collect();
    let line = |row: &&Vec<String>| {
        let cells = shown.iter().map(|(at, width)| format!("{:width$}", row[*at]));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

fn summary(judged: &Judged) -> String {
    let scan = &judged.scan;
    let newest = scan.database.newest.as_deref().unwrap_or("of an unknown day");
    let database = format!("{} records, the newest {}", scan.database.records, printable(newest));
    let packages = scan.contents.asked.len();
    if packages == 0 {
        return format!("nothing in the image says what it is made of, so nothing could be asked ({database})\n");
    }
    let packages = if packages == 1 { "1 package".to_string() } else { format!("{packages} packages") };
    let mut counts: BTreeMap<Option<Rating>, usize> = BTreeMap::new();
    for one in &scan.vulnerabilities {
        *counts.entry(one.gravity.rating).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .rev()
        .map(|(rating, count)| format!("{count} {}", rating.map_or("unknown", Rating::name)))
        .collect();
    match scan.vulnerabilities.len() {
        0 if scan.unknown().is_empty() => format!("no known vulnerability in {packages} ({database})\n"),
        0 => format!("no known vulnerability in what could be asked of {packages} ({database})\n"),
        1 => format!("1 vulnerability in {packages}: {} ({database})\n", counts.join(", ")),
        count => format!("{count} vulnerabilities in {packages}: {} ({database})\n", counts.join(", ")),
    }
}
