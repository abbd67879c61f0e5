//! Stage 6: what the sources of a plan are on this machine. Items in, listings out; what is missing or cannot be copied goes
//! into the report. Reads directories and file facts of the context, no content but templates and `.imageignore`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::walk::{Place as At, Walk};
use rustix::fs::FileType;

pub use self::walk::stays_inside;
use super::found::Found;
use super::ignore::{Globs, ImageIgnore};
use super::listing::Listing;
use super::read::seen;
use super::roots;
use crate::ctx::Ctx;
use crate::error::{Error, Finding, Place, Report, Result, printable};
use crate::manifest::grammar::nearest;
use crate::manifest::words::unexpanded;
use crate::manifest::{Archive, Copy, Item, Libraries, Manifest, Source, Template, TrustStore, What, Whence};
use crate::oci::Digest;

mod walk;

/// The ignore file beside the manifest.
pub const IMAGE_IGNORE: &str = ".imageignore";
/// Largest `.imageignore`, and largest file that is rendered, in bytes.
const MOST_TEXT: u64 = 16 << 20;

/// The sources of all items of all platforms, in their order; what several items share is looked at once.
pub fn gather(ctx: &Ctx, manifest: &Manifest, report: &mut Report) -> Result<Vec<Vec<Found>>> {
    let ignore = image_ignore(&manifest.directory, report)?;
    let context = fs::canonicalize(&manifest.context)
        .map_err(|cause| Error::io(format!("reading the context `{}`", manifest.context.display()), cause))?;
    let directory = fs::canonicalize(&manifest.directory).unwrap_or_else(|_| manifest.directory.clone());
    let mut gather =
        Gather { ctx, directory, context, ignore, report, known: BTreeMap::new(), warned: BTreeSet::new() };
    let mut all = Vec::new();
    for image in &manifest.images {
        let mut found = Vec::new();
        for item in &image.items {
            ctx.cancel.check()?;
            found.push(gather.item(item)?);
        }
        all.push(found);
    }
    Ok(all)
}

fn image_ignore(directory: &Path, report: &mut Report) -> Result<ImageIgnore> {
    let path = directory.join(IMAGE_IGNORE);
    let text = match read_text(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(ImageIgnore::default()),
        Err(cause) => return Err(Error::io(format!("reading `{IMAGE_IGNORE}`"), cause)),
    };
    Ok(ImageIgnore::parse(&text).unwrap_or_else(|error| {
        report.add(Finding::error("ignore", error.message()).help("it follows the syntax of `.dockerignore`"));
        ImageIgnore::default()
    }))
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let facts = fs::metadata(path)?;
    if !facts.is_file() || facts.len() > MOST_TEXT {
        return Err(std::io::Error::other(format!("it is not a plain file of at most {MOST_TEXT} bytes")));
    }
    fs::read_to_string(path)
}

struct Gather<'a> {
    ctx: &'a Ctx,
    directory: PathBuf,
    context: PathBuf,
    ignore: ImageIgnore,
    report: &'a mut Report,
    known: BTreeMap<(PathBuf, Vec<String>, Vec<String>), Found>,
    /// The sources that were warned about.
    warned: BTreeSet<usize>,
}

impl Gather<'_> {
    fn item(&mut self, item: &Item) -> Result<Found> {
        match &item.what {
            What::Binary { source, .. } | What::Libraries(Libraries { program: source, .. }) => {
                match self.resolve(source)? {
                    Some((_, facts)) if facts.is_dir() => {
                        self.report.add(
                            Finding::error("source", format!("`{}` is a directory", printable(&source.written)))
                                .at(&source.place, "a `[[binary]]` is one file")
                                .help("use `[[file]]` to copy a directory"),
                        );
                        Ok(Found::Nothing)
                    }
                    Some((path, facts)) => Ok(self.file(&source.written, source, path, &facts)),
                    None => Ok(Found::Nothing),
                }
            }
            What::Copy(copy) => self.copy(copy),
            What::Template(template) => self.template(template),
            What::Archive(Archive { location: Whence::File(source, _), .. }) => match self.resolve(source)? {
                Some((_, facts)) if facts.is_dir() => {
                    let finding = Finding::error("source", format!("`{}` is a directory", printable(&source.written)));
                    let finding = finding.at(&source.place, "an `[[archive]]` is one file");
                    self.report.add(finding.help("use `[[file]]` to copy a directory"));
                    Ok(Found::Nothing)
                }
                Some((path, facts)) => Ok(self.file(&source.written, source, path, &facts)),
                None => Ok(Found::Nothing),
            },
            What::TrustStore(store) => self.certificates(store),
            _ => Ok(Found::Nothing),
        }
    }

    /// The real path of a source and its facts; what is wrong with it is reported.
    fn resolve(&mut self, source: &Source) -> Result<Option<(PathBuf, Metadata)>> {
        let written = printable(&source.written);
        let path = match fs::canonicalize(&source.path) {
            Ok(path) => path,
            Err(cause) if [std::io::ErrorKind::NotFound, std::io::ErrorKind::NotADirectory].contains(&cause.kind()) => {
                self.missing(source);
                return Ok(None);
            }
            Err(cause) => {
                let finding = Finding::error("source", format!("`{written}` cannot be read: {cause}"));
                self.report.add(finding.at(&source.place, ""));
                return Ok(None);
            }
        };
        if !path.starts_with(&self.context) {
            self.report.add(
                Finding::error("outside", format!("`{written}` lies outside of the context"))
                    .at(&source.place, "")
                    .help(format!(
                        "sources lie in `{}`, {}; widen it with `[image] context = \"PATH\"`",
                        printable(&self.context.to_string_lossy()),
                        if self.context == self.directory { "the manifest's directory" } else { "the context" }
                    )),
            );
            return Ok(None);
        }
        let facts = fs::metadata(&path).map_err(|cause| Error::io(format!("reading `{written}`"), cause))?;
        if source.written.ends_with('/') && !facts.is_dir() {
            self.report.add(
                Finding::error("source", format!("`{written}` is not a directory"))
                    .at(&source.place, "")
                    .help("leave the last `/` out to copy the file"),
            );
            return Ok(None);
        }
        Ok(Some((path, facts)))
    }

    /// Reports a source that is not there, with the name that was probably meant.
    fn missing(&mut self, source: &Source) {
        let written = printable(&source.written);
        let mut finding = Finding::error("missing-source", format!("`{written}` does not exist")).at(&source.place, "");
        if let Some(help) = unexpanded(&source.written) {
            self.report.add(finding.help(help));
            return;
        }
        let first = source.path.ancestors().collect::<Vec<_>>().into_iter().rev().find(|path| !path.exists());
        if let Some((gone, parent, name)) =
            first.and_then(|path| Some((path, path.parent()?, path.file_name()?.to_str()?)))
        {
            let entries = fs::read_dir(parent).into_iter().flatten().flatten();
            let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
            names.sort();
            if let Some(near) = nearest(name, names.iter().map(String::as_str)) {
                let rest = source.path.strip_prefix(gone).unwrap_or(Path::new(""));
                let meant = parent.join(near);
                let whole = meant.join(rest);
                let meant = if whole.exists() && gone != source.path { whole } else { meant };
                finding = finding.at(&source.place, format!("did you mean `{}`?", self.shown(&meant)));
            } else if gone != source.path {
                finding = finding.help(format!("`{}` is missing already", self.shown(gone)));
            } else {
                finding = finding.help("paths are relative to the manifest; build what it names first");
            }
        }
        self.report.add(finding);
    }

    /// A path as one would write it in the manifest.
    fn shown(&self, path: &Path) -> String {
        printable(&path.strip_prefix(&self.directory).unwrap_or(path).to_string_lossy())
    }

    fn file(&mut self, written: &str, source: &Source, path: PathBuf, facts: &Metadata) -> Found {
        if let Some(kind) = special(FileType::from_raw_mode(facts.mode())) {
            self.report
                .add(Finding::error("source", format!("`{}` is {kind}", printable(written))).at(&source.place, ""));
            return Found::Nothing;
        }
        self.bits(|| printable(written), source, facts.mode());
        Found::File { path: path.into(), seen: seen(facts) }
    }

    /// setuid and setgid are only ever made where a mode says so. One warning for each source is enough.
    fn bits(&mut self, shown: impl FnOnce() -> String, source: &Source, mode: u32) {
        if mode & 0o6000 == 0 || !self.warned.insert(source.place.span.start) {
            return;
        }
        let message = format!("`{}` is setuid or setgid here, and will not be", shown());
        let help =
            "host modes are never copied; put the file in with an entry of its own and `mode = \"4755\"` if it must be";
        self.report.add(Finding::warning("host-mode", message).at(&source.place, "").help(help));
    }

    fn template(&mut self, template: &Template) -> Result<Found> {
        let source = &template.source;
        let Some((path, facts)) = self.resolve(source)? else { return Ok(Found::Nothing) };
        let written = printable(&source.written);
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(cause) => {
                let what = if facts.is_dir() { "it is a directory".into() } else { cause.to_string() };
                let finding = Finding::error("source", format!("`{written}` cannot be rendered: {what}"));
                self.report.add(finding.at(&source.place, "a template is one UTF-8 text file"));
                return Ok(Found::Nothing);
            }
        };
        match template.scope.render(&text) {
            Ok(rendered) => Ok(Found::Text(Arc::from(rendered.into_bytes()), Digest::of(text.as_bytes()))),
            Err(failure) => {
                let line = failure.range.map_or(1, |range| text[..range.start].matches('\n').count() + 1);
                let message = format!("`{written}` line {line}: {}", failure.message);
                let mut finding = Finding::error("template", message).at(&source.place, "rendered from here");
                finding.help.extend(failure.help);
                self.report.add(finding);
                Ok(Found::Nothing)
            }
        }
    }

    fn certificates(&mut self, store: &TrustStore) -> Result<Found> {
        let (mut all, mut digests) = (Vec::new(), Vec::new());
        for source in &store.files {
            let Some((path, _)) = self.resolve(source)? else { continue };
            let wrong = |why: String| {
                let message = format!("`{}` cannot be trusted: {why}", printable(&source.written));
                Finding::error("certificate", message).at(&source.place, "expected certificates in PEM")
            };
            match read_text(&path) {
                Err(cause) => self.report.add(wrong(cause.to_string())),
                Ok(text) => match roots::read(&text) {
                    Err((line, why)) => self.report.add(wrong(format!("line {line}: {why}"))),
                    Ok(certificates) => {
                        all.extend(certificates);
                        digests.push((source.written.clone(), Digest::of(text.as_bytes())));
                    }
                },
            }
        }
        Ok(Found::Certificates(Arc::new(all), digests))
    }

    fn copy(&mut self, copy: &Copy) -> Result<Found> {
        let Some((path, facts)) = self.resolve(&copy.source)? else { return Ok(Found::Nothing) };
        if !facts.is_dir() {
            for (glob, place) in copy.include.iter().chain(&copy.exclude) {
                let what = format!("`{}` has nothing to choose from, the source is a file", printable(glob));
                self.report.add(Finding::error("conflict", what).at(place, ""));
            }
            return Ok(self.file(&copy.source.written, &copy.source, path, &facts));
        }
        let key = (path.clone(), words(&copy.include), words(&copy.exclude));
        if let Some(found) = self.known.get(&key) {
            return Ok(found.clone());
        }
        let found = self.tree(copy, path)?;
        self.known.insert(key, found.clone());
        Ok(found)
    }

    fn tree(&mut self, copy: &Copy, root: PathBuf) -> Result<Found> {
        let Some(globs) = globs(&copy.include, &copy.exclude, &copy.source.place, self.report) else {
            return Ok(Found::Nothing);
        };
        let listing = Listing::new(root.clone());
        let mut walk = Walk { copy, globs, matched: vec![false; copy.include.len()], listing };
        let handle = walk::open(rustix::fs::CWD, &root).map_err(|cause| {
            Error::io(format!("reading the directory `{}`", printable(&copy.source.written)), cause)
        })?;
        self.walk(&mut walk, &At { handle, path: &root, below: "" }, 0)?;
        unmatched(&copy.include, &walk.matched, &copy.source.written, self.report);
        let mut listing = walk.listing;
        if copy.include.is_empty() && listing.is_empty() {
            self.report.add(
                Finding::error(
                    "empty-source",
                    format!("there is nothing to copy in `{}`", printable(&copy.source.written)),
                )
                .at(&copy.source.place, "it is empty, or all of it is excluded")
                .help("make an empty directory with `[[dir]]`"),
            );
        }
        listing.sort();
        Ok(Found::Tree(Arc::new(listing)))
    }
}

/// The globs of an item, unless one of them is wrong, which is told.
pub(super) fn globs(
    include: &[(String, Place)],
    exclude: &[(String, Place)],
    place: &Place,
    report: &mut Report,
) -> Option<Globs> {
    let globs = Globs::new(&words(include), &words(exclude));
    let told = globs.map_err(|(at, error)| {
        let place = include.iter().chain(exclude).nth(at).map_or(place, |(_, place)| place);
        let finding = Finding::error("glob", error.message()).at(place, "");
        report.add(finding.help("globs follow gitignore, as in `**/*.html`"));
    });
    told.ok()
}

/// Tells of each `include` that matched nothing.
pub(super) fn unmatched(include: &[(String, Place)], matched: &[bool], from: &str, report: &mut Report) {
    for ((glob, place), _) in include.iter().zip(matched).filter(|(_, matched)| !**matched) {
        let message = format!("`{}` matches nothing in `{}`", printable(glob), printable(from));
        let finding = Finding::error("empty-include", message).at(place, "");
        report.add(finding.help("globs follow gitignore and are relative to `src`"));
    }
}

fn words(globs: &[(String, Place)]) -> Vec<String> {
    globs.iter().map(|(glob, _)| glob.clone()).collect()
}

/// The name of a kind of file that cannot be copied.
fn special(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::Fifo => Some("a FIFO, which cannot be copied"),
        FileType::Socket => Some("a socket, which cannot be copied"),
        FileType::BlockDevice | FileType::CharacterDevice => Some("a device, which cannot be copied"),
        _ => None,
    }
}
