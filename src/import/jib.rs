//! Between stages 1 and 2: a build file of jib → a manifest. Pure.

use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;

use super::Import;
use super::context::{Context, Kind as Beside};
use super::draft::{Entry, Remarks, What};
use super::sheet::{Sheet, mode};
use super::value::quoted;
use super::yaml::{self, Node, Pair};
use crate::error::{Result, Text, printable};
use crate::manifest::words as rules;

/// What `properties` say of files, from the outermost to the innermost.
#[derive(Clone, Default)]
struct Properties {
    mode: Option<String>,
    dir_mode: Option<String>,
    user: Option<String>,
    group: Option<String>,
}

impl Properties {
    /// jib's default for both is 0, whatever the other one is.
    fn owner(&self) -> Option<String> {
        let number = |side: &Option<String>| side.clone().unwrap_or_else(|| "0".into());
        let owner = format!("{}:{}", number(&self.user), number(&self.group));
        (owner != "0:0").then_some(owner)
    }
}

/// Makes a manifest of a build file.
pub(super) fn import(text: &Arc<Text>, context: Context<'_>) -> Result<Import> {
    let document = yaml::read(text)?;
    let mut file = File { sheet: Sheet::new(text, true), context };
    let whole = Pair { key: "the file".into(), span: document.span.clone(), node: document };
    file.sheet.draft.image.set("base", quoted("scratch"), Vec::new());
    for pair in file.sheet.pairs(&whole) {
        file.top(pair);
    }
    Ok(file.sheet.finish())
}

struct File<'a> {
    sheet: Sheet<'a>,
    context: Context<'a>,
}

impl File<'_> {
    fn top(&mut self, pair: &Pair) {
        let sheet = &mut self.sheet;
        let path = |text: &str| rules::absolute(text).is_ok();
        match pair.key.as_str() {
            "apiVersion" | "kind" => {}
            "from" => self.from(pair),
            "creationTime" => self.created(pair),
            "format" if pair.node.scalar().is_some_and(|format| format.eq_ignore_ascii_case("oci")) => {}
            "format" => sheet.left_in_image(
                pair,
                "images are made in the format of the OCI, which Docker reads too",
                "nothing is needed; `--to docker-archive:FILE` writes a file for `docker load`",
            ),
            "user" => sheet.user(pair),
            "workingDirectory" => sheet.one(pair, "workdir", path),
            "entrypoint" => sheet.listed(pair, "entrypoint", |_| true),
            "cmd" => sheet.listed(pair, "cmd", |_| true),
            "environment" => sheet.table(pair, |draft| &mut draft.env),
            "labels" => sheet.table(pair, |draft| &mut draft.labels),
            "exposedPorts" => sheet.ports(pair),
            "volumes" => sheet.volumes(pair),
            "layers" => self.layers(pair),
            _ => sheet.unknown(pair, "jib"),
        }
    }

    fn from(&mut self, pair: &Pair) {
        if pair.node.scalar().is_some() {
            return self.base(pair, Vec::new());
        }
        for one in self.sheet.pairs(pair) {
            match one.key.as_str() {
                "image" => self.base(one, self.sheet.above(&pair.span)),
                "platforms" => self.platforms(one),
                _ => self.sheet.unknown(one, "jib"),
            }
        }
    }

    fn base(&mut self, pair: &Pair, mut remarks: Remarks) {
        match pair.node.scalar().and_then(|image| image.split_once("://")) {
            Some((kind, _)) => {
                let advice = match kind {
                    "docker" => {
                        "push that image to a registry, or save it as an OCI archive: `oci-archive:FILE@sha256:…`"
                    }
                    "tar" => "save that image as an OCI archive: `base = \"oci-archive:FILE@sha256:…\"`",
                    _ => "name the image without a scheme",
                };
                self.sheet.left_in_image(pair, "a base comes from a registry, an OCI layout or an OCI archive", advice);
            }
            None => {
                let image = pair.node.scalar().map(|image| image.strip_prefix("registry://").unwrap_or(image));
                match image {
                    Some(image) => {
                        let value = quoted(&self.sheet.string(image));
                        remarks.extend(self.sheet.above(&pair.span));
                        self.sheet.draft.image.set("base", value, remarks);
                    }
                    None => self.sheet.odd(pair, "the name of an image"),
                }
            }
        }
    }

    fn platforms(&mut self, pair: &Pair) {
        let mut names = Vec::new();
        for item in self.sheet.items(pair) {
            let field = |name: &str| item.field(name).and_then(Node::scalar).unwrap_or_default();
            names.push(format!("{}/{}", field("os"), field("architecture")));
            for one in item.pairs().unwrap_or_default() {
                if !["os", "architecture"].contains(&one.key.as_str()) {
                    self.sheet.unknown(one, "jib");
                }
            }
        }
        self.sheet.platforms(pair, &names);
    }

    fn created(&mut self, pair: &Pair) {
        let Some(text) = pair.node.scalar() else { return self.sheet.odd(pair, "a time") };
        // A bare number counts milliseconds.
        let time = match text.parse::<i64>() {
            Ok(number) => Timestamp::from_millisecond(number).ok(),
            Err(_) => text.parse::<Timestamp>().ok(),
        };
        let whole = time.and_then(|time| Timestamp::from_second(time.as_second()).ok());
        match whole {
            Some(time) => {
                let mut remarks = self.sheet.above(&pair.span);
                remarks.extend(self.sheet.original(&pair.span));
                self.sheet.draft.image.set("created", quoted(&time.to_string()), remarks);
            }
            None => {
                let why = format!("`{}` is no time", printable(text));
                let advice = "set `created`: \"commit\", \"fixed\" or a time as in \"2025-05-20T12:00:00Z\"";
                self.sheet.left_in_image(pair, &why, advice);
            }
        }
    }

    fn layers(&mut self, pair: &Pair) {
        self.sheet.note(&pair.span);
        let outer = self.properties(&pair.node, Properties::default());
        for one in self.sheet.pairs(pair) {
            match one.key.as_str() {
                "properties" => {}
                "entries" => {
                    for item in self.sheet.items(one) {
                        self.layer(item, &outer);
                    }
                }
                _ => self.sheet.unknown(one, "jib"),
            }
        }
    }

    fn layer(&mut self, layer: &Node, outer: &Properties) {
        let properties = self.properties(layer, outer.clone());
        let name = layer.field("name").and_then(Node::scalar).map(|name| {
            let plain = |one: char| if one.is_ascii_alphanumeric() || "._-".contains(one) { one } else { '-' };
            name.chars().map(plain).collect::<String>()
        });
        if layer.pairs().is_none() {
            let advice = "write what was meant into the manifest";
            return self.sheet.left_in_body(&layer.span, "a layer is a table", advice);
        }
        self.sheet.note(&layer.span);
        for one in layer.pairs().unwrap_or_default() {
            match one.key.as_str() {
                "properties" => {}
                "name" if one.node.scalar().is_some() => {}
                "files" => {
                    for item in self.sheet.items(one) {
                        self.copy(item, &properties, name.as_deref());
                    }
                }
                _ => self.sheet.unknown(one, "jib"),
            }
        }
    }

    /// The `properties` of a node, over those around it.
    fn properties(&mut self, node: &Node, mut all: Properties) -> Properties {
        let Some(pair) = node.pairs().and_then(|pairs| pairs.iter().find(|pair| pair.key == "properties")) else {
            return all;
        };
        for one in self.sheet.pairs(pair) {
            let text = one.node.scalar().map(String::from);
            match (one.key.as_str(), text) {
                ("filePermissions", Some(text)) if mode(&text).is_some() => all.mode = mode(&text),
                ("directoryPermissions", Some(text)) if mode(&text).is_some() => all.dir_mode = mode(&text),
                ("user", Some(text)) => all.user = Some(self.sheet.string(&text)),
                ("group", Some(text)) => all.group = Some(self.sheet.string(&text)),
                ("timestamp", _) => self.sheet.left_in_body(
                    &one.span,
                    "every file of a layer has one fixed time, 1980-01-01T00:00:00Z",
                    "nothing is needed: the same files always make the same layer",
                ),
                ("filePermissions" | "directoryPermissions", _) => self.sheet.odd(one, "a mode in octal digits"),
                ("user" | "group", _) => self.sheet.odd(one, "a name or a number"),
                _ => self.sheet.unknown(one, "jib"),
            }
        }
        all
    }

    fn copy(&mut self, item: &Node, outer: &Properties, layer: Option<&str>) {
        let properties = self.properties(item, outer.clone());
        let field = |name: &str| item.field(name).and_then(Node::scalar).map(String::from);
        let (mut include, mut exclude) = (Vec::new(), Vec::new());
        let src = field("src").unwrap_or_default();
        for one in item.pairs().unwrap_or_default() {
            match one.key.as_str() {
                "properties" | "src" | "dest" => {}
                "includes" => include = self.globs(one, &src),
                "excludes" => exclude = self.globs(one, &src),
                _ => self.sheet.unknown(one, "jib"),
            }
        }
        let Some((src, dest)) = self.paths(&item.span, &src, field("dest")) else { return };
        let tree = !include.is_empty() || !exclude.is_empty() || self.is_directory(&src);
        let what = match tree {
            true => What::Tree { src, include, exclude },
            false => What::File { src },
        };
        let mut entry = Entry::new(what, dest);
        entry.remarks = self.sheet.above(&item.span);
        entry.remarks.extend(self.sheet.original(&item.span));
        entry.mode = properties.mode.clone();
        entry.dir_mode = properties.dir_mode.clone().filter(|_| tree);
        entry.owner = properties.owner();
        entry.layer = layer.map(String::from);
        self.sheet.draft.entry(entry);
    }

    fn is_directory(&self, src: &str) -> bool {
        src.ends_with('/') || self.context.kind(src.trim_end_matches('/')) == Some(Beside::Directory)
    }

    /// Source and destination as the manifest has them.
    fn paths(&mut self, span: &Range<usize>, src: &str, dest: Option<String>) -> Option<(String, String)> {
        let dest = dest.unwrap_or_default();
        let open = dest.contains("${");
        if src.is_empty() || src.starts_with('/') {
            let why = "a source lies below the manifest's directory, or below the repository around it";
            self.sheet.left_in_body(span, why, "bring the files there, and copy them with `[[file]]`");
            return None;
        }
        if !open && rules::destination(&dest).is_err() {
            let why = format!("`{}` is no path of the image", printable(&dest));
            self.sheet.left_in_body(span, &why, "write a `[[file]]` with an absolute `dest`");
            return None;
        }
        let src = src.trim_start_matches("./");
        let src = if src.is_empty() { "." } else { src };
        Some((self.sheet.string(src), self.sheet.string(&dest)))
    }

    /// Globs below the source. jib holds them against the whole path, so most begin with `**/`.
    fn globs(&mut self, pair: &Pair, src: &str) -> Vec<String> {
        let Some(words) = pair.node.words() else {
            self.sheet.odd(pair, "a list of globs");
            return Vec::new();
        };
        let prefix = format!("{}/", src.trim_start_matches("./").trim_end_matches('/'));
        let mut globs = Vec::new();
        for word in words {
            if word.contains(['{', '}']) {
                let why =
                    format!("`{}` has alternatives in braces, which globs of the manifest have not", printable(&word));
                self.sheet.left_in_body(&pair.span, &why, "write each alternative as a glob of its own");
                continue;
            }
            let word = word.trim_start_matches("./");
            let below = word.strip_prefix(&prefix).unwrap_or(word);
            let anchored = if word.starts_with("**") { below.to_string() } else { format!("/{below}") };
            globs.push(self.sheet.string(&anchored));
        }
        globs
    }
}
