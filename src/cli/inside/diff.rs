//! Stage 10: `stillframe diff`.

use serde_json::{Value, json};

use super::super::args::Diff;
use super::super::session::Session;
use super::describe;
use super::look::{Look, choice};
use super::text::{Ink, Style, count};
use crate::error::{Report, Result, printable};
use crate::image::inside::{Change, Difference, Field, Layers, Node, Setting, Tree, diff, layers, settings, shown};
use crate::oci::{DiffId, Platform};
use crate::source::inside::Body;

/// The exit code where there is a difference and it was asked for.
const DIFFERENT: u8 = 4;
/// Most characters of a value that are shown.
const SHOWN: usize = 200;

/// Two images and how they differ.
struct Both<'a> {
    looks: (&'a Look, &'a Look),
    trees: (&'a Tree, &'a Tree),
    settings: Vec<Setting>,
    layers: Layers,
    files: Vec<Difference<'a>>,
}

/// Compares two images: config and annotations, then layers, then files.
pub async fn run(session: &Session<'_>, options: &Diff) -> Result<u8> {
    let (before, after) = both(session, options).await?;
    let trees = (before.tree(&before.inside(session).await?)?, after.tree(&after.inside(session).await?)?);
    let (old, new) = (before.value(), after.value());
    let both = Both {
        looks: (&before, &after),
        trees: (&trees.0, &trees.1),
        settings: settings((&old, &before.manifest.annotations), (&new, &after.manifest.annotations)),
        layers: layers(&before.config.rootfs.diff_ids, &after.config.rootfs.diff_ids),
        files: diff(&trees.0, &trees.1),
    };
    if session.terminal.json() {
        session.terminal.document(both.document(), &Report::default())?;
    } else {
        let style = Style { color: session.terminal.colored(), bytes: options.bytes };
        session.terminal.result(&both.text(style, options.all))?;
    }
    let different = before.digest() != after.digest();
    Ok(if different && options.exit_code { DIFFERENT } else { 0 })
}

/// Opens both. Where only one is for several platforms, the platform of the other is meant.
async fn both(session: &Session<'_>, options: &Diff) -> Result<(Look, Look)> {
    let (before, after) = (choice(session, &options.before).await?, choice(session, &options.after).await?);
    let asked = options.platform.as_ref();
    let same = |look: &Look| look.platform.parse::<Platform>().ok();
    match (asked, before.several(), after.several()) {
        (None, false, true) => {
            let first = before.open(session, None).await?;
            let second = after.open(session, same(&first).as_ref()).await?;
            Ok((first, second))
        }
        (None, true, false) => {
            let second = after.open(session, None).await?;
            Ok((before.open(session, same(&second).as_ref()).await?, second))
        }
        _ => Ok((before.open(session, asked).await?, after.open(session, asked).await?)),
    }
}

impl Both<'_> {
    fn document(&self) -> Value {
        let setting = |one: &Setting| json!({ "key": one.key, "from": one.from, "to": one.to });
        let rest = |look: &Look, rest: &[(usize, DiffId)]| -> Vec<Value> {
            let one = |(number, diff_id): &(usize, DiffId)| {
                let layer = look.manifest.layers.get(number - 1);
                json!({
                    "number": number,
                    "diffId": diff_id,
                    "digest": layer.map(|layer| layer.digest),
                    "wire": layer.map(|layer| layer.size),
                })
            };
            rest.iter().map(one).collect()
        };
        let sizes = |look: &Look, tree: &Tree| json!({ "wire": look.wire(), "files": tree.seen_bytes() });
        json!({
            "before": describe::image(self.looks.0),
            "after": describe::image(self.looks.1),
            "same": self.looks.0.digest() == self.looks.1.digest(),
            "config": self.settings.iter().map(setting).collect::<Vec<_>>(),
            "layers": {
                "shared": self.layers.shared,
                "sameOrder": self.layers.ordered,
                "before": rest(self.looks.0, &self.layers.before),
                "after": rest(self.looks.1, &self.layers.after),
            },
            "files": self.files.iter().map(|one| self.file(one)).collect::<Vec<_>>(),
            "bytes": { "before": sizes(self.looks.0, self.trees.0), "after": sizes(self.looks.1, self.trees.1) },
        })
    }

    fn file(&self, one: &Difference<'_>) -> Value {
        let mut value = describe::named(one.path);
        let Some(map) = value.as_object_mut() else { return value };
        let size = |tree: &Tree, node: &Node| tree.inode(node).map(|inode| inode.size);
        let (word, from, to) = match &one.change {
            Change::Added(node) => ("added", None, size(self.trees.1, node)),
            Change::Removed(node) => ("removed", size(self.trees.0, node), None),
            Change::Changed(old, new, _) => ("changed", size(self.trees.0, old), size(self.trees.1, new)),
        };
        map.insert("change".into(), json!(word));
        map.insert("sizeBefore".into(), json!(from));
        map.insert("sizeAfter".into(), json!(to));
        if let Change::Changed(_, _, fields) = &one.change {
            let field = |field: &Field| json!({ "field": field.name, "from": field.from, "to": field.to });
            map.insert("fields".into(), fields.iter().map(field).collect());
        }
        value
    }

    fn text(&self, style: Style, all: bool) -> String {
        let (before, after) = self.looks;
        if before.digest() == after.digest() {
            return format!("both are {}\n", before.digest());
        }
        let mut text = String::new();
        let head = |sign: &str, look: &Look| format!("{sign} {}  {}  {}", look.name, look.platform, look.digest());
        text += &format!("{}\n", style.ink(Ink::Red, &head("---", before)));
        text += &format!("{}\n", style.ink(Ink::Green, &head("+++", after)));
        if !self.settings.is_empty() {
            text += &format!("\n{}\n", style.ink(Ink::Bold, "config"));
            text.extend(self.settings.iter().map(|setting| line(style, setting)));
        }
        if !(self.layers.before.is_empty() && self.layers.after.is_empty() && self.layers.ordered) {
            let shared = count(self.layers.shared as u64, "layer is", "layers are");
            let order = if self.layers.ordered { "" } else { ", in another order" };
            text += &format!("\n{}\n", style.ink(Ink::Bold, &format!("layers: {shared} the same{order}")));
            text += &rest(style, '-', before, &self.layers.before);
            text += &rest(style, '+', after, &self.layers.after);
        }
        text + &self.files(style, all)
    }

    fn files(&self, style: Style, all: bool) -> String {
        let mut text = String::new();
        let mut skip: Option<Vec<u8>> = None;
        let mut only_time = 0;
        for (at, one) in self.files.iter().enumerate() {
            if skip.as_ref().is_some_and(|above| one.path.starts_with(above)) {
                continue;
            }
            if one.only_time() && !all {
                only_time += 1;
                continue;
            }
            let below = if all { None } else { self.whole(at) };
            skip = below.as_ref().map(|_| [one.path, &b"/"[..]].concat());
            text += &self.path(style, one, below);
        }
        let title = |word: &str| format!("\n{}\n", style.ink(Ink::Bold, word));
        if self.files.is_empty() {
            return title("files: all are the same");
        }
        if only_time > 0 {
            let paths = count(only_time, "path differs", "paths differ");
            text += &style.ink(Ink::Dim, &format!("{paths} in time only; `--all` lists them\n"));
        }
        title("files") + &text + &self.sums(style)
    }

    /// A directory that came or went whole: how many paths there are below it, and their bytes.
    fn whole(&self, at: usize) -> Option<(u64, u64)> {
        let one = self.files.get(at)?;
        let (tree, added) = match one.change {
            Change::Added(node) if node.held.body == Body::Directory => (self.trees.1, true),
            Change::Removed(node) if node.held.body == Body::Directory => (self.trees.0, false),
            _ => return None,
        };
        let above = [one.path, &b"/"[..]].concat();
        let (mut paths, mut bytes) = (0, 0);
        for other in self.files.iter().skip(at + 1).take_while(|other| other.path.starts_with(&above)) {
            let node = match other.change {
                Change::Added(node) if added => node,
                Change::Removed(node) if !added => node,
                _ => return None,
            };
            paths += 1;
            bytes += tree.inode(node).map_or(0, |inode| inode.size);
        }
        (paths > 0).then_some((paths, bytes))
    }

    fn path(&self, style: Style, one: &Difference<'_>, below: Option<(u64, u64)>) -> String {
        let path = shown(one.path);
        let (sign, ink, words) = match &one.change {
            Change::Added(node) => ('+', Ink::Green, self.whole_words(style, self.trees.1, node, below)),
            Change::Removed(node) => ('-', Ink::Red, self.whole_words(style, self.trees.0, node, below)),
            Change::Changed(_, _, fields) => {
                let fields: Vec<String> = fields.iter().map(|field| self::field(style, field)).collect();
                ('~', Ink::Yellow, fields.join(", "))
            }
        };
        format!("{} {path}  {}\n", style.ink(ink, &sign.to_string()), style.ink(Ink::Dim, &words))
    }

    fn whole_words(&self, style: Style, tree: &Tree, node: &Node, below: Option<(u64, u64)>) -> String {
        match (&node.held.body, below) {
            (_, Some((paths, bytes))) => {
                format!("directory with {}, {}", count(paths, "path", "paths"), style.size(bytes))
            }
            (Body::Directory, None) => "directory".to_string(),
            (Body::Link(target), _) => format!("-> {}", crate::image::inside::raw(target)),
            (Body::Character(..) | Body::Block(..), None) => "device".to_string(),
            (Body::Fifo, None) => "named pipe".to_string(),
            _ => tree.inode(node).map_or_else(String::new, |inode| style.size(inode.size)),
        }
    }

    fn sums(&self, style: Style) -> String {
        let number =
            |wanted: fn(&Change<'_>) -> bool| self.files.iter().filter(|one| wanted(&one.change)).count() as u64;
        let (old, new) = (self.trees.0.seen_bytes(), self.trees.1.seen_bytes());
        let wire = (self.looks.0.wire(), self.looks.1.wire());
        format!(
            "\n{} added, {} removed, {} changed; files {} → {} ({}), over the wire {} → {} ({})\n",
            number(|change| matches!(change, Change::Added(_))),
            number(|change| matches!(change, Change::Removed(_))),
            number(|change| matches!(change, Change::Changed(..))),
            style.size(old),
            style.size(new),
            style.change(old, new),
            style.size(wire.0),
            style.size(wire.1),
            style.change(wire.0, wire.1),
        )
    }
}

fn rest(style: Style, sign: char, look: &Look, layers: &[(usize, DiffId)]) -> String {
    let ink = if sign == '-' { Ink::Red } else { Ink::Green };
    let one = |(number, diff_id): &(usize, DiffId)| {
        let size = look.manifest.layers.get(number - 1).map_or(0, |layer| layer.size);
        let from = look.maker(number - 1);
        let sign = style.ink(ink, &sign.to_string());
        format!("{} {number}  {diff_id}  {}  {from}", sign, style.size(size)).trim_end().to_string() + "\n"
    };
    layers.iter().map(one).collect()
}

fn line(style: Style, setting: &Setting) -> String {
    let key = printable(&setting.key);
    match (&setting.from, &setting.to) {
        (None, Some(to)) => format!("{} {key}: {}\n", style.ink(Ink::Green, "+"), value(to)),
        (Some(from), None) => format!("{} {key}: {}\n", style.ink(Ink::Red, "-"), value(from)),
        (from, to) => {
            let shown = |side: &Option<Value>| side.as_ref().map_or_else(String::new, value);
            format!("{} {key}: {} → {}\n", style.ink(Ink::Yellow, "~"), shown(from), shown(to))
        }
    }
}

fn field(style: Style, field: &Field) -> String {
    let name = printable(&field.name);
    match (field.name.as_str(), field.from.as_u64(), field.to.as_u64()) {
        ("size", Some(from), Some(to)) => format!("size {} → {}", style.size(from), style.size(to)),
        // Whole digests are for machines.
        ("content", _, _) => "content".to_string(),
        _ => format!("{name} {} → {}", value(&field.from), value(&field.to)),
    }
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_string(),
        Value::String(text) => printable(text),
        other => printable(&other.to_string()),
    };
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain(['…']).collect() }
}
