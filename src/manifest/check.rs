//! Stage 1: the manifest's grammar, checked. A TOML text in, its tree and every mistake of spelling, kind and syntax out. Pure.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::unknown::unknown;
use super::grammar::workspace::WORKSPACE;
use super::grammar::{Key, Kind, MANIFEST, Table, nearest};
use super::written::{mode, place_of};
use crate::error::{Finding, Place, Report, Text, printable};

mod rule;
mod unknown;

/// Parses the text and checks it against the grammar; the tree holds whatever could be understood.
pub fn parse<'a>(text: &'a Arc<Text>, report: &mut Report) -> Spanned<DeTable<'a>> {
    member(text, false, report)
}

/// The same for a member of a workspace, whose defaults may hold a base.
pub fn member<'a>(text: &'a Arc<Text>, based: bool, report: &mut Report) -> Spanned<DeTable<'a>> {
    let (tree, syntax) = DeTable::parse_recoverable(&text.text);
    let based = based || defaults(tree.get_ref()).is_some_and(has_base);
    let mut check = Check { text, report, broken: !syntax.is_empty(), based };
    check.text(&syntax, tree.get_ref());
    check.table(tree.get_ref(), &MANIFEST, &place_of(text, 0..0));
    tree
}

/// Parses the root of a workspace for one of its members, and checks no more than the defaults.
pub fn root<'a>(text: &'a Arc<Text>, report: &mut Report) -> Spanned<DeTable<'a>> {
    let (tree, syntax) = DeTable::parse_recoverable(&text.text);
    let mut check = Check { text, report, broken: !syntax.is_empty(), based: false };
    check.text(&syntax, tree.get_ref());
    let (key, place) = (WORKSPACE.key("defaults"), place_of(text, 0..0));
    let value = tree.get_ref().get("workspace").and_then(|value| value.get_ref().as_table()?.get("defaults"));
    if let (Some(key), Some(value)) = (key, value) {
        check.value(key, value, &place);
    }
    tree
}

/// The defaults of a workspace's root.
pub fn defaults<'t, 'a>(root: &'t DeTable<'a>) -> Option<&'t DeTable<'a>> {
    root.get("workspace")?.get_ref().as_table()?.get("defaults")?.get_ref().as_table()
}

/// Whether an image is not without a base where it names none.
pub fn has_base(defaults: &DeTable<'_>) -> bool {
    let image = defaults.get("image").and_then(|value| value.get_ref().as_table());
    // A key that was probably meant to be it is told where it stands.
    let named = |key: &str| nearest(key, ["base"].into_iter()).is_some();
    image.is_some_and(|image| image.keys().any(|key| named(key.get_ref())))
}

struct Check<'a, 'r> {
    text: &'a Arc<Text>,
    report: &'r mut Report,
    /// With syntax errors a key may only seem to be missing.
    broken: bool,
    /// A workspace has a base for those that name none.
    based: bool,
}

impl Check<'_, '_> {
    /// What is wrong with the text as such.
    fn text(&mut self, syntax: &[toml::de::Error], tree: &DeTable<'_>) {
        if let Some(at) = self.text.text.find('\0') {
            self.report.add(
                Finding::error("syntax", "the file holds a NUL byte")
                    .at(&place_of(self.text, at..at + 1), "here")
                    .help("is it a text file? TOML allows no control characters"),
            );
        } else {
            self.syntax(syntax, tree);
        }
    }

    /// The first error of each line; what follows on a line is mostly its echo.
    fn syntax(&mut self, errors: &[toml::de::Error], tree: &DeTable<'_>) {
        let mut lines = std::collections::BTreeSet::new();
        for error in errors {
            let place = place_of(self.text, error.span().unwrap_or(0..0));
            if !lines.insert(place.line_column().0) {
                continue;
            }
            let message = error.message();
            let finding = |message: &str| Finding::error("syntax", printable(message)).at(&place, "");
            let deep = message.contains("recurse") || message.contains("recursion");
            self.report.add(match message {
                _ if deep => finding("tables and lists are nested deeper than the limit of 80"),
                "duplicate key" => self.twice(&place, tree),
                _ if message.contains("must be quoted") => {
                    finding("a string must stand in quotes").help("as in `\"text\"`")
                }
                _ if message.contains("basic string, expected `\"`") => {
                    finding("the string has no closing quote").help("a text of several lines stands between `\"\"\"`")
                }
                _ => finding(message),
            });
            if deep {
                break;
            }
        }
    }

    /// A key or table that stands twice, with the first one.
    fn twice(&self, place: &Place, tree: &DeTable<'_>) -> Finding {
        let name = self.text.text[place.span.clone()].trim_matches(['"', '\'']);
        let finding = Finding::error("syntax", format!("`{}` stands here for the second time", printable(name)))
            .at(place, "")
            .help("a key or table stands once; `[[name]]` begins one more entry of a list of tables");
        match before(tree, name, place.span.start) {
            Some(first) => finding.and(&place_of(self.text, first), "the first one is here"),
            None => finding,
        }
    }

    fn table(&mut self, tree: &DeTable<'_>, grammar: &'static Table, header: &Place) {
        for (key, value) in tree {
            let name = key.get_ref().as_ref();
            let place = place_of(self.text, key.span());
            match grammar.key(name) {
                Some(key) => self.value(key, value, &place),
                None => self.report.add(unknown(name, &place, grammar)),
            }
        }
        let misspelt = |key: &Key| {
            let meant = |name: &str| grammar.key(name).is_none() && grammar.nearest(name) == Some(key.name);
            tree.keys().any(|name| meant(name.get_ref()))
        };
        // The root of a workspace need not be an image itself, and may have a base for its members.
        let spared = |key: &Key| match key.name {
            "image" => tree.contains_key("workspace") || self.based,
            "base" => self.based,
            _ => false,
        };
        let missing = |key: &&Key| key.required && !spared(key) && !tree.contains_key(key.name) && !misspelt(key);
        for key in grammar.keys.iter().filter(missing).filter(|_| !self.broken) {
            let what = match key.kind {
                Kind::Table(table) => format!("the table `[{}]` is missing", table.name),
                _ => format!("the key `{}` is missing", key.name),
            };
            let example = match key.name {
                "schema" => "add `schema = 1` at the top".to_string(),
                "image" => "add `[image]` with at least `base = \"…\"`".to_string(),
                "base" => "add `base = \"scratch\"`, or an image by digest: `base = \"name:tag@sha256:…\"`".to_string(),
                name => format!("add `{name} = …`: {}", first_sentence(key.about)),
            };
            self.report.add(Finding::error("missing-key", what).at(header, "").help(example));
        }
    }

    fn value(&mut self, key: &'static Key, value: &Spanned<DeValue<'_>>, name: &Place) {
        let place = place_of(self.text, value.span());
        match (&key.kind, value.get_ref()) {
            (Kind::Text, DeValue::String(_)) | (Kind::Bool, DeValue::Boolean(_)) => {}
            (Kind::TextOrList, DeValue::String(_)) => {}
            (Kind::TextOrList, DeValue::Array(items)) => self.list(key.name, items, true, &place),
            (Kind::List { some }, DeValue::Array(items)) => self.list(key.name, items, *some, &place),
            (Kind::OneOf(words), DeValue::String(word)) => self.word(key, words, word, &place),
            (Kind::WordOrFalse(only), DeValue::String(word)) => self.word(key, &[only], word, &place),
            (Kind::WordOrFalse(_), DeValue::Boolean(false)) => {}
            (Kind::Number { least, most }, DeValue::Integer(number)) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                if !number.is_some_and(|number| (*least..=*most).contains(&number)) {
                    let mut finding = Finding::error(
                        "value",
                        format!("`{}` cannot be {}", key.name, &self.text.text[place.span.clone()]),
                    )
                    .at(&place, format!("expected {}", key.kind.expects()));
                    if ["schema", "format"].contains(&key.name) && number.is_none_or(|number| number > *most) {
                        finding = finding.help("a newer manifest needs a newer stillframe");
                    }
                    self.report.add(finding);
                }
            }
            (Kind::Mode, given) => self.mode(key.name, given, &place),
            (Kind::Table(grammar), DeValue::Table(tree)) => {
                self.table(tree, grammar, if tree.is_empty() { name } else { &place });
            }
            (Kind::Tables(grammar), DeValue::Array(items)) => {
                for item in items.iter() {
                    let place = place_of(self.text, item.span());
                    match item.get_ref() {
                        DeValue::Table(tree) => {
                            self.table(tree, grammar, &place);
                            self.reason(key.name, tree, &place);
                        }
                        other => self.wrong_kind(key.name, &key.kind, other, &place),
                    }
                }
            }
            (Kind::Map { levels }, DeValue::Table(tree)) => self.map(tree, levels),
            (Kind::Env, DeValue::Table(tree)) => self.env(tree),
            (Kind::Named(grammar), DeValue::Table(tree)) => self.named(tree, grammar),
            (Kind::Rule(rule), given) => self.rule(key, *rule, given, &place),
            (kind, other) => self.wrong_kind(key.name, kind, other, &place),
        }
    }

    fn word(&mut self, key: &Key, words: &[&str], word: &str, place: &Place) {
        if words.contains(&word) {
            return;
        }
        let mut finding = Finding::error("value", format!("`{}` cannot be `{}`", key.name, printable(word)))
            .at(place, format!("expected {}", key.kind.expects()));
        if let Some(near) = nearest(word, words.iter().copied()) {
            finding = finding.help(format!("did you mean \"{near}\"?"));
        }
        self.report.add(finding);
    }

    fn named(&mut self, tree: &DeTable<'_>, grammar: &'static Table) {
        for (key, value) in tree {
            let DeValue::Table(inner) = value.get_ref() else {
                let what = article(value.get_ref());
                self.report.add(
                    Finding::error("type", format!("a {} is a table, not {what}", grammar.name))
                        .at(&place_of(self.text, value.span()), "")
                        .help(format!(
                            "write `{} = {{ from = \"env:NAME\", default = \"…\" }}`",
                            printable(key.get_ref())
                        )),
                );
                continue;
            };
            self.table(inner, grammar, &place_of(self.text, key.span()));
        }
    }

    fn wrong_kind(&mut self, key: &str, kind: &Kind, given: &DeValue<'_>, place: &Place) {
        let mut finding = Finding::error("type", format!("`{key}` cannot be {}", article(given)))
            .at(place, format!("expected {}", kind.expects()));
        let raw = printable(&self.text.text[place.span.clone()]);
        let help = match (kind, given) {
            (Kind::List { .. }, DeValue::String(text)) if ["entrypoint", "cmd"].contains(&key) => {
                let words: Vec<String> =
                    text.split_whitespace().map(|word| format!("\"{}\"", printable(word))).collect();
                format!("write `{key} = [{}]`; no shell takes it apart", words.join(", "))
            }
            (Kind::List { .. }, DeValue::String(_)) => format!("write `{key} = [{raw}]`"),
            (Kind::Text | Kind::TextOrList, DeValue::Integer(_) | DeValue::Float(_)) => {
                format!("write `{key} = \"{raw}\"`")
            }
            (Kind::Number { .. }, DeValue::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("write `{key} = {}`", printable(text))
            }
            (Kind::Tables(table), DeValue::Table(_)) => {
                format!("write `[[{}]]` with two brackets; each one begins an entry", table.name)
            }
            (Kind::Map { .. } | Kind::Env | Kind::Named(_), DeValue::Array(_)) => {
                format!("write `[{key}]`, and below it one line for each, as in `NAME = \"value\"`")
            }
            (Kind::Table(_), DeValue::String(_)) if key == "base" => {
                format!("write `base = {raw}` below `[image]`")
            }
            (Kind::Table(_), _) => format!("write `[{key}]`, and its keys below it"),
            _ => return self.report.add(finding),
        };
        finding = finding.help(help);
        self.report.add(finding);
    }

    fn list(&mut self, key: &str, items: &toml::de::DeArray<'_>, some: bool, place: &Place) {
        if some && items.is_empty() && !self.broken {
            let mut finding = Finding::error("empty", format!("`{key}` is empty")).at(place, "expected at least one");
            if ["entrypoint", "cmd"].contains(&key) {
                finding = finding
                    .help(format!("leave the key out to keep the base's, or write `unset = [\"{key}\"]` to drop it"));
            }
            self.report.add(finding);
        }
        for item in items.iter().filter(|item| !item.get_ref().is_str()) {
            let place = place_of(self.text, item.span());
            let given = item.get_ref();
            let mut finding = Finding::error("type", format!("`{key}` holds strings, not {}", article(given)))
                .at(&place, "expected a string");
            if given.is_integer() {
                finding = finding.help(format!("write `\"{}\"`", printable(&self.text.text[place.span.clone()])));
            }
            self.report.add(finding);
        }
    }

    fn mode(&mut self, key: &str, given: &DeValue<'_>, place: &Place) {
        if mode(given).is_some() {
            return;
        }
        let finding = Finding::error("mode", format!("`{key}` is not a mode"))
            .at(place, "expected four octal digits in quotes, or an octal number");
        let help = match given {
            DeValue::Integer(number) if number.radix() == 10 => {
                let digits = number.as_str().trim_start_matches('0');
                let octal = digits.len() <= 4 && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
                let digits = match digits {
                    "" => "0000".into(),
                    _ if octal => format!("{digits:0>4}"),
                    _ => "0755".into(),
                };
                let short = if digits == "0000" { "0" } else { digits.trim_start_matches('0') };
                format!("write \"{digits}\" or 0o{short}; a bare number is decimal")
            }
            DeValue::String(text) => match text.trim_start_matches("0o").trim_start_matches('0') {
                digits
                    if (1..=4).contains(&digits.len())
                        && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) =>
                {
                    format!("write \"{digits:0>4}\"")
                }
                _ => "write it as in \"0755\" or 0o755; the first digit is for setuid (4), setgid (2) and sticky (1)"
                    .into(),
            },
            _ => "write it as in \"0755\" or 0o755".into(),
        };
        self.report.add(finding.help(help));
    }

    fn map(&mut self, tree: &DeTable<'_>, levels: &[&str]) {
        for (key, value) in tree {
            match value.get_ref() {
                DeValue::String(_) => {}
                DeValue::Table(inner) if levels.contains(&key.get_ref().as_ref()) => self.map(inner, &[]),
                other => {
                    let mut finding =
                        Finding::error("type", format!("`{}` cannot be {}", printable(key.get_ref()), article(other)))
                            .at(&place_of(self.text, value.span()), "expected a string");
                    if other.is_table() {
                        finding =
                            finding.help("put a key that holds dots in quotes, as in `\"org.example.key\" = \"…\"`");
                    }
                    self.report.add(finding);
                }
            }
        }
    }

    fn env(&mut self, tree: &DeTable<'_>) {
        for (key, value) in tree {
            let place = place_of(self.text, value.span());
            let ok = match value.get_ref() {
                DeValue::String(_) => true,
                DeValue::Table(inner) => {
                    inner.len() == 1
                        && inner.iter().all(|(how, value)| {
                            ["prepend", "append"].contains(&how.get_ref().as_ref()) && value.get_ref().is_str()
                        })
                }
                _ => false,
            };
            if !ok {
                let name = printable(key.get_ref());
                let mut finding = Finding::error("type", format!("`{name}` cannot be {}", article(value.get_ref())))
                    .at(&place, "expected a string, `{ prepend = \"…\" }` or `{ append = \"…\" }`");
                if value.get_ref().is_integer() {
                    finding = finding.help(format!("write `\"{}\"`", printable(&self.text.text[place.span.clone()])));
                }
                self.report.add(finding);
            }
        }
    }
}

/// The last key of this name before `end`, in the tree and below.
fn before(tree: &DeTable<'_>, name: &str, end: usize) -> Option<std::ops::Range<usize>> {
    let inner = |value: &DeValue<'_>| match value {
        DeValue::Table(inner) => before(inner, name, end),
        DeValue::Array(items) => {
            items.iter().filter_map(|item| before(item.get_ref().as_table()?, name, end)).max_by_key(|span| span.start)
        }
        _ => None,
    };
    let own = |key: &Spanned<std::borrow::Cow<'_, str>>| (key.get_ref() == name).then(|| key.span());
    let all = tree.iter().flat_map(|(key, value)| own(key).into_iter().chain(inner(value.get_ref())));
    all.filter(|span| span.start < end).max_by_key(|span| span.start)
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "this table",
    }
}

fn first_sentence(text: &str) -> String {
    let sentence = text.split(". ").next().unwrap_or(text).trim_end_matches('.');
    let mut characters = sentence.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}
