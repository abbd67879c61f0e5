//! Between stages 1 and 2: what the importers of YAML share: a document in, a draft with its comments and findings in the making. Pure.

use std::ops::Range;
use std::sync::Arc;

use super::Import;
use super::draft::{Draft, Remarks, Section};
use super::value::{escape, list, quoted};
use super::yaml::{Node, Pair, Shape};
use crate::error::{Finding, Place, Report, Text, printable};
use crate::manifest::words as rules;
use crate::oci::Platform;

/// Most ports of one range that are written one by one.
const MOST_PORTS: u32 = 64;

/// A manifest that is made of a YAML document.
pub struct Sheet<'a> {
    text: &'a Arc<Text>,
    /// The manifest so far.
    pub draft: Draft,
    /// What was not carried over so far.
    pub report: Report,
    /// Whether `${name}` stands for a value from outside.
    open: bool,
}

impl<'a> Sheet<'a> {
    /// An empty one.
    pub fn new(text: &'a Arc<Text>, open: bool) -> Sheet<'a> {
        let mut sheet = Sheet { text, draft: Draft::default(), report: Report::default(), open };
        sheet.draft.head = vec![
            format!(
                "Made from {} by `stillframe init`. What could not be carried over stands as a comment at its place.",
                sheet.name()
            ),
            "Next: `stillframe update` pins what is fetched, `stillframe check` shows what is left to do.".into(),
        ];
        sheet
    }

    fn name(&self) -> String {
        printable(self.text.path.rsplit('/').next().unwrap_or_default())
    }

    /// The lines of a part as they stand, the first behind its place.
    pub fn original(&self, span: &Range<usize>) -> Remarks {
        let text = &self.text.text;
        let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at);
        let number = text[..start].matches('\n').count() + 1;
        let mut lines = text[start..end].lines();
        let mut remarks = vec![format!("{}:{number}: {}", self.name(), lines.next().unwrap_or_default())];
        remarks.extend(lines.map(|line| format!("    {line}")));
        remarks
    }

    /// The comments right above a part.
    pub fn above(&self, span: &Range<usize>) -> Remarks {
        let text = &self.text.text;
        let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let lines = text[..start].lines().rev().map(str::trim).take_while(|line| line.starts_with('#'));
        let mut lines: Remarks = lines.map(|line| line.trim_start_matches('#').trim().to_string()).collect();
        lines.reverse();
        lines
    }

    /// Tells that a part is not carried over; the comment for its place.
    pub fn left(&mut self, span: &Range<usize>, why: &str, advice: &str) -> Remarks {
        let first = self.text.text[span.clone()].lines().next().unwrap_or_default().trim_end().len();
        let place = Place { text: self.text.clone(), span: span.start..span.start + first };
        self.report.add(Finding::warning("not-carried", printable(why)).at(&place, "").help(advice));
        let mut remarks = self.above(span);
        remarks.extend(self.original(span));
        remarks.push(format!("  not carried over: {why}"));
        remarks.push(format!("  instead: {advice}"));
        remarks
    }

    /// The same between the keys of `[image]`.
    pub fn left_in_image(&mut self, pair: &Pair, why: &str, advice: &str) {
        let remarks = self.left(&pair.span, why, advice);
        self.draft.image.remark(remarks);
    }

    /// The same between the entries.
    pub fn left_in_body(&mut self, span: &Range<usize>, why: &str, advice: &str) {
        let remarks = self.left(span, why, advice);
        self.draft.remark(remarks);
    }

    /// Keeps the comments right above a part that becomes nothing by itself.
    pub fn note(&mut self, span: &Range<usize>) {
        let remarks = self.above(span);
        if !remarks.is_empty() {
            self.draft.remark(remarks);
        }
    }

    /// Tells of a key that the tool's documentation does not have.
    pub fn unknown(&mut self, pair: &Pair, tool: &str) {
        let why = format!("`{}` is no key of {tool} that is known here", printable(&pair.key));
        self.left_in_body(&pair.span, &why, "look whether the image needs what it says, and write that down");
    }

    /// Tells of a value that is not of the kind that its key takes.
    pub fn odd(&mut self, pair: &Pair, wanted: &str) {
        let why = format!("the value of `{}` is not {wanted}", printable(&pair.key));
        self.left_in_body(&pair.span, &why, "write what was meant into the manifest");
    }

    /// A text as a string of the manifest, not yet quoted.
    pub fn string(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${").filter(|_| self.open) {
            let Some(length) = rest[at..].find('}') else { break };
            let name = &rest[at + 2..at + length];
            let plain: String = name.chars().map(|one| if one.is_ascii_alphanumeric() { one } else { '_' }).collect();
            let fine = plain.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            let fine = fine && !["git", "platform"].contains(&plain.as_str());
            out += &escape(&rest[..at], true);
            match fine {
                true => {
                    out += &format!("{{{{ {plain} }}}}");
                    self.draft.vars.insert(plain, None);
                }
                false => out += &escape(&rest[at..=at + length], true),
            }
            rest = &rest[at + length + 1..];
        }
        out + &escape(rest, false)
    }

    /// Whether a text has a value from outside in it, so that no rule can be asked.
    fn is_open(&self, text: &str) -> bool {
        self.open && text.contains("${")
    }

    /// A key of `[image]` that is one text.
    pub fn one(&mut self, pair: &Pair, key: &str, fits: impl Fn(&str) -> bool) {
        match pair.node.scalar() {
            Some(text) if self.is_open(text) || fits(text) => {
                let value = quoted(&self.string(text));
                let remarks = self.above(&pair.span);
                self.draft.image.set(key, value, remarks);
            }
            Some(text) => {
                let why = format!("`{}` is nothing that `{key}` takes", printable(text));
                self.left_in_image(pair, &why, &format!("set `{key}` in `[image]`"));
            }
            None if pair.node.shape == Shape::Null => {}
            None => self.odd(pair, "one text"),
        }
    }

    /// A key of `[image]` that is a list of texts.
    pub fn several(&mut self, pair: &Pair, key: &str, words: &[String], fits: impl Fn(&str) -> bool) {
        if let Some(wrong) = words.iter().find(|word| !self.is_open(word) && !fits(word)) {
            let why = format!("`{}` is nothing that `{key}` takes", printable(wrong));
            return self.left_in_image(pair, &why, &format!("write `{key}` into `[image]`"));
        }
        let words: Vec<String> = words.iter().map(|word| self.string(word)).collect();
        let remarks = self.above(&pair.span);
        if !words.is_empty() {
            self.draft.image.set(key, list(&words), remarks);
        }
    }

    /// The same, where the value is a list already.
    pub fn listed(&mut self, pair: &Pair, key: &str, fits: impl Fn(&str) -> bool) {
        match pair.node.words() {
            Some(words) => self.several(pair, key, &words, fits),
            None => self.odd(pair, "a list of texts"),
        }
    }

    /// A table of texts: `[env]`, `[labels]`, `[annotations]`.
    pub fn table(&mut self, pair: &Pair, section: fn(&mut Draft) -> &mut Section) {
        let Some(pairs) = pair.node.pairs() else { return self.odd(pair, "a table") };
        let mut remarks = self.above(&pair.span);
        for one in pairs {
            if one.span.start != pair.span.start {
                remarks.extend(self.above(&one.span));
            }
            let text = match &one.node.shape {
                Shape::Scalar(text) => self.string(text),
                Shape::Null => String::new(),
                _ => {
                    self.odd(one, "one text");
                    continue;
                }
            };
            section(&mut self.draft).set(&one.key, quoted(&text), std::mem::take(&mut remarks));
        }
    }

    /// `volumes`.
    pub fn volumes(&mut self, pair: &Pair) {
        self.listed(pair, "volumes", |path| rules::absolute(path).is_ok());
    }

    /// `ports`.
    pub fn ports(&mut self, pair: &Pair) {
        let Some(words) = pair.node.words() else { return self.odd(pair, "a list of ports") };
        let ports: Vec<String> = words.iter().flat_map(|word| ports(word)).collect();
        self.several(pair, "ports", &ports, |port| rules::port(port).is_ok());
    }

    /// `platforms`, of names as `linux/arm64`.
    pub fn platforms(&mut self, pair: &Pair, names: &[String]) {
        let mut known: Vec<String> = Vec::new();
        for name in names {
            match name.parse::<Platform>() {
                Ok(platform) if !known.contains(&platform.to_string()) => known.push(platform.to_string()),
                Ok(_) => {}
                Err(_) => {
                    let why = format!("`{}` is no platform that is built for", printable(name));
                    self.left_in_image(pair, &why, "leave it out, or write one as \"linux/arm64\" into `platforms`");
                }
            }
        }
        if !known.is_empty() {
            let remarks = self.above(&pair.span);
            self.draft.image.set("platforms", list(&known), remarks);
        }
    }

    /// The user; nobody is called root in an image without accounts, and the number means the same everywhere.
    pub fn user(&mut self, pair: &Pair) {
        match pair.node.scalar() {
            Some("root" | "0" | "root:root") => {
                let remarks = self.above(&pair.span);
                self.draft.image.set("user", quoted("0:0"), remarks);
            }
            _ => self.one(pair, "user", |user| rules::who(user).is_ok()),
        }
    }

    /// A node that is a table, or is told of.
    pub fn pairs<'b>(&mut self, pair: &'b Pair) -> &'b [Pair] {
        pair.node.pairs().unwrap_or_else(|| {
            self.odd(pair, "a table");
            &[]
        })
    }

    /// A node that is a list, or is told of.
    pub fn items<'b>(&mut self, pair: &'b Pair) -> &'b [Node] {
        pair.node.items().unwrap_or_else(|| {
            self.odd(pair, "a list");
            &[]
        })
    }

    /// The manifest, with what is to be said of its user.
    pub fn finish(mut self) -> Import {
        let end = self.text.text.trim_end().len();
        let rest = self.above(&(end..end));
        let last = self.text.text[..end].lines().next_back().map(str::trim).unwrap_or_default();
        if last.starts_with('#') {
            let mut rest = rest;
            rest.push(last.trim_start_matches('#').trim().to_string());
            self.draft.remark(rest);
        }
        let user = self.draft.image.value("user").map(|user| user.trim_matches('"').to_string());
        let root = user.as_ref().is_none_or(|user| ["0", "root"].contains(&user.split(':').next().unwrap_or("")));
        if root {
            let why = match user {
                Some(_) => "The image runs as root, which is refused unless this allows it.",
                None => "No user is set; if the base sets none either, the image runs as root.",
            };
            let way = "Better: set `user` in `[image]`, and take this out.";
            self.draft.check.set("root-user", quoted("warn"), vec![why.into(), way.into()]);
        }
        Import { manifest: self.draft.write(), report: self.report.sorted() }
    }
}

/// The ports of `8080`, `53/udp` or `8000-8003`; what is none stays as it is.
fn ports(text: &str) -> Vec<String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let (first, last) = number.split_once('-').unwrap_or((number, number));
    match (first.parse::<u32>(), last.parse::<u32>()) {
        (Ok(first), Ok(last)) if first <= last && last - first < MOST_PORTS => {
            (first..=last).map(|port| format!("{port}/{protocol}")).collect()
        }
        _ => vec![text.to_string()],
    }
}

/// A mode as the manifest writes it.
pub fn mode(text: &str) -> Option<String> {
    let bits = u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok()?;
    (bits <= 0o7777).then(|| format!("{bits:04o}"))
}
