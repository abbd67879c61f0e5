//! Stage 6: what archives hold, and other images. Items in; what is taken of each, with its bytes in the store, out. What is wrong goes into
//! the report, all of it at once. Reads archives of the context; may fetch, and use the store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::found::{Brought, Found, Piece};
use super::libraries;
use super::read;
use super::select::{Chosen, Kind, Offer, Rules, select};
use super::tree::{Body, Content, Seen};
use crate::ctx::Ctx;
use crate::error::{Error, Finding, Kind as Who, Place, Report, Result, printable};
use crate::event::Event;
use crate::manifest::grammar::nearest;
use crate::manifest::{Archive, Item, Manifest, Taken, What, Whence};
use crate::oci::Digest;
use crate::source::{self, Member, Node, Strata, archive, member};

/// How many files are fetched at the same time.
const AT_ONCE: usize = 4;
/// Looks into the archives and images of all items of all platforms; `found` are their sources so far. What several items share is read
/// once.
pub async fn bring(
    ctx: &Ctx,
    manifest: &Manifest,
    found: &[Vec<Found>],
    report: &mut Report,
) -> Result<Vec<Vec<Found>>> {
    fetch(ctx, manifest).await?;
    let mut known = Known::default();
    let mut all = Vec::new();
    for (image, found) in manifest.images.iter().zip(found) {
        let mut brought = Vec::new();
        for (item, found) in image.items.iter().zip(found) {
            ctx.cancel.check()?;
            let (place, result) = match &item.what {
                What::Archive(archive) => {
                    (archive.location.place(), known.archive(ctx, item, archive, found, report).await)
                }
                What::Taken(taken) => (&taken.place, self::taken(ctx, item, taken, report).await),
                What::Libraries(wanted) => (&wanted.place, libraries::bring(ctx, item, wanted, found).await),
                _ => {
                    brought.push(found.clone());
                    continue;
                }
            };
            brought.push(match result {
                Ok(found) => found,
                Err(error) => {
                    let code = if matches!(item.what, What::Libraries(_)) { "libs" } else { item.table };
                    report.add(finding(error, code, place)?);
                    Found::Nothing
                }
            });
        }
        all.push(brought);
    }
    Ok(all)
}

/// Fetches the archives that are on the web, several at once. What fails is told later, by whom it is needed.
async fn fetch(ctx: &Ctx, manifest: &Manifest) -> Result<()> {
    let mut wanted: BTreeMap<Digest, &str> = BTreeMap::new();
    for item in manifest.images.iter().flat_map(|image| &image.items) {
        if let What::Archive(Archive { location: Whence::Web { url, digest, .. }, .. }) = &item.what {
            wanted.entry(*digest).or_insert(url);
        }
    }
    if wanted.len() > 1 {
        let fetches = wanted.iter().map(|(digest, url)| source::fetch_file(ctx, url, digest));
        let _: Vec<Result<()>> = stream::iter(fetches.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
    }
    ctx.cancel.check()
}

/// An error as a finding at its place; our bugs and the wish to stop stay errors.
fn finding(error: Error, code: &'static str, place: &Place) -> Result<Finding> {
    if matches!(error.kind(), Who::Bug | Who::Interrupted | Who::Terminated) {
        return Err(error);
    }
    let messages: Vec<String> = [error.message().to_string()].into_iter().chain(error.causes()).collect();
    let mut finding = Finding::error(code, messages.join(": ")).kind(error.kind()).at(place, "");
    finding.help.extend(error.hints().iter().cloned());
    Ok(finding)
}

/// The archives that were read in this run, by where they are.
#[derive(Default)]
struct Known(BTreeMap<String, (Digest, Arc<Vec<Member>>)>);

impl Known {
    async fn archive(
        &mut self,
        ctx: &Ctx,
        item: &Item,
        archive: &Archive,
        found: &Found,
        report: &mut Report,
    ) -> Result<Found> {
        let name = archive.location.written();
        let key = match &archive.location {
            Whence::File(source, digest) => format!("{} {digest:?}", source.path.display()),
            Whence::Web { digest, .. } => digest.to_string(),
        };
        let (digest, members) = match self.0.get(&key) {
            Some(known) => known.clone(),
            None => {
                let Some(read) = read_archive(ctx, &archive.location, found).await? else { return Ok(Found::Nothing) };
                self.0.entry(key).or_insert(read).clone()
            }
        };
        let rules = Rules {
            from: name,
            place: archive.location.place(),
            pick: &archive.pick,
            strip: archive.strip,
            mode: item.mode,
            image: false,
        };
        let offers: Vec<Offer<'_>> = members.iter().map(offer).collect();
        let chosen = select(&offers, &rules, report);
        let text = format!("{}: {} of {} entries taken", printable(name), chosen.len(), members.len());
        ctx.say(Event::Detail { text });
        let body = |chosen: &Chosen| match &members[chosen.at].body {
            member::Body::File(stretch) => Body::File(Content::Stored(Box::new(*stretch))),
            member::Body::Link(target) => Body::Link(target.as_str().into()),
            member::Body::Directory | member::Body::Device => Body::Directory,
        };
        let piece = |chosen: Chosen| Piece { body: body(&chosen), path: chosen.path, mode: chosen.mode };
        Ok(Found::Brought(Brought { from: digest, pieces: Arc::new(chosen.into_iter().map(piece).collect()) }))
    }
}

fn offer(member: &Member) -> Offer<'_> {
    let kind = match &member.body {
        member::Body::File(_) => Kind::File,
        member::Body::Directory => Kind::Directory,
        member::Body::Link(target) => Kind::Link(target),
        member::Body::Device => Kind::Odd("a device or FIFO"),
    };
    Offer { path: &member.path, kind, mode: member.mode }
}

/// The digest of an archive and what is in it; none for one that is not there, which was told.
async fn read_archive(ctx: &Ctx, location: &Whence, found: &Found) -> Result<Option<(Digest, Arc<Vec<Member>>)>> {
    let (task, name) = (ctx.clone(), printable(location.written()));
    let members = match (location, found) {
        (Whence::Web { url, digest, .. }, _) => {
            source::fetch_file(ctx, url, digest).await?;
            let digest = *digest;
            source::blocking(move || {
                let opened = task.store.open(&digest)?;
                let (file, _) = opened.ok_or_else(|| Error::local(format!("{digest} vanished from the store")))?;
                Ok((digest, archive::read(&task, &name, &digest, file, || Ok(()))?))
            })
            .await?
        }
        (Whence::File(_, expected), Found::File { path, seen }) => {
            let (path, seen, expected) = (path.clone(), *seen, *expected);
            source::blocking(move || local(&task, &name, &path, seen, expected)).await?
        }
        _ => return Ok(None),
    };
    Ok(Some((members.0, Arc::new(members.1))))
}

fn local(ctx: &Ctx, name: &str, path: &Path, seen: Seen, expected: Option<Digest>) -> Result<(Digest, Vec<Member>)> {
    let digest = digest(ctx, path, seen)?;
    if let Some(expected) = expected.filter(|expected| *expected != digest) {
        return Err(Error::usage(format!("`{name}` has the digest {digest}, `sha256` says {expected}"))
            .hint("take the right file, or write the digest of this one"));
    }
    let opened = read::open(path.to_path_buf(), seen)?;
    let Some(file) = opened.file() else { return Err(Error::bug("an archive is no file")) };
    let file = file.try_clone().map_err(|cause| Error::io(format!("reading `{name}`"), cause))?;
    // It is the same file as when its digest was taken, or what was read of it does not count.
    let members = archive::read(ctx, name, &digest, file, || opened.verify())?;
    Ok((digest, members))
}

/// The digest of a file, which must be what was seen.
pub(super) fn digest(ctx: &Ctx, path: &Path, seen: Seen) -> Result<Digest> {
    read::digest(ctx, read::open(path.to_path_buf(), seen)?)
}

/// Takes files out of another image; only what is chosen is fetched.
async fn taken(ctx: &Ctx, item: &Item, taken: &Taken, report: &mut Report) -> Result<Found> {
    let image = source::image(ctx, &taken.from, &taken.platform).await?;
    let from = image.named.unwrap_or_else(|| Digest::of(b""));
    let mut strata = Strata::new(ctx, &image);
    let Some(seat) = strata.at(&taken.path).await? else {
        return Err(missing(&mut strata, taken).await?);
    };
    let written = format!("{} of {}", taken.path, taken.from);
    let mut rules =
        Rules { from: &written, place: &taken.place, pick: &taken.pick, strip: 0, mode: item.mode, image: true };
    let nodes: Vec<(String, Node)> = match seat.node.kind {
        source::Kind::Directory => strata
            .below(&seat.path)
            .await?
            .into_iter()
            .map(|(path, node)| match String::from_utf8(path.into()) {
                Ok(path) => (path, node),
                // It cannot be taken, but it can be left out.
                Err(odd) => {
                    (String::from_utf8_lossy(odd.as_bytes()).into_owned(), Node { kind: source::Kind::Other, ..node })
                }
            })
            .collect(),
        _ if taken.path.ends_with('/') => {
            return Err(Error::usage(format!("`{}` is no directory of `{}`", taken.path, taken.from)));
        }
        _ => {
            if let Some((glob, place)) = taken.pick.include.iter().chain(&taken.pick.exclude).next() {
                let what = format!("`{}` has nothing to choose from, the source is a file", printable(glob));
                report.add(Finding::error("conflict", what).at(place, ""));
            }
            rules.from = &taken.path;
            // A lone file has no path from there.
            vec![(String::new(), seat.node)]
        }
    };
    let offers: Vec<Offer<'_>> = nodes.iter().map(|(path, node)| offered(path, node)).collect();
    let chosen = select(&offers, &rules, report);
    ctx.say(Event::Detail { text: format!("{written}: {} of {} taken", chosen.len(), nodes.len()) });
    let pieces = bodies(ctx, &image, &nodes, chosen).await?;
    Ok(Found::Brought(Brought { from, pieces: Arc::new(pieces) }))
}

fn offered<'a>(path: &'a str, node: &'a Node) -> Offer<'a> {
    let kind = match &node.kind {
        source::Kind::File { .. } if node.bytes.is_none() => Kind::Odd("a sparse file"),
        source::Kind::File { .. } => Kind::File,
        source::Kind::Directory => Kind::Directory,
        source::Kind::Link(target) => match std::str::from_utf8(target) {
            Ok(target) if !target.is_empty() => Kind::Link(target),
            _ => Kind::Odd("a link to what is no UTF-8"),
        },
        source::Kind::Other if path.contains('\u{fffd}') => Kind::Odd("a name that is no UTF-8"),
        source::Kind::Other => Kind::Odd("a device or FIFO"),
    };
    Offer { path, kind, mode: node.mode }
}

/// Brings the bytes of the chosen files of an image into the store.
async fn bodies(ctx: &Ctx, image: &source::Base, nodes: &[(String, Node)], chosen: Vec<Chosen>) -> Result<Vec<Piece>> {
    let file = |chosen: &Chosen| match &nodes[chosen.at].1 {
        Node { kind: source::Kind::File { size }, bytes: Some(bytes), .. } => Some((*bytes, *size)),
        _ => None,
    };
    let wanted: Vec<_> = chosen.iter().filter_map(file).collect();
    let mut stretches = source::parts(ctx, image, &wanted).await?.into_iter();
    let mut pieces = Vec::new();
    for chosen in chosen {
        let body = match &nodes[chosen.at].1.kind {
            source::Kind::File { .. } => match stretches.next() {
                Some(stretch) => Body::File(Content::Stored(Box::new(stretch))),
                None => return Err(Error::bug("a file of an image was not taken")),
            },
            source::Kind::Link(target) => Body::Link(String::from_utf8_lossy(target).into()),
            source::Kind::Directory | source::Kind::Other => Body::Directory,
        };
        pieces.push(Piece { body, path: chosen.path, mode: chosen.mode });
    }
    Ok(pieces)
}

/// The error for a path that an image does not have, with the name that was probably meant.
async fn missing(strata: &mut Strata<'_>, taken: &Taken) -> Result<Error> {
    let error = Error::usage(format!("`{}` does not exist in `{}`", printable(&taken.path), taken.from));
    let mut path = taken.path.trim_matches('/');
    while let Some((directory, name)) = path.rsplit_once('/').or((!path.is_empty()).then_some(("", path))) {
        if let Some(seat) = strata.at(directory).await?.filter(|seat| seat.node.kind == source::Kind::Directory) {
            let below = strata.below(&seat.path).await?;
            let names =
                below.keys().filter(|path| !path.contains(&b'/')).filter_map(|name| std::str::from_utf8(name).ok());
            let slash = if directory.is_empty() { "" } else { "/" };
            return Ok(match nearest(name, names) {
                Some(near) => error.hint(format!("did you mean `/{directory}{slash}{}`?", printable(near))),
                None => error.hint(format!("`/{}` is missing already", printable(path))),
            });
        }
        path = directory;
    }
    Ok(error)
}
