//! Stage 1: from written to meant, the one function between. A located text and the outside world in, the manifest and a report of
//! all mistakes out; with mistakes the manifest holds stand-ins, so that its sources can still be looked for.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::base::Base;
use super::checks;
use super::config;
use super::defaults::{self, Shared};
use super::grammar::nearest;
use super::items;
use super::locate::Location;
use super::meant::{Annotations, Attest, Bill, Image, Manifest, Unpinned};
use super::packages;
use super::sign;
use super::tags;
use super::values::{self, Created, Outside, Scope, Values};
use super::vouch;
use super::written::{self, Spot, View, Written};
use crate::error::{Finding, Place, Report, Result, printable};
use crate::oci::platform::KNOWN;
use crate::oci::{Platform, Repository};

/// A manifest and what was found while it was read.
pub struct Read {
    /// What is meant; with errors in the report some parts are stand-ins.
    pub manifest: Manifest,
    /// Every mistake.
    pub report: Report,
}

/// Reads a manifest; mistakes of the file and of the outside world stand in the report.
pub fn read(location: &Location, outside: &Outside<'_>) -> Read {
    let mut report = Report::default();
    let (written, shared) = defaults::read(location, &mut report);
    let values = Arc::new(Values::read(&location.around, &written.vars, outside, &mut report));
    let scope = Scope { values: values.clone(), ..Scope::default() };
    let mut meaning = Meaning { scope, directory: location.directory.clone(), shared, report, unpinned: Vec::new() };
    let created = meaning.created(&written.image, outside);
    let names = meaning.names(&written.image);
    let annotations = meaning.annotations(&written);
    let attest = meaning.attest(&written.attest);
    let tags = tags::read(&mut meaning, &written);
    let context = meaning.context(&written.image, &location.around);
    let platforms = meaning.platforms(&written.image);
    let packages = packages::read(&mut meaning, &written);
    let images: Vec<Image> = platforms.into_iter().map(|platform| meaning.image(&written, platform)).collect();
    let images = packages::items(images, packages.as_ref());
    let bases: Vec<&Base> = images.iter().map(|image| &image.base.0).collect();
    let verify = vouch::read(&mut meaning, &written, &bases);
    let sign = sign::read(&mut meaning, &written);
    let checks = checks::read(&mut meaning, &written);
    let manifest = Manifest {
        text: location.text.clone(),
        directory: location.directory.clone(),
        context,
        names,
        values,
        created,
        annotations,
        images,
        verify,
        sign,
        attest,
        tags,
        checks,
        packages,
        unpinned: meaning.unpinned,
        shared: meaning.shared,
    };
    Read { manifest, report: meaning.report }
}

/// What interpreting needs at hand: the scope of templates, the manifest's directory, the report.
pub(super) struct Meaning {
    pub(super) scope: Scope,
    pub(super) directory: PathBuf,
    pub(super) shared: Option<Shared>,
    pub(super) report: Report,
    pub(super) unpinned: Vec<Unpinned>,
}

impl Meaning {
    /// What a relative path at this place counts from: the directory of the file that it stands in.
    pub(super) fn beside(&self, place: &Place) -> &Path {
        match &self.shared {
            Some(shared) if shared.holds(place) => &shared.root.directory,
            _ => &self.directory,
        }
    }

    /// Whether this is said in the defaults of a workspace rather than in the manifest.
    pub(super) fn inherits(&self, place: &Place) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.inherited.iter().any(|one| one.place == *place))
    }

    /// Renders a string; a failure is reported.
    pub(super) fn text(&mut self, spot: &Spot<String>) -> Option<String> {
        match self.scope.render(&spot.value) {
            Ok(text) => {
                if let Some(url) = password(&text) {
                    self.report.add(
                        Finding::error(
                            "credentials",
                            format!("a URL with a password for `{url}` stands in the manifest"),
                        )
                        .at(&spot.place, "")
                        .help("credentials never stand in the manifest; give them to the program when it runs"),
                    );
                    return None;
                }
                Some(text)
            }
            Err(failure) => {
                let mut finding = Finding::error("template", failure.message).at(&within(spot, failure.range), "");
                if let Some(help) = failure.help {
                    finding = finding.help(help);
                }
                self.report.add(finding);
                None
            }
        }
    }

    /// Renders and then parses a string; a failure of either is reported under `code`.
    pub(super) fn parsed<T>(
        &mut self,
        spot: &Spot<String>,
        code: &'static str,
        parse: impl FnOnce(&str) -> Result<T>,
    ) -> Option<T> {
        let text = self.text(spot)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                let mut finding = Finding::error(code, error.message()).at(&spot.place, "");
                finding.help.extend(error.hints().iter().cloned());
                self.report.add(finding);
                None
            }
        }
    }

    /// Renders each string of a list.
    pub(super) fn list(&mut self, view: &View, key: &str) -> Option<Vec<(String, Place)>> {
        let spots = view.list(key)?;
        Some(spots.value.iter().filter_map(|spot| Some((self.text(spot)?, spot.place.clone()))).collect())
    }

    fn created(&mut self, image: &View, outside: &Outside<'_>) -> Created {
        let fixed = Created::At(values::FIXED);
        let Some(spot) = image.text("created") else {
            return values::commit_time(self.scope.values.git(), outside, &mut self.report);
        };
        let Some(text) = self.text(spot) else { return fixed };
        match text.as_str() {
            "commit" => values::commit_time(self.scope.values.git(), outside, &mut self.report),
            "fixed" => fixed,
            text => match values::parse_time(text) {
                Some(seconds) => Created::At(seconds),
                None => {
                    self.report.add(
                        Finding::error("value", format!("`{}` is not a time", printable(text)))
                            .at(&spot.place, "expected \"commit\", \"fixed\" or RFC 3339 in whole seconds")
                            .help("as in \"2026-01-31T12:00:00Z\""),
                    );
                    fixed
                }
            },
        }
    }

    fn names(&mut self, image: &View) -> Vec<Repository> {
        let spots: Vec<Spot<String>> = match (image.text("name"), image.list("name")) {
            (Some(spot), _) => vec![spot.clone()],
            (None, Some(list)) => list.value.clone(),
            (None, None) => Vec::new(),
        };
        let mut names = Vec::new();
        for spot in &spots {
            let name = self.parsed(spot, "name", |text| without_scheme(text)?.parse::<Repository>());
            match name {
                Some(name) if names.contains(&name) => self
                    .report
                    .add(Finding::error("name", format!("`{name}` stands in the list twice")).at(&spot.place, "")),
                Some(name) => names.push(name),
                None => {}
            }
        }
        names
    }

    fn annotations(&mut self, written: &Written) -> Annotations {
        let mut annotations = Annotations::default();
        for (level, key, value) in &written.annotations {
            let Some(text) = self.text(value) else { continue };
            if key.value.is_empty() {
                self.report.add(Finding::error("value", "an annotation needs a name").at(&key.place, ""));
            }
            if *level != Some("manifest") {
                annotations.index.entry(key.value.clone()).or_insert_with(|| text.clone());
            }
            if *level != Some("index") {
                annotations.manifest.entry(key.value.clone()).or_insert(text);
            }
        }
        // A level's own value wins over one for all levels.
        for (level, key, value) in written.annotations.iter().filter(|(level, ..)| level.is_some()) {
            let Ok(text) = self.scope.render(&value.value) else { continue };
            let map = if *level == Some("index") { &mut annotations.index } else { &mut annotations.manifest };
            map.insert(key.value.clone(), text);
        }
        annotations
    }

    fn attest(&mut self, view: &View) -> Attest {
        let mut sbom: Vec<Bill> = Vec::new();
        for spot in view.list("sbom").map(|list| list.value.clone()).unwrap_or_default() {
            match self.parsed(&spot, "value", str::parse) {
                Some(bill) if sbom.contains(&bill) => {
                    let message = format!("`{}` stands in the list twice", bill.name());
                    self.report.add(Finding::error("conflict", message).at(&spot.place, ""));
                }
                bill => sbom.extend(bill),
            }
        }
        Attest { sbom, provenance: view.is("provenance") }
    }

    fn context(&mut self, image: &View, around: &Path) -> PathBuf {
        let Some(spot) = image.text("context") else { return around.to_path_buf() };
        let Some(text) = self.text(spot) else { return around.to_path_buf() };
        let path = self.directory.join(&text);
        match std::fs::canonicalize(&path) {
            Ok(path) if path.is_dir() => path,
            _ => {
                self.report.add(
                    Finding::error("missing-source", format!("the context `{}` is not a directory", printable(&text)))
                        .at(&spot.place, "")
                        .help("name a directory, relative to the manifest"),
                );
                around.to_path_buf()
            }
        }
    }

    fn platforms(&mut self, image: &View) -> Vec<Platform> {
        let mut platforms: Vec<Platform> = Vec::new();
        for (text, place) in self.list(image, "platforms").unwrap_or_default() {
            match text.parse::<Platform>() {
                Ok(platform) if platforms.contains(&platform) => {
                    self.report.add(
                        Finding::error("platform", format!("`{platform}` stands in the list twice")).at(&place, ""),
                    );
                }
                Ok(platform) => platforms.push(platform),
                Err(error) => {
                    let mut finding = Finding::error("platform", error.message()).at(&place, "");
                    let known = KNOWN.iter().map(|(name, _)| *name);
                    let linux = nearest(text.split('/').next().unwrap_or_default(), ["linux"].into_iter()).is_some();
                    finding = match nearest(&text, known.clone()) {
                        _ if text.contains('/') && !linux => {
                            finding.help(format!("images are made for linux: {}", known.collect::<Vec<_>>().join(", ")))
                        }
                        Some(near) => finding.help(format!("did you mean \"{near}\"?")),
                        None => finding.help(format!("known are: {}", known.collect::<Vec<_>>().join(", "))),
                    };
                    self.report.add(finding);
                }
            }
        }
        if platforms.is_empty() {
            platforms.extend("linux/amd64".parse::<Platform>().ok());
        }
        platforms
    }

    fn image(&mut self, written: &Written, platform: Platform) -> Image {
        self.scope.platform = Some(platform.clone());
        let image = Image {
            base: config::base(self, &written.image),
            compression: config::encoding(self, &written.image),
            hard_links: written.image.is("hard-links"),
            config: config::read(self, written),
            items: items::read(self, written),
            platform,
        };
        self.scope.platform = None;
        self.twins(&image);
        image
    }

    /// Names that may stand only once.
    fn twins(&mut self, image: &Image) {
        let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut doubles = Vec::new();
        for item in &image.items {
            let name = match &item.what {
                super::meant::What::User { name, .. } => ("user", name.as_str()),
                super::meant::What::Group { name, .. } => ("group", name.as_str()),
                _ => continue,
            };
            if !seen.insert(name) {
                doubles.push(
                    Finding::error("conflict", format!("the {} `{}` is declared twice", name.0, printable(name.1)))
                        .at(&item.place, "again here"),
                );
            }
        }
        doubles.into_iter().for_each(|finding| self.report.add(finding));
    }
}

/// The place of a part of a string, if the string is written without escapes; else of the whole.
fn within(spot: &Spot<String>, range: Option<std::ops::Range<usize>>) -> Place {
    let Place { text, span } = &spot.place;
    let raw = &text.text[span.clone()];
    match (range, raw.find(&spot.value)) {
        (Some(range), Some(at)) if !spot.value.is_empty() => {
            written::place_of(text, span.start + at + range.start..span.start + at + range.end)
        }
        _ => spot.place.clone(),
    }
}

/// The host of a URL that carries a password, if the text holds one.
fn password(text: &str) -> Option<String> {
    for (at, _) in text.match_indices("://") {
        let rest = &text[at + 3..];
        let authority = rest.split(|end: char| end == '/' || end.is_whitespace() || "\"'?#".contains(end)).next()?;
        if let Some((user, host)) = authority.rsplit_once('@')
            && user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
        {
            return Some(printable(host));
        }
    }
    None
}

/// A reference does not begin with `https://`.
pub(super) fn without_scheme(text: &str) -> Result<&str> {
    match text.split_once("://") {
        Some((scheme, rest)) if ["http", "https", "docker"].contains(&scheme) => {
            Err(crate::error::Error::usage(format!("`{}` is a URL, not an image reference", printable(text)))
                .hint(format!("write `{}`", printable(rest.rsplit('@').next().unwrap_or(rest)))))
        }
        _ => Ok(text),
    }
}

/// A path without `.` and `..`, as far as that can be said from the text alone.
pub(super) fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidy.components().next_back(), Some(Component::Normal(_))) => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}
