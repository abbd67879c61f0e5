//! Stage 1: what `[packages]` means: which packages are wished for, and who may say what they are. Written values in, checked ones
//! out. Pure.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::meant::{Image, Item, What};
use super::read::{Meaning, tidy};
use super::written::{Spot, View, Written};
use crate::error::{Error, Finding, Place, Result, printable};

/// The keyring that comes with this tool.
const SHIPPED: &str = "debian-archive";
/// What is taken from a source that does not say it.
const MAIN: &str = "main";
/// Longest name of a package in bytes.
const LONGEST_NAME: usize = 200;

/// A family of distributions: how packages are found, chosen and laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// dpkg's.
    Debian,
    /// apk's.
    Alpine,
}

impl Family {
    /// The word for it in the manifest and the lock.
    pub fn name(self) -> &'static str {
        match self {
            Family::Debian => "debian",
            Family::Alpine => "alpine",
        }
    }

    /// The name of its table.
    pub fn table(self) -> &'static str {
        match self {
            Family::Debian => "packages.debian",
            Family::Alpine => "packages.alpine",
        }
    }
}

/// What `[packages.debian]` or `[packages.alpine]` says.
#[derive(Clone, Debug)]
pub struct Packages {
    /// Which of them.
    pub family: Family,
    /// Where the packages come from, the first wins where two are alike.
    pub sources: Vec<PackageSource>,
    /// What is wished for, and where that stands.
    pub install: Vec<(Wish, Place)>,
    /// Whether what packages recommend comes along.
    pub recommends: bool,
    /// Globs of files that are left out.
    pub exclude: Vec<(String, Place)>,
    /// Where the table stands.
    pub place: Place,
}

/// One place that packages come from.
#[derive(Clone, Debug)]
pub struct PackageSource {
    /// The URL of the mirror, without a `/` at its end.
    pub mirror: String,
    /// The moment whose tree is read.
    pub snapshot: Option<String>,
    /// Suites, or the one branch.
    pub suites: Vec<String>,
    /// Components or repositories.
    pub components: Vec<String>,
    /// Who must have signed.
    pub keyring: Keyring,
    /// Whether an index may be too old.
    pub check_date: bool,
    /// Where it is declared.
    pub place: Place,
}

impl PackageSource {
    /// The URL that the tree stands below.
    pub fn root(&self) -> String {
        match &self.snapshot {
            Some(moment) => format!("{}/{moment}", self.mirror),
            None => self.mirror.clone(),
        }
    }
}

/// The keys that may have signed an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keyring {
    /// Those of Debian's archive, as they come with this tool.
    Shipped,
    /// Those in these files: the absolute path, and as it is written.
    Files(Vec<(PathBuf, String)>),
}

/// A package that is wished for, maybe in certain versions only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// `=`, `>=`, `<=`, `>`, `<` or `~`, and the version that it speaks of.
    pub version: Option<(&'static str, String)>,
}

/// The operators of a wish, longer ones first.
const OPERATORS: [&str; 6] = [">=", "<=", "=", ">", "<", "~"];

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.version.iter().try_for_each(|(operator, version)| write!(f, "{operator}{version}"))
    }
}

impl FromStr for Wish {
    type Err = Error;

    fn from_str(text: &str) -> Result<Wish> {
        let wrong = |why: &str| {
            Error::usage(format!("`{}` names no package: {why}", printable(text)))
                .hint("write \"name\", \"name=1.2-3\" or \"name>=1.2\"")
        };
        let end = text.find(['<', '>', '=', '~']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let name = name.trim_end();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(fits) {
            return Err(wrong("a name is made of letters, digits, `+`, `-`, `.` and `_`"));
        }
        let name = name.to_string();
        if rest.is_empty() {
            return Ok(Wish { name, version: None });
        }
        let operator = OPERATORS.into_iter().find(|operator| rest.starts_with(operator));
        let operator = operator.ok_or_else(|| wrong("the operators are =, >=, <=, > and <"))?;
        let version = rest[operator.len()..].trim();
        if version.is_empty()
            || version.bytes().any(|byte| !byte.is_ascii_graphic())
            || version.starts_with(['=', '>', '<'])
        {
            return Err(wrong("there is no version behind the operator"));
        }
        Ok(Wish { name, version: Some((operator, version.to_string())) })
    }
}

/// The packages, if the manifest names any. Mistakes go into the report.
pub(super) fn read(meaning: &mut Meaning, written: &Written) -> Option<Packages> {
    if let [_, (_, second, _), ..] = written.packages.as_slice() {
        meaning.report.add(
            Finding::error("packages", "an image has packages of one distribution, not of two")
                .at(&second.place, "")
                .help("keep one of `[packages.debian]` and `[packages.alpine]`; `[[copy]]` takes files out of another image"),
        );
        return None;
    }
    let (name, view, more) = written.packages.first()?;
    let family = if *name == "debian" { Family::Debian } else { Family::Alpine };
    let mut sources = Vec::new();
    let own = ["mirror", "suite", "components", "snapshot", "keyring"].iter().any(|key| has(view, key));
    if family == Family::Alpine || own || more.is_empty() {
        sources.extend(source(meaning, family, view));
    }
    let more: Vec<_> = more.iter().filter_map(|view| source(meaning, family, view)).collect();
    sources.extend(more);
    let mut install: Vec<(Wish, Place)> = Vec::new();
    for spot in view.list("install").map(|list| list.value.clone()).unwrap_or_default() {
        match meaning.parsed(&spot, "package", str::parse::<Wish>) {
            Some(wish) if install.iter().any(|(other, _)| other.name == wish.name) => meaning.report.add(
                Finding::error("conflict", format!("`{}` stands in the list twice", wish.name)).at(&spot.place, ""),
            ),
            Some(Wish { version: Some(("~", _)), .. }) if family == Family::Debian => meaning.report.add(
                Finding::error("package", "`~` is an operator of Alpine's only").at(&spot.place, "").help("write `>=`"),
            ),
            wish => install.extend(wish.map(|wish| (wish, spot.place.clone()))),
        }
    }
    Some(Packages {
        family,
        sources,
        install,
        recommends: view.flag("no-recommends") == Some(false),
        exclude: meaning.list(view, "exclude").unwrap_or_default(),
        place: view.place.clone(),
    })
}

/// The same images; the packages come before all other entries.
pub(super) fn items(mut images: Vec<Image>, packages: Option<&Packages>) -> Vec<Image> {
    let Some(packages) = packages else { return images };
    let item = Item {
        table: packages.family.table(),
        place: packages.place.clone(),
        dest: String::new(),
        into: true,
        what: What::Packages,
        mode: None,
        owner: None,
        layer: None,
        replace: false,
    };
    images.iter_mut().for_each(|image| image.items.insert(0, item.clone()));
    images
}

fn has(view: &View, key: &str) -> bool {
    view.text(key).is_some() || view.list(key).is_some()
}

/// A string or a list of them, each with its place.
fn words(view: &View, key: &str) -> Vec<Spot<String>> {
    match (view.text(key), view.list(key)) {
        (Some(spot), _) => vec![spot.clone()],
        (None, Some(list)) => list.value.clone(),
        (None, None) => Vec::new(),
    }
}

fn source(meaning: &mut Meaning, family: Family, view: &View) -> Option<PackageSource> {
    let before = meaning.report.errors().count();
    let (of_suite, of_component) = match family {
        Family::Debian => ("suite", "components"),
        Family::Alpine => ("branch", "repositories"),
    };
    let mirror = view.text("mirror").and_then(|spot| meaning.parsed(spot, "mirror", mirror));
    let mut paths = |key: &str| -> Vec<String> {
        words(view, key).iter().filter_map(|spot| meaning.parsed(spot, "value", path)).collect()
    };
    let (suites, mut components) = (paths(of_suite), paths(of_component));
    let snapshot = view.text("snapshot").and_then(|spot| meaning.parsed(spot, "value", moment));
    let mut files = Vec::new();
    for spot in words(view, "keyring") {
        let Some(text) = meaning.text(&spot) else { continue };
        if text != SHIPPED || family == Family::Alpine {
            files.push((tidy(&meaning.directory.join(&text)), text));
        }
    }
    if components.is_empty() {
        components.push(MAIN.to_string());
    }
    // What the grammar misses it has told already.
    let keys = [("mirror", mirror.is_none()), (of_suite, suites.is_empty() && family == Family::Debian)];
    for (key, _) in keys.iter().filter(|(key, missing)| *missing && !has(view, key)) {
        let finding =
            Finding::error("missing-key", format!("`{key}` is missing: nothing says where packages come from"));
        let help = match *key {
            "mirror" => "add `mirror = \"https://…\"`; no mirror is built in",
            _ => "add `suite = \"bookworm\"`",
        };
        meaning.report.add(finding.at(&view.place, "").help(help));
    }
    let keyring = if files.is_empty() { Keyring::Shipped } else { Keyring::Files(files) };
    let check_date = view.flag("check-valid-until").unwrap_or(snapshot.is_none());
    let fine = meaning.report.errors().count() == before;
    let place = view.place.clone();
    fine.then_some(PackageSource { mirror: mirror?, snapshot, suites, components, keyring, check_date, place })
}

fn mirror(text: &str) -> Result<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |rest: &&str| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\^`{}|@".contains(&byte))
    };
    match rest.filter(plain) {
        Some(_) => Ok(text.trim_end_matches('/').to_string()),
        None => Err(Error::usage(format!("`{}` is not the URL of a mirror", printable(text)))
            .hint("write `https://HOST/PATH`, without query and user")),
    }
}

/// A suite or component: a path of plain parts.
fn path(text: &str) -> Result<String> {
    let part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._~".contains(&byte);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain)
    };
    if text.split('/').all(part) {
        return Ok(text.to_string());
    }
    Err(Error::usage(format!("`{}` cannot stand in the path of an index", printable(text)))
        .hint("write one word, as in \"bookworm\" or \"main\"; repositories without suites (`./`) are not read"))
}

/// A moment as snapshot services write it.
fn moment(text: &str) -> Result<String> {
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                other => byte == other,
            })
    };
    if shape(text, "00000000T000000Z") {
        return Ok(text.to_string());
    }
    if shape(text, "0000-00-00") {
        return Ok(format!("{}T000000Z", text.replace('-', "")));
    }
    Err(Error::usage(format!("`{}` is not a moment", printable(text)))
        .hint("write \"20250520T000000Z\", or \"2025-05-20\" for its first second"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_names_with_maybe_a_version() {
        for (text, shown) in [
            ("nginx", "nginx"),
            ("libstdc++6", "libstdc++6"),
            ("nginx=1.22.1-9+deb12u1", "nginx=1.22.1-9+deb12u1"),
            ("nginx >= 1:2", "nginx>=1:2"),
            ("musl~1.2", "musl~1.2"),
            ("a<2", "a<2"),
        ] {
            assert_eq!(text.parse::<Wish>().unwrap().to_string(), shown);
        }
        for text in ["", "=1", "a=", "a==1", "a b", "a>>1", "a (>= 1)", "a/b", "a=1 2"] {
            assert!(text.parse::<Wish>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_second_or_a_day() {
        assert_eq!(moment("20250520T000000Z").unwrap(), "20250520T000000Z");
        assert_eq!(moment("2025-05-20").unwrap(), "20250520T000000Z");
        for text in ["", "2025", "20250520", "20250520T00000Z", "2025-05-2x", "../../x"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mirror_is_a_plain_url() {
        assert_eq!(mirror("https://mirror.example.com/debian/").unwrap(), "https://mirror.example.com/debian");
        for text in ["", "mirror.example.com", "ftp://x/", "https:///x", "http://a b", "http://x/?q", "http://u@x/"] {
            assert!(mirror(text).is_err(), "{text}");
        }
    }
}
