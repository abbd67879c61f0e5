//! Between stages 1 and 2: a YAML document → a tree whose every part knows where it stands. Pure.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::error::{Error, Finding, Place, Report, Result, Text, printable};

/// Most parts of one document, those that aliases repeat counted again.
const MOST_PARTS: usize = 100_000;
/// Deepest part of a document.
const DEEPEST: usize = 64;

/// What a part of a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Null,
    /// A text, a number or a truth value, as a text.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in their order.
    Map(Vec<Pair>),
}

/// A part of a document, and the bytes it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub span: Range<usize>,
    /// What it is.
    pub shape: Shape,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// From the key's first byte to the value's last.
    pub span: Range<usize>,
    /// The value.
    pub node: Node,
}

impl Node {
    /// The text of a scalar.
    pub fn scalar(&self) -> Option<&str> {
        match &self.shape {
            Shape::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The parts of a list; nothing is an empty one.
    pub fn items(&self) -> Option<&[Node]> {
        match &self.shape {
            Shape::List(items) => Some(items),
            Shape::Null => Some(&[]),
            _ => None,
        }
    }

    /// The texts of a list of scalars.
    pub fn words(&self) -> Option<Vec<String>> {
        self.items()?.iter().map(|item| item.scalar().map(String::from)).collect()
    }

    /// The keys and values of a map; nothing is an empty one.
    pub fn pairs(&self) -> Option<&[Pair]> {
        match &self.shape {
            Shape::Map(pairs) => Some(pairs),
            Shape::Null => Some(&[]),
            _ => None,
        }
    }

    /// The value of a key.
    pub fn field(&self, key: &str) -> Option<&Node> {
        self.pairs()?.iter().find(|pair| pair.key == key).map(|pair| &pair.node)
    }

    fn size(&self) -> usize {
        1 + match &self.shape {
            Shape::List(items) => items.iter().map(Node::size).sum(),
            Shape::Map(pairs) => pairs.iter().map(|pair| 1 + pair.node.size()).sum(),
            _ => 0,
        }
    }
}

/// Reads the only document of a text.
pub fn read(text: &Arc<Text>) -> Result<Node> {
    let mut reader = Reader { text, events: Vec::new(), next: 0, anchors: BTreeMap::new(), parts: 0 };
    reader.gather()?;
    let whole = 0..text.text.trim_end().len();
    if reader.events.is_empty() {
        return Ok(Node { span: whole, shape: Shape::Null });
    }
    reader.node(0)
}

struct Reader<'a> {
    text: &'a Arc<Text>,
    events: Vec<(Event<'a>, Range<usize>)>,
    next: usize,
    anchors: BTreeMap<usize, Node>,
    parts: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self, span: Range<usize>, why: impl Into<String>) -> Error {
        let mut report = Report::default();
        let place = Place { text: self.text.clone(), span };
        report.add(Finding::error("yaml", why).at(&place, ""));
        Error::findings(report)
    }

    fn gather(&mut self) -> Result<()> {
        // The parser counts characters.
        let offsets: Vec<usize> = self.text.text.char_indices().map(|(at, _)| at).collect();
        let byte = |index: usize| offsets.get(index).copied().unwrap_or(self.text.text.len());
        let mut documents = 0;
        for event in Parser::new_from_str(&self.text.text) {
            let (event, span) = event.map_err(|wrong| {
                let at = byte(wrong.marker().index());
                self.wrong(at..at, printable(wrong.info()))
            })?;
            let span = byte(span.start.index())..byte(span.end.index());
            match event {
                Event::DocumentStart(_) => documents += 1,
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => continue,
                _ if self.events.len() > 2 * MOST_PARTS => return Err(self.wrong(span, "it is too large")),
                event => {
                    self.events.push((event, span));
                    continue;
                }
            }
            if documents > 1 {
                return Err(self.wrong(span, "there are several documents in it, and one is imported"));
            }
        }
        Ok(())
    }

    fn count(&mut self, more: usize, span: &Range<usize>) -> Result<()> {
        self.parts += more;
        if self.parts > MOST_PARTS {
            return Err(self.wrong(span.clone(), format!("it has more than {MOST_PARTS} parts")));
        }
        Ok(())
    }

    fn node(&mut self, depth: usize) -> Result<Node> {
        let Some((event, span)) = self.events.get(self.next).cloned() else {
            return Err(self.wrong(0..0, "it ends too early"));
        };
        self.next += 1;
        if depth > DEEPEST {
            return Err(self.wrong(span, format!("it is nested more than {DEEPEST} deep")));
        }
        self.count(1, &span)?;
        let (node, anchor) = match event {
            Event::Scalar(value, style, anchor, _) => {
                let empty = style == ScalarStyle::Plain && ["", "~", "null", "Null", "NULL"].contains(&value.as_ref());
                let shape = if empty { Shape::Null } else { Shape::Scalar(value.into_owned()) };
                (Node { span: self.trimmed(span), shape }, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(span, depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(span, depth)?, anchor),
            Event::Alias(anchor) => {
                let Some(known) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.wrong(span, "this alias has no anchor"));
                };
                self.count(known.size(), &span)?;
                (Node { span, shape: known.shape }, 0)
            }
            _ => return Err(self.wrong(span, "this is no value")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn trimmed(&self, span: Range<usize>) -> Range<usize> {
        let length = self.text.text[span.clone()].trim_end().len();
        span.start..span.start + length
    }

    /// Where something ends that began at `start`: behind its bracket, or with its last part.
    fn end(&mut self, start: &Range<usize>, last: Option<usize>) -> Range<usize> {
        let end = self.events.get(self.next).map_or(start.end, |(_, span)| span.end);
        self.next += 1;
        match self.text.text[start.start..].starts_with(['[', '{']) {
            true => start.start..end,
            false => start.start..last.unwrap_or(start.end),
        }
    }

    fn list(&mut self, span: Range<usize>, depth: usize) -> Result<Node> {
        let mut items: Vec<Node> = Vec::new();
        while !matches!(self.events.get(self.next), Some((Event::SequenceEnd, _)) | None) {
            items.push(self.node(depth + 1)?);
        }
        let span = self.end(&span, items.last().map(|item| item.span.end));
        Ok(Node { span, shape: Shape::List(items) })
    }

    fn map(&mut self, span: Range<usize>, depth: usize) -> Result<Node> {
        let mut pairs: Vec<Pair> = Vec::new();
        while !matches!(self.events.get(self.next), Some((Event::MappingEnd, _)) | None) {
            let name = self.node(depth + 1)?;
            let key = match &name.shape {
                Shape::Scalar(key) => key.clone(),
                Shape::Null => String::new(),
                _ => return Err(self.wrong(name.span, "a key is a text")),
            };
            if pairs.iter().any(|pair| pair.key == key) {
                return Err(self.wrong(name.span, format!("`{}` stands twice", printable(&key))));
            }
            let node = self.node(depth + 1)?;
            let span = name.span.start..node.span.end.max(name.span.end);
            pairs.push(Pair { key, span, node });
        }
        let span = self.end(&span, pairs.last().map(|pair| pair.span.end));
        Ok(Node { span, shape: Shape::Map(pairs) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Arc<Text> {
        Arc::new(Text { path: "x.yaml".into(), text: text.into() })
    }

    #[test]
    fn every_part_knows_its_bytes() {
        let text = text("ü: [1, 'zwei']\nb:\n  c: |\n    x\n    y\n\n# end\nd: ~\n");
        let node = read(&text).unwrap();
        let pairs = node.pairs().unwrap();
        let written: Vec<&str> = pairs.iter().map(|pair| &text.text[pair.span.clone()]).collect();
        assert_eq!(written, ["ü: [1, 'zwei']", "b:\n  c: |\n    x\n    y", "d: ~"]);
        assert_eq!(pairs[0].node.words().unwrap(), ["1", "zwei"]);
        assert_eq!(node.field("b").unwrap().field("c").unwrap().scalar(), Some("x\ny\n"));
        assert_eq!(pairs[2].node.shape, Shape::Null);
    }

    #[test]
    fn what_is_odd_is_refused() {
        for odd in ["a: 1\na: 2\n", "a: [\n", "---\na: 1\n---\nb: 1\n", "? [a]\n: 1\n"] {
            assert!(read(&text(odd)).is_err(), "{odd}");
        }
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x]\n");
        for at in 1..12 {
            let last = format!("*a{}", at - 1);
            bomb += &format!("a{at}: &a{at} [{}]\n", [last.as_str(); 8].join(", "));
        }
        assert!(read(&text(&bomb)).is_err());
    }
}
