//! Stage 10: `stillframe resolve`. YAML in; the images that it names built, pushed once, and their digests in their places out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Value, json};

use super::args::Resolve;
use super::build::document;
use super::prepare::aside;
use super::session::{Session, outside};
use super::several::{Member, make};
use crate::error::{Error, Finding, Place, Report, Result, Text, printable};
use crate::manifest::grammar::nearest;
use crate::manifest::locate::locate;
use crate::manifest::workspace::workspace;
use crate::manifest::{self};
use crate::plan::Leave;
use crate::ship::yaml::{Found, Part, find, replaced};
use crate::ship::{self, Destination};
use crate::trust::root::read_within;

/// Largest YAML file in bytes, and how many there may be.
const MOST_BYTES: u64 = 16 << 20;
const MOST_FILES: usize = 1000;
/// How much work one template may do before it is stopped.
const FUEL: u64 = 1_000_000;

/// `-f` and `--file` behind `resolve` name its own files.
pub fn own_files(arguments: Vec<OsString>) -> Vec<OsString> {
    let valued = ["-f", "--file", "--set", "--format", "--jobs"];
    let mut at = 1;
    while at < arguments.len() {
        let word = arguments[at].to_string_lossy();
        match &*word {
            "resolve" => break,
            option if valued.contains(&option) => at += 2,
            option if option.starts_with('-') => at += 1,
            _ => return arguments,
        }
    }
    let rename = |(place, word): (usize, OsString)| {
        let Some(text) = word.to_str().filter(|_| place > at) else { return vec![word] };
        match text {
            "-f" | "--file" => vec!["--yaml".into()],
            _ => match text.strip_prefix("--file=").or_else(|| text.strip_prefix("-f").filter(|rest| !rest.is_empty()))
            {
                Some(rest) => vec![format!("--yaml={rest}").into()],
                None => vec![word],
            },
        }
    };
    arguments.into_iter().enumerate().flat_map(rename).collect()
}

/// Resolves all references of all files.
pub async fn run(session: &Session<'_>, options: &Resolve) -> Result<u8> {
    let wanted = options.files.clone();
    let mut texts = aside(&session.ctx, move || read(&wanted)).await?;
    let names = names(session).await?;
    let mut report = Report::default();
    let mut found: Vec<Vec<Found>> = Vec::new();
    let mut images: BTreeSet<String> = BTreeSet::new();
    if options.render {
        images.extend(names.keys().filter(|name| texts.iter().any(|text| mentions(&text.text, name))).cloned());
        if let ([one], true) =
            (names.keys().collect::<Vec<_>>().as_slice(), texts.iter().any(|text| mentions(&text.text, "image")))
        {
            images.insert((*one).clone());
        }
    } else {
        found = texts.iter().map(|text| find(text, &mut report)).collect();
        for one in found.iter().flatten() {
            match names.get(&one.image) {
                Some(Whose::One(_)) => drop(images.insert(one.image.clone())),
                Some(Whose::Several(files)) => report.add(ambiguous(one, files)),
                None => report.add(unknown(one, &names)),
            }
        }
    }
    report.pass()?;
    let made = images_of(session, options, &names, &images).await?;
    if options.render {
        texts = texts.iter().map(|text| render(text, &made)).collect::<Result<_>>()?;
        let mut report = Report::default();
        found = texts.iter().map(|text| find(text, &mut report)).collect();
        let late = found.iter().flatten().filter(|one| !made.contains_key(&one.image));
        late.for_each(|one| report.add(unknown(one, &names)));
        report.pass()?;
    }
    let mut resolved = Vec::new();
    let mut report = Report::default();
    for (text, found) in texts.iter().zip(&found) {
        let mut values = Vec::new();
        for one in found {
            match made.get(&one.image).map(|image| image.part(one.part)) {
                Some(Some(value)) => values.push((one.place.clone(), value)),
                _ => report.add(
                    Finding::error("yaml", format!("the image `{}` gets no tag", one.image))
                        .at(&one.place, "")
                        .help("add `[tags]` to its manifest, or name it by its digest, which is better"),
                ),
            }
        }
        resolved.push(replaced(&text.text, &values));
    }
    report.pass()?;
    tell(session, &texts, &resolved, &made)
}

fn tell(session: &Session<'_>, texts: &[Arc<Text>], resolved: &[String], made: &BTreeMap<String, Image>) -> Result<u8> {
    if session.terminal.json() {
        let file = |(text, resolved): (&Arc<Text>, &String)| json!({ "file": text.path, "text": resolved });
        let files: Vec<Value> = texts.iter().zip(resolved).map(file).collect();
        let images: Vec<&Value> = made.values().map(|image| &image.document).collect();
        session.terminal.document(json!({ "files": files, "images": images }), &Report::default())?;
        return Ok(0);
    }
    let mut whole = String::new();
    for text in resolved {
        // One stream of documents of several files.
        if !whole.is_empty() && !text.trim_start().starts_with("---") {
            whole += if whole.ends_with('\n') { "---\n" } else { "\n---\n" };
        }
        whole += text;
    }
    session.terminal.result(&whole)?;
    Ok(0)
}

/// An image that was made.
struct Image {
    name: String,
    digest: String,
    tags: Vec<String>,
    document: Value,
}

impl Image {
    fn of(member: &Member) -> Image {
        let made = &member.made;
        Image {
            name: made.target.names.first().map(ToString::to_string).unwrap_or_default(),
            digest: made.artifact.digest().to_string(),
            tags: made.target.tags.tags().map(ToString::to_string).collect(),
            document: document(made, &member.pushed),
        }
    }

    fn part(&self, part: Part) -> Option<String> {
        match part {
            Part::Reference => Some(format!("{}@{}", self.name, self.digest)),
            Part::Name => Some(self.name.clone()),
            Part::Digest => Some(self.digest.clone()),
            Part::Tag => self.tags.first().cloned(),
        }
    }

    /// For templates; an image without a tag has none.
    fn value(&self) -> minijinja::Value {
        let parts =
            [("name", Part::Name), ("digest", Part::Digest), ("reference", Part::Reference), ("tag", Part::Tag)];
        let known = parts.into_iter().filter_map(|(key, part)| Some((key, minijinja::Value::from(self.part(part)?))));
        known.collect::<BTreeMap<_, _>>().into()
    }
}

/// Whose name it is.
enum Whose {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

/// The last parts of the names of all images of the project or workspace, with their manifests.
async fn names(session: &Session<'_>) -> Result<BTreeMap<String, Whose>> {
    let (file, sets) = (session.options.file.clone(), session.options.set.clone());
    aside(&session.ctx, move || {
        let files = match workspace(&file)? {
            Some(workspace) => workspace.members,
            None => vec![file],
        };
        let mut names: BTreeMap<String, Whose> = BTreeMap::new();
        for file in files {
            let read = manifest::read(&locate(&file)?, &outside(&sets));
            let lasts: BTreeSet<String> = read
                .manifest
                .names
                .iter()
                .filter_map(|name| name.path.rsplit('/').next())
                .map(str::to_string)
                .collect();
            for last in lasts {
                let whose = match names.remove(&last) {
                    None => Whose::One(file.clone()),
                    Some(Whose::One(other)) => Whose::Several(vec![other, file.clone()]),
                    Some(Whose::Several(others)) => Whose::Several([others, vec![file.clone()]].concat()),
                };
                names.insert(last, whose);
            }
        }
        Ok(names)
    })
    .await
}

/// Builds each image once, and pushes it unless that is not wanted.
async fn images_of(
    session: &Session<'_>,
    options: &Resolve,
    names: &BTreeMap<String, Whose>,
    images: &BTreeSet<String>,
) -> Result<BTreeMap<String, Image>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for image in images {
        if let Some(Whose::One(file)) = names.get(image)
            && !files.contains(file)
        {
            files.push(file.clone());
        }
    }
    let destination = if options.no_push { Destination::Store } else { Destination::Registry };
    let members = make(session, &files, None, &[destination], Leave::default()).await?;
    let of = |image: &String| {
        let Some(Whose::One(file)) = names.get(image) else { return None };
        let member = members.iter().find(|member| member.file == *file)?;
        Some((image.clone(), Image::of(member)))
    };
    Ok(images.iter().filter_map(of).collect())
}

fn unknown(found: &Found, names: &BTreeMap<String, Whose>) -> Finding {
    let what = format!("no manifest here makes an image `{}`", printable(&found.image));
    let finding = Finding::error("unknown-image", what).at(&found.place, "");
    match nearest(&found.image, names.keys().map(String::as_str)) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None if names.is_empty() => finding.help("add `name = \"registry.example.com/team/app\"` under `[image]`"),
        None => {
            let all: Vec<&str> = names.keys().map(String::as_str).take(20).collect();
            finding.help(format!("known are: {}", all.join(", ")))
        }
    }
}

fn ambiguous(found: &Found, files: &[PathBuf]) -> Finding {
    let files: Vec<String> = files.iter().map(|file| printable(&file.to_string_lossy())).collect();
    Finding::error("unknown-image", format!("`{}` is the last part of several images' names", found.image))
        .at(&found.place, "")
        .help(format!("give them different ones; they stand in {}", files.join(", ")))
}

fn mentions(text: &str, word: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(inner) && !text[at + word.len()..].starts_with(inner))
}

/// A template's text with the images in it.
fn render(text: &Arc<Text>, made: &BTreeMap<String, Image>) -> Result<Arc<Text>> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    let images: BTreeMap<String, minijinja::Value> =
        made.iter().map(|(name, image)| (name.clone(), image.value())).collect();
    let mut scope = BTreeMap::from([("images", minijinja::Value::from(images))]);
    let mut each = made.values();
    if let (Some(only), None) = (each.next(), each.next()) {
        scope.insert("image", only.value());
    }
    environment.render_str(&text.text, scope).map(|rendered| Arc::new(Text { path: text.path.clone(), text: rendered })).map_err(
        |cause| {
            let mut finding = Finding::error("template", printable(&cause.to_string()));
            if let Some(range) = cause.range() {
                finding = finding.at(&Place { text: text.clone(), span: range }, "");
            }
            let mut report = Report::default();
            report.add(finding.help("known are `image`, if there is one only, and `images.NAME`, each with `name`, `digest`, `reference` and `tag`"));
            Error::findings(report)
        },
    )
}

/// The texts of all files; of a directory those that end in `.yaml` or `.yml`, sorted.
fn read(files: &[PathBuf]) -> Result<Vec<Arc<Text>>> {
    let mut all: Vec<PathBuf> = Vec::new();
    for file in files {
        match file.is_dir() {
            true => all.extend(ship::yaml_files(file)?),
            false => all.push(file.clone()),
        }
    }
    if all.len() > MOST_FILES {
        return Err(Error::usage(format!("these are over {MOST_FILES} files, which is the limit")));
    }
    all.iter().map(|file| one(file)).collect()
}

fn one(file: &Path) -> Result<Arc<Text>> {
    if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(MOST_BYTES + 1).read_to_string(&mut text);
        read.map_err(|cause| Error::io("reading stdin", cause))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(Error::usage(format!("stdin has over {MOST_BYTES} bytes, which is the limit")));
        }
        return Ok(Arc::new(Text { path: "stdin".into(), text }));
    }
    let name = printable(&file.to_string_lossy());
    if !file.exists() {
        return Err(Error::usage(format!("`{name}` does not exist")));
    }
    Ok(Arc::new(Text { path: name, text: read_within(file, MOST_BYTES)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_behind_resolve_is_its_own() {
        let check = |line: &str, expected: &str| {
            let words = own_files(line.split(' ').map(OsString::from).collect());
            let words: Vec<String> = words.into_iter().map(|word| word.into_string().unwrap()).collect();
            assert_eq!(words.join(" "), expected);
        };
        check("s resolve -f a.yaml", "s resolve --yaml a.yaml");
        check(
            "s -f api resolve -f a.yaml -fb --file=c --file d",
            "s -f api resolve --yaml a.yaml --yaml=b --yaml=c --yaml d",
        );
        check("s --format json -v resolve -f -", "s --format json -v resolve --yaml -");
        check("s -f resolve build -f x", "s -f resolve build -f x");
        check("s build -f x", "s build -f x");
        check("s", "s");
    }
}
