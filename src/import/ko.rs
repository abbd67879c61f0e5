//! Between stages 1 and 2: the configuration of ko → a manifest for its first build, and comments with those of the others. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Import;
use super::context::{Context, Kind as Beside, join, relative};
use super::draft::{Draft, Entry, Remarks, What};
use super::sheet::Sheet;
use super::value::{escape, list, quoted};
use super::yaml::{self, Node, Pair};
use crate::error::{Result, Text, printable};
use crate::manifest::words as rules;

/// Where ko puts the program.
const PROGRAMS: &str = "/ko-app";
/// Where it puts what lies in `kodata`.
const DATA: &str = "/var/run/ko";
/// The user of the base that ko takes where it is told no other.
const USER: &str = "65532:65532";

/// What all builds share.
#[derive(Default)]
struct Shared {
    base: Option<String>,
    /// What stands above it.
    remarks: Remarks,
    overrides: Vec<(String, String)>,
    env: Vec<String>,
    flags: Vec<String>,
    ldflags: Vec<String>,
}

/// One build.
struct Build {
    id: Option<String>,
    dir: String,
    main: String,
    env: Vec<String>,
    flags: Vec<String>,
    ldflags: Vec<String>,
    capabilities: Vec<String>,
    /// As it stands.
    remarks: Remarks,
}

/// Makes a manifest of a configuration.
pub(super) fn import(text: &Arc<Text>, context: Context<'_>) -> Result<Import> {
    let document = yaml::read(text)?;
    let whole = Pair { key: "the file".into(), span: document.span.clone(), node: document };
    let mut sheet = Sheet::new(text, false);
    sheet.draft.image.set("base", quoted("scratch"), Vec::new());
    let mut shared = Shared::default();
    let mut builds = None;
    for pair in sheet.pairs(&whole) {
        match pair.key.as_str() {
            "defaultBaseImage" => {
                shared.base = text_of(&mut sheet, pair);
                shared.remarks = sheet.above(&pair.span);
            }
            "baseImageOverrides" => {
                sheet.note(&pair.span);
                for one in sheet.pairs(pair) {
                    shared.overrides.extend(text_of(&mut sheet, one).map(|image| (one.key.clone(), image)));
                }
            }
            "defaultPlatforms" => platforms(&mut sheet, pair),
            "defaultEnv" => shared.env = words(&mut sheet, pair),
            "defaultFlags" => shared.flags = words(&mut sheet, pair),
            "defaultLdflags" => shared.ldflags = words(&mut sheet, pair),
            "builds" => {
                sheet.note(&pair.span);
                builds = Some(pair);
            }
            _ => sheet.unknown(pair, "ko"),
        }
    }
    let mut all = Vec::new();
    for item in builds.map(|pair| sheet.items(pair)).unwrap_or_default() {
        all.push(build(&mut sheet, item, &shared));
    }
    if all.is_empty() {
        let remarks = vec!["ko is told on its command line what to build; name the package that has `main`.".into()];
        let (env, flags, ldflags) = (shared.env.clone(), shared.flags.clone(), shared.ldflags.clone());
        let (dir, main) = (".".to_string(), ".".to_string());
        all.push(Build { id: None, dir, main, env, flags, ldflags, capabilities: Vec::new(), remarks });
    }
    left_over(&mut sheet, &whole, &shared, &all);
    write(&mut sheet, &shared, &all, context);
    Ok(sheet.finish())
}

/// Tells of bases that are for none of the builds.
fn left_over(sheet: &mut Sheet<'_>, whole: &Pair, shared: &Shared, all: &[Build]) {
    let used: BTreeSet<&str> = all.iter().filter_map(|one| one.overridden(shared)).map(|(path, _)| path).collect();
    let overrides = whole.node.pairs().unwrap_or_default().iter().find(|pair| pair.key == "baseImageOverrides");
    for one in overrides.and_then(|pair| pair.node.pairs()).unwrap_or_default() {
        if !used.contains(one.key.as_str()) {
            let why = format!("no build is known to make `{}`", printable(&one.key));
            sheet.left_in_image(one, &why, "set `base` to it in the manifest of that program");
        }
    }
}

/// Writes the first build down, and the others as comments.
fn write(sheet: &mut Sheet<'_>, shared: &Shared, all: &[Build], context: Context<'_>) {
    let platforms = sheet.draft.image.value("platforms").map(String::from);
    for (index, one) in all.iter().enumerate() {
        if index == 0 {
            one.write(&mut sheet.draft, shared, context);
            continue;
        }
        let mut other = Draft::default();
        other.image.set("base", quoted("scratch"), Vec::new());
        if let Some(platforms) = &platforms {
            other.image.set("platforms", platforms.clone(), Vec::new());
        }
        one.write(&mut other, shared, context);
        let mut remarks = vec![format!(
            "The manifest of `{}`, a second image: put it into a file of its own, as {}.",
            one.name(),
            join(&one.name(), "image.toml")
        )];
        remarks.push("Paths of sources are relative to it; `[workspace]` builds several together.".into());
        remarks.extend(other.write().trim_start().lines().map(|line| format!("  {line}")));
        sheet.draft.remark(remarks);
    }
}

fn text_of(sheet: &mut Sheet<'_>, pair: &Pair) -> Option<String> {
    let text = pair.node.scalar().map(String::from);
    if text.is_none() {
        sheet.odd(pair, "one text");
    }
    text
}

/// A list of texts, or one text that words stand in.
fn words(sheet: &mut Sheet<'_>, pair: &Pair) -> Vec<String> {
    let split = pair.node.scalar().and_then(shlex::split);
    split.or_else(|| pair.node.words()).unwrap_or_else(|| {
        sheet.odd(pair, "a list of texts");
        Vec::new()
    })
}

fn platforms(sheet: &mut Sheet<'_>, pair: &Pair) {
    let names = match pair.node.scalar() {
        Some(text) => text.split(',').map(|name| name.trim().to_string()).collect(),
        None => words(sheet, pair),
    };
    if names.iter().any(|name| name == "all") {
        let advice = "write the platforms that programs are built for into `platforms`";
        return sheet.left_in_image(pair, "`all` would be what the base has now", advice);
    }
    sheet.platforms(pair, &names);
}

fn build(sheet: &mut Sheet<'_>, item: &Node, shared: &Shared) -> Build {
    let field = |name: &str| item.field(name).and_then(Node::scalar).map(String::from);
    let mut one = Build {
        id: field("id"),
        dir: field("dir").unwrap_or_else(|| ".".into()),
        main: field("main").unwrap_or_else(|| ".".into()),
        env: shared.env.clone(),
        flags: shared.flags.clone(),
        ldflags: shared.ldflags.clone(),
        capabilities: Vec::new(),
        remarks: Vec::new(),
    };
    let why = "programs are not built here: no command is run";
    one.remarks =
        sheet.left(&item.span, why, "build it before `stillframe build`, outside of it, as the command below shows");
    let Some(pairs) = item.pairs() else { return one };
    for pair in pairs {
        match pair.key.as_str() {
            "id" | "dir" | "main" if pair.node.scalar().is_some() => {}
            "env" => one.env = words(sheet, pair),
            "flags" => one.flags = words(sheet, pair),
            // Each text of the list may hold several words, which are the linker's.
            "ldflags" => {
                let whole = pair.node.scalar().map(|text| vec![text.to_string()]);
                match whole.or_else(|| pair.node.words()) {
                    Some(words) => one.ldflags = words,
                    None => sheet.odd(pair, "a list of texts"),
                }
            }
            "linux_capabilities" => {
                let whole = |name: String| if name.starts_with("cap_") { name } else { format!("cap_{name}") };
                let (fine, wrong): (Vec<String>, Vec<String>) =
                    words(sheet, pair).into_iter().map(whole).partition(|name| rules::capability(name).is_ok());
                one.capabilities = fine;
                if !wrong.is_empty() {
                    let why = format!("`{}` is no capability", printable(&wrong.join(", ")));
                    sheet.left_in_body(&pair.span, &why, "write `capabilities` into the `[[binary]]`");
                }
            }
            _ => sheet.unknown(pair, "ko"),
        }
    }
    one
}

impl Build {
    /// The directory of the program's source, relative to the file.
    fn source(&self) -> String {
        let main = self
            .main
            .strip_suffix(".go")
            .map_or(self.main.as_str(), |main| main.rsplit_once('/').map_or(".", |(directory, _)| directory));
        relative(&join(&self.dir, main))
    }

    /// What the program is called: as the last part of its import path.
    fn name(&self) -> String {
        let source = self.source();
        let last = source.rsplit('/').next().filter(|last| !last.is_empty());
        let name = last.map(String::from).or_else(|| self.id.clone()).unwrap_or_else(|| "app".into());
        name.chars().map(|one| if one.is_ascii_alphanumeric() || "._-".contains(one) { one } else { '-' }).collect()
    }

    /// The base of its own, by the import path that ends as the source's path does.
    fn overridden<'a>(&self, shared: &'a Shared) -> Option<(&'a str, &'a str)> {
        let (source, id) = (self.source(), self.id.clone().unwrap_or_default());
        let main = relative(&self.main);
        let ends = |path: &str, end: &str| !end.is_empty() && (path == end || path.ends_with(&format!("/{end}")));
        let fits = |path: &str| match source.as_str() {
            "" => ends(path, &id),
            source => ends(path, source) || ends(path, &main),
        };
        shared.overrides.iter().find(|(path, _)| fits(path)).map(|(path, image)| (path.as_str(), image.as_str()))
    }

    /// The command that makes the program for one platform.
    fn command(&self) -> Remarks {
        let fixed = |name: &str| self.env.iter().any(|one| one.starts_with(&format!("{name}=")));
        let mut command: Vec<String> = Vec::new();
        command.extend((!fixed("CGO_ENABLED")).then(|| "CGO_ENABLED=0".into()));
        command.extend(["GOOS=linux".into(), "GOARCH=amd64".into()]);
        let assigned = |word: &String| match word.split_once('=') {
            Some((name, value)) => format!("{name}={}", shell(value)),
            None => shell(word),
        };
        command.extend(self.env.iter().filter(|one| !one.is_empty()).map(assigned));
        command.extend(["go".into(), "build".into()]);
        if !relative(&self.dir).is_empty() {
            command.extend(["-C".into(), shell(&relative(&self.dir))]);
        }
        command.push("-trimpath".into());
        command.extend(self.flags.iter().filter(|one| *one != "-trimpath").map(|word| shell(word)));
        if !self.ldflags.is_empty() {
            command.extend(["-ldflags".into(), shell(&self.ldflags.join(" "))]);
        }
        let main = if relative(&self.main).is_empty() { ".".into() } else { format!("./{}", relative(&self.main)) };
        command.extend(["-o".into(), format!("\"$PWD/bin/amd64/{}\"", self.name()), shell(&main)]);
        let text = command.join(" ");
        let mut remarks = vec!["Before `stillframe build`, for each platform:".into(), format!("  {text}")];
        if text.contains("{{") {
            remarks.push(
                "What stands in braces there is filled in by ko; write the values, or let a script do it.".into(),
            );
        }
        remarks
    }

    fn write(&self, draft: &mut Draft, shared: &Shared, context: Context<'_>) {
        let name = self.name();
        let base = self.overridden(shared).map(|(_, image)| image.to_string()).or_else(|| shared.base.clone());
        let scratch = base.as_deref().is_none_or(|base| base == "scratch");
        let remarks = if self.overridden(shared).is_some() { Vec::new() } else { shared.remarks.clone() };
        match base {
            Some(base) => draft.image.set("base", quoted(&escape(&base, false)), remarks),
            None => {
                let way = "The file names no base, and none is built in; a static program needs none.";
                draft.image.set("base", quoted("scratch"), vec![way.into()]);
                draft.image.set("user", quoted(USER), vec!["That of the base that ko takes by itself.".into()]);
            }
        }
        let program = format!("{PROGRAMS}/{name}");
        draft.image.set("entrypoint", list(&[&program]), Vec::new());
        let path = if scratch { quoted(PROGRAMS) } else { format!("{{ append = {} }}", quoted(PROGRAMS)) };
        draft.env.set("PATH", path, Vec::new());
        let mut entry = Entry::new(What::Binary { src: format!("bin/{{{{ platform.arch }}}}/{name}") }, program);
        entry.remarks = self.remarks.clone();
        entry.remarks.extend(self.command());
        entry.capabilities = self.capabilities.clone();
        draft.entry(entry);
        let data = join(&self.source(), "kodata");
        if context.kind(&data) == Some(Beside::Directory) {
            draft.env.set("KO_DATA_PATH", quoted(DATA), Vec::new());
            let tree = What::Tree { src: escape(&data, false), include: Vec::new(), exclude: Vec::new() };
            let remarks = vec![format!("What ko takes from {data} by itself.")];
            draft.entry(Entry { remarks, ..Entry::new(tree, format!("{DATA}/")) });
        }
    }
}

/// A word as a shell reads it.
fn shell(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_string(), String::from)
}
