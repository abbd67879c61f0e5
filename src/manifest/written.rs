//! Stage 1: the manifest as it is written: values with their places, nothing interpreted. A checked TOML tree in, plain structs out. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::grammar;
use crate::error::{Place, Text};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Spot<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// What stands under each rule, by the rule's key.
pub type Rules = Vec<(Spot<String>, Ruled)>;

/// The whole file.
pub struct Written {
    /// The declared variables.
    pub vars: Vec<Var>,
    /// `[image]`.
    pub image: View,
    /// `[healthcheck]`.
    pub healthcheck: Option<View>,
    /// `[base.verify]`.
    pub verify: Option<View>,
    /// `[sign]`.
    pub sign: Option<View>,
    /// `[attest]`.
    pub attest: View,
    /// `[tags]`.
    pub tags: Option<View>,
    /// `[check]`: its header, and what stands under each rule, in the order of the file.
    pub check: Option<(Place, Rules)>,
    /// `[check.vulnerabilities]`, and each `[[check.vulnerabilities.allow]]`.
    pub vulnerabilities: Option<(View, Vec<View>)>,
    /// `[env]`.
    pub env: Vec<(Spot<String>, Env)>,
    /// `[labels]`.
    pub labels: Vec<(Spot<String>, Spot<String>)>,
    /// `[annotations]`, each for a level or for all.
    pub annotations: Vec<(Option<&'static str>, Spot<String>, Spot<String>)>,
    /// The tables of `[packages]`, each with its name and its sources.
    pub packages: Vec<(&'static str, View, Vec<View>)>,
    /// All entries in the order of the file, each with the name of its table.
    pub items: Vec<(&'static str, View)>,
}

/// What stands under a rule of `[check]`; a list of tables gives several.
pub enum Ruled {
    /// A level or a size.
    Word(Spot<String>),
    /// A number.
    Number(Spot<i64>),
    /// A list of strings.
    Words(Spot<Vec<Spot<String>>>),
    /// A table.
    Table(View),
}

/// A variable's declaration.
pub struct Var {
    /// Its name.
    pub name: Spot<String>,
    /// Its keys.
    pub view: View,
}

/// A value of `[env]`.
pub enum Env {
    /// Replaces the base's.
    Set(Spot<String>),
    /// Joins the base's in front.
    Prepend(Spot<String>),
    /// Joins the base's behind.
    Append(Spot<String>),
}

/// One table of the file: its keys by name. A key of a wrong type is absent; the checker has reported it.
pub struct View {
    /// The table's header.
    pub place: Place,
    texts: BTreeMap<String, Spot<String>>,
    lists: BTreeMap<String, Spot<Vec<Spot<String>>>>,
    numbers: BTreeMap<String, Spot<i64>>,
    bools: BTreeMap<String, Spot<bool>>,
    modes: BTreeMap<String, Spot<u16>>,
}

impl View {
    /// The string under this key.
    pub fn text(&self, key: &str) -> Option<&Spot<String>> {
        self.texts.get(key)
    }

    /// The list of strings under this key, if it is there.
    pub fn list(&self, key: &str) -> Option<&Spot<Vec<Spot<String>>>> {
        self.lists.get(key)
    }

    /// The number under this key.
    pub fn number(&self, key: &str) -> Option<&Spot<i64>> {
        self.numbers.get(key)
    }

    /// Whether the key is there and `true`.
    pub fn is(&self, key: &str) -> bool {
        self.flag(key).unwrap_or(false)
    }

    /// What is said under this key, if it is `true` or `false`.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.bools.get(key).map(|spot| spot.value)
    }

    /// The permission bits under this key.
    pub fn mode(&self, key: &str) -> Option<&Spot<u16>> {
        self.modes.get(key)
    }

    /// The keys that are there, each with its place.
    pub(super) fn keys(&self) -> BTreeMap<&str, &Place> {
        let texts = self.texts.iter().map(|(key, spot)| (key.as_str(), &spot.place));
        let lists = self.lists.iter().map(|(key, spot)| (key.as_str(), &spot.place));
        let numbers = self.numbers.iter().map(|(key, spot)| (key.as_str(), &spot.place));
        let bools = self.bools.iter().map(|(key, spot)| (key.as_str(), &spot.place));
        let modes = self.modes.iter().map(|(key, spot)| (key.as_str(), &spot.place));
        texts.chain(lists).chain(numbers).chain(bools).chain(modes).collect()
    }

    /// These keys, and those of the other table that are not among them.
    pub(super) fn over(mut self, other: View) -> View {
        let own: BTreeSet<String> = self.keys().into_keys().map(str::to_string).collect();
        let lacks = |key: &str| !own.contains(key);
        self.texts.extend(other.texts.into_iter().filter(|(key, _)| lacks(key)));
        self.lists.extend(other.lists.into_iter().filter(|(key, _)| lacks(key)));
        self.numbers.extend(other.numbers.into_iter().filter(|(key, _)| lacks(key)));
        self.bools.extend(other.bools.into_iter().filter(|(key, _)| lacks(key)));
        self.modes.extend(other.modes.into_iter().filter(|(key, _)| lacks(key)));
        self
    }

    pub(super) fn of(text: &Arc<Text>, place: Place, table: &DeTable<'_>) -> View {
        let (mut texts, mut lists, mut numbers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut bools, mut modes) = (BTreeMap::new(), BTreeMap::new());
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let at = place_of(text, value.span());
            if let Some(mode) = mode(value.get_ref()) {
                modes.insert(name.clone(), Spot { value: mode, place: at.clone() });
            }
            match value.get_ref() {
                DeValue::String(string) => drop(texts.insert(name, Spot { value: unified(string, &at), place: at })),
                DeValue::Boolean(yes) => drop(bools.insert(name, Spot { value: *yes, place: at })),
                DeValue::Integer(integer) => {
                    if let Ok(value) = i64::from_str_radix(integer.as_str(), integer.radix()) {
                        numbers.insert(name, Spot { value, place: at });
                    }
                }
                DeValue::Array(array) => {
                    let items = array.iter().filter_map(|item| {
                        let place = place_of(text, item.span());
                        Some(Spot { value: unified(item.get_ref().as_str()?, &place), place })
                    });
                    lists.insert(name, Spot { value: items.collect(), place: at });
                }
                _ => {}
            }
        }
        View { place, texts, lists, numbers, bools, modes }
    }
}

/// The permission bits that a value stands for: a string of four octal digits or an octal integer.
pub fn mode(value: &DeValue<'_>) -> Option<u16> {
    let bits = match value {
        DeValue::String(text) if text.len() == 4 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) => {
            u16::from_str_radix(text, 8).ok()?
        }
        DeValue::Integer(integer) if integer.radix() == 8 => u16::from_str_radix(integer.as_str(), 8).ok()?,
        _ => return None,
    };
    (bits <= 0o7777).then_some(bits)
}

/// A string as it is meant: line ends of the file itself are `\n`, so that a checkout with `\r\n` says the same.
fn unified(value: &str, place: &Place) -> String {
    let raw = &place.text.text[place.span.clone()];
    if raw.contains("\r\n") { value.replace("\r\n", "\n") } else { value.to_string() }
}

/// A key as it would be written.
pub fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.bytes().all(bare) { name.to_string() } else { format!("\"{}\"", name.escape_debug()) }
}

/// A place in the text, moved to character boundaries.
pub fn place_of(text: &Arc<Text>, span: std::ops::Range<usize>) -> Place {
    let fit = |mut at: usize| {
        at = at.min(text.text.len());
        while !text.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    Place { text: text.clone(), span: fit(span.start)..fit(span.end) }
}

/// Takes the whole tree apart.
pub fn read(text: &Arc<Text>, root: &DeTable<'_>) -> Written {
    let table = |name: &str| root.get(name).and_then(|value| value.get_ref().as_table());
    let shown = |value: &toml::Spanned<DeValue<'_>>| {
        Some(View::of(text, place_of(text, value.span()), value.get_ref().as_table()?))
    };
    let whole = |name: &str| root.get(name).and_then(shown);
    let view = |name: &str| whole(name).unwrap_or_else(|| View::of(text, place_of(text, 0..0), &DeTable::default()));
    let vars = table("vars").into_iter().flat_map(DeTable::iter).filter_map(|(key, value)| {
        let name = Spot { value: key.get_ref().to_string(), place: place_of(text, key.span()) };
        let view = View::of(text, name.place.clone(), value.get_ref().as_table()?);
        Some(Var { name, view })
    });
    Written {
        vars: vars.collect(),
        image: view("image"),
        healthcheck: whole("healthcheck"),
        verify: table("base").and_then(|base| base.get("verify")).and_then(shown),
        sign: whole("sign"),
        attest: view("attest"),
        tags: whole("tags"),
        check: root
            .get("check")
            .and_then(|value| Some((place_of(text, value.span()), rules(text, value.get_ref().as_table()?)))),
        vulnerabilities: table("check").and_then(|check| {
            let value = check.get("vulnerabilities")?;
            let allow = value.get_ref().as_table()?.get("allow").and_then(|allow| allow.get_ref().as_array());
            let allow = allow.into_iter().flat_map(|items| items.iter());
            Some((shown(value)?, allow.filter_map(shown).collect()))
        }),
        env: table("env").map(|table| env(text, table)).unwrap_or_default(),
        labels: table("labels").map(|table| pairs(text, table)).unwrap_or_default(),
        annotations: table("annotations").map(|table| annotations(text, table)).unwrap_or_default(),
        packages: table("packages").map(|table| packages(text, table)).unwrap_or_default(),
        items: items(text, root),
    }
}

/// What stands under the rules, in the order of the file.
fn rules(text: &Arc<Text>, table: &DeTable<'_>) -> Vec<(Spot<String>, Ruled)> {
    let whole = View::of(text, place_of(text, 0..0), table);
    let mut rules = Vec::new();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let spot = Spot { value: name.to_string(), place: place_of(text, key.span()) };
        let of = |value: &toml::Spanned<DeValue<'_>>| {
            Some(Ruled::Table(View::of(text, place_of(text, value.span()), value.get_ref().as_table()?)))
        };
        let tables: Vec<Ruled> = match value.get_ref() {
            DeValue::Array(items) => items.iter().filter_map(of).collect(),
            _ => of(value).into_iter().collect(),
        };
        let lone =
            whole.text(name).cloned().map(Ruled::Word).or_else(|| whole.number(name).cloned().map(Ruled::Number));
        let lone = lone.or_else(|| whole.list(name).cloned().map(Ruled::Words)).filter(|_| tables.is_empty());
        rules.extend(tables.into_iter().chain(lone).map(|ruled| (spot.clone(), ruled)));
    }
    rules.sort_by_key(|(key, _)| key.place.span.start);
    rules
}

fn packages(text: &Arc<Text>, table: &DeTable<'_>) -> Vec<(&'static str, View, Vec<View>)> {
    let view = |value: &toml::Spanned<DeValue<'_>>, name: std::ops::Range<usize>| {
        let inner = value.get_ref().as_table()?;
        let span = if value.span().is_empty() { name } else { value.span() };
        Some(View::of(text, place_of(text, span), inner))
    };
    let family = |name: &'static str| {
        let (key, value) = table.get_key_value(name)?;
        let sources = value.get_ref().as_table()?.get("source").and_then(|value| value.get_ref().as_array());
        let sources = sources.into_iter().flat_map(|array| array.iter()).filter_map(|item| view(item, item.span()));
        Some((name, view(value, key.span())?, sources.collect()))
    };
    ["debian", "alpine"].into_iter().filter_map(family).collect()
}

fn pairs(text: &Arc<Text>, table: &DeTable<'_>) -> Vec<(Spot<String>, Spot<String>)> {
    let pair = table.iter().filter_map(|(key, value)| {
        let name = Spot { value: key.get_ref().to_string(), place: place_of(text, key.span()) };
        let place = place_of(text, value.span());
        let value = Spot { value: unified(value.get_ref().as_str()?, &place), place };
        Some((name, value))
    });
    pair.collect()
}

fn env(text: &Arc<Text>, table: &DeTable<'_>) -> Vec<(Spot<String>, Env)> {
    let mut all: Vec<_> = pairs(text, table).into_iter().map(|(name, value)| (name, Env::Set(value))).collect();
    for (key, value) in table {
        let Some(inner) = value.get_ref().as_table() else { continue };
        let name = Spot { value: key.get_ref().to_string(), place: place_of(text, key.span()) };
        for (how, value) in pairs(text, inner) {
            match how.value.as_str() {
                "prepend" => all.push((name.clone(), Env::Prepend(value))),
                "append" => all.push((name.clone(), Env::Append(value))),
                _ => {}
            }
        }
    }
    all
}

fn annotations(text: &Arc<Text>, table: &DeTable<'_>) -> Vec<(Option<&'static str>, Spot<String>, Spot<String>)> {
    let mut all: Vec<_> = pairs(text, table).into_iter().map(|(key, value)| (None, key, value)).collect();
    for level in ["index", "manifest"] {
        if let Some(inner) = table.get(level).and_then(|value| value.get_ref().as_table()) {
            all.extend(pairs(text, inner).into_iter().map(|(key, value)| (Some(level), key, value)));
        }
    }
    all
}

fn items(text: &Arc<Text>, root: &DeTable<'_>) -> Vec<(&'static str, View)> {
    let mut all = Vec::new();
    for (name, table) in grammar::tables() {
        if let Some((key, value)) = root.get_key_value(name).filter(|_| grammar::SINGLE.contains(&name))
            && let Some(inner) = value.get_ref().as_table()
        {
            all.push((table.name, View::of(text, place_of(text, key.span()), inner)));
        }
        let Some(array) = root.get(name).and_then(|value| value.get_ref().as_array()) else { continue };
        for item in array.iter() {
            if let Some(inner) = item.get_ref().as_table() {
                all.push((table.name, View::of(text, place_of(text, item.span()), inner)));
            }
        }
    }
    all.sort_by_key(|(_, view)| view.place.span.start);
    all
}
