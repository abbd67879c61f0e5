//! Stage 7: how the files of two images differ. Two trees in, each path that differs with the fields that do out. Pure.
//!
//! Compared is what a container sees: that a file came in another layer is no difference. The mode of a symbolic link is none either.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::name::raw;
use super::tree::{Node, Tree};
use crate::manifest::values::rfc3339;
use crate::source::inside::{Attribute, Body, Name};

/// The seconds from 1970 to the year 9999; farther times are shown as numbers.
const FAR: i64 = 253_000_000_000;

/// One path that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference<'a> {
    /// The path.
    pub path: &'a Name,
    /// What happened to it from the first image to the second.
    pub change: Change<'a>,
}

/// What happened to a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<'a> {
    /// Only the second image has it.
    Added(&'a Node),
    /// Only the first image has it.
    Removed(&'a Node),
    /// Both have it, with these fields changed.
    Changed(&'a Node, &'a Node, Vec<Field>),
}

/// A field that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// `type`, `mode`, `owner`, `size`, `content`, `target`, `device`, `hardlink`, `mtime`, or `xattr NAME`.
    pub name: String,
    /// What it was.
    pub from: Value,
    /// What it is.
    pub to: Value,
}

impl Difference<'_> {
    /// Whether nothing but the time changed.
    pub fn only_time(&self) -> bool {
        matches!(&self.change, Change::Changed(_, _, fields) if fields.iter().all(|field| field.name == "mtime"))
    }
}

/// Each path that differs, in the order of their bytes.
pub fn diff<'a>(before: &'a Tree, after: &'a Tree) -> Vec<Difference<'a>> {
    let names = (before.first_names(), after.first_names());
    let mut all = Vec::new();
    let (mut left, mut right) = (before.nodes.iter().peekable(), after.nodes.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return all,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let one = if order.is_le() { left.next() } else { None };
        let other = if order.is_ge() { right.next() } else { None };
        match (one, other) {
            (Some((path, node)), None) => all.push(Difference { path, change: Change::Removed(node) }),
            (None, Some((path, node))) => all.push(Difference { path, change: Change::Added(node) }),
            (Some((path, one)), Some((_, other))) => {
                let links = (twin(path, one, &names.0), twin(path, other, &names.1));
                let fields = fields((before, one), (after, other), links);
                if !fields.is_empty() {
                    all.push(Difference { path, change: Change::Changed(one, other, fields) });
                }
            }
            (None, None) => return all,
        }
    }
}

/// The first name of a path's content, if that is another one.
fn twin(path: &Name, node: &Node, first: &[Option<&Name>]) -> Value {
    let name = node.inode.and_then(|inode| *first.get(inode as usize)?);
    name.filter(|name| *name != path).map_or(Value::Null, |name| json!(super::shown(name)))
}

fn fields((before, one): (&Tree, &Node), (after, other): (&Tree, &Node), links: (Value, Value)) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut compare = |name: &str, from: Value, to: Value| {
        if from != to {
            fields.push(Field { name: name.to_string(), from, to });
        }
    };
    let (old, new) = (&one.held, &other.held);
    compare("type", json!(kind(&old.body)), json!(kind(&new.body)));
    if !matches!((&old.body, &new.body), (Body::Link(_), Body::Link(_))) {
        compare("mode", json!(format!("{:04o}", old.mode)), json!(format!("{:04o}", new.mode)));
    }
    compare("owner", json!(format!("{}:{}", old.uid, old.gid)), json!(format!("{}:{}", new.uid, new.gid)));
    let content = |tree: &Tree, node: &Node| tree.inode(node).map(|inode| (inode.size, inode.digest));
    if let (Some((old, one)), Some((new, other))) = (content(before, one), content(after, other)) {
        compare("size", json!(old), json!(new));
        compare("content", json!(one), json!(other));
    }
    compare("target", target(&old.body), target(&new.body));
    compare("device", device(&old.body), device(&new.body));
    compare("hardlink", links.0, links.1);
    if let (Some(old), Some(new)) = (old.modified, new.modified) {
        compare("mtime", json!(time(old)), json!(time(new)));
    }
    let names = old.xattrs.keys().chain(new.xattrs.keys().filter(|name| !old.xattrs.contains_key(*name)));
    for name in names {
        let value = |held: &crate::source::inside::Held| held.xattrs.get(name).map_or(Value::Null, attribute);
        compare(&format!("xattr {}", raw(name)), value(old), value(new));
    }
    fields
}

fn kind(body: &Body) -> &'static str {
    match body {
        Body::File(_) => "file",
        Body::Directory | Body::Implied => "directory",
        Body::Link(_) => "symlink",
        Body::Lower(_) => "hardlink",
        Body::Character(..) => "character-device",
        Body::Block(..) => "block-device",
        Body::Fifo => "fifo",
    }
}

fn target(body: &Body) -> Value {
    if let Body::Link(target) = body { json!(raw(target)) } else { Value::Null }
}

fn device(body: &Body) -> Value {
    match body {
        Body::Character(major, minor) | Body::Block(major, minor) => json!(format!("{major},{minor}")),
        _ => Value::Null,
    }
}

/// A time as RFC 3339, with as many digits of a second as it has; as a count of seconds where no calendar reaches.
pub fn time((seconds, nanos): (i64, u32)) -> String {
    if !(-FAR..FAR).contains(&seconds) {
        return format!("@{seconds}");
    }
    let whole = rfc3339(seconds);
    match nanos {
        0 => whole,
        _ => {
            let fraction = format!("{nanos:09}");
            format!("{}.{}Z", whole.trim_end_matches('Z'), fraction.trim_end_matches('0'))
        }
    }
}

/// The value of an extended attribute: hex digits, or the digest of a long one.
pub fn attribute(value: &Attribute) -> Value {
    match value {
        Attribute::Value(bytes) => json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        Attribute::Digest(digest) => json!(digest),
    }
}
