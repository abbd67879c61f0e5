//! Stage 6: one tree as a tar of format 1 (`docs/format-1.md`): what stands in it, in which order. A tree in; headers and contents told to a
//! [`Sink`], the entries' modes and what their contents say out. Touches nothing by itself.

use super::look::Contents;
use super::pack::{LINK_MODE, PackError, mode_of};
use super::pipe::Stop;
use super::tar;
use super::tree::{Body, Content, Entry, Mode};
use super::twins::{Firsts, Twinned};
use crate::error::Error;
use crate::event::Cancel;
use crate::facts::Facts;

/// Takes a tar, piece by piece.
pub trait Sink {
    /// A content on its way.
    type Open;

    /// Opens the content of a file: whether its first bytes make it a program, and what [`Sink::pour`] needs.
    fn open(&mut self, entry: &Entry, content: &Content) -> Result<(bool, Self::Open), Stop>;

    /// An entry of this path begins, which takes so many bytes of the tar.
    fn entry(&mut self, path: &str, extent: u64) -> Result<(), Stop>;

    /// The next bytes.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Stop>;

    /// The next bytes are a whole content; what it says.
    fn pour(&mut self, entry: &Entry, content: &Content, open: Self::Open) -> Result<Facts, Stop>;
}

/// Writes the whole tar and returns the entries' modes and what their contents say.
pub fn write(tree: &Twinned, cancel: &Cancel, sink: &mut impl Sink) -> Result<(Vec<u16>, Contents), Stop> {
    let mut firsts = Firsts::default();
    let (mut modes, mut contents) = (Vec::with_capacity(tree.tree.len()), Contents::new());
    for (at, (path, entry)) in tree.tree.iter().enumerate() {
        cancel.check()?;
        let number = tree.number(at);
        let (mode, facts) = match number.and_then(|number| firsts.find(number, entry)) {
            Some(first) => (begin(path, entry, first.mode, (0, Some(first.to)), sink)?, first.facts),
            None => {
                let (mode, program, facts) = write_entry(path, entry, sink)?;
                number.into_iter().for_each(|number| firsts.add(number, path, entry, mode, (program, &facts)));
                (mode, facts)
            }
        };
        modes.push(mode);
        if !facts.is_empty() {
            contents.insert(path.to_string(), facts);
        }
    }
    sink.put(&tar::END)?;
    Ok((modes, contents))
}

/// Writes what stands before the content of an entry, or a link in its place; its mode.
fn begin(
    path: &str,
    entry: &Entry,
    mode: u16,
    (size, twin): (u64, Option<&str>),
    sink: &mut impl Sink,
) -> Result<u16, Stop> {
    let mut header = Vec::new();
    let blame = |error: Error| PackError { item: Some(entry.item), error };
    tar::header(path, entry, mode, (size, twin), &mut header).map_err(blame)?;
    sink.entry(path, (header.len() as u64).saturating_add(size).saturating_add(tar::padding(size) as u64))?;
    sink.put(&header)?;
    Ok(mode)
}

/// Writes a whole entry; its mode, whether its content is a program, and what it says.
fn write_entry(path: &str, entry: &Entry, sink: &mut impl Sink) -> Result<(u16, bool, Facts), Stop> {
    match &entry.body {
        Body::Link(_) => Ok((begin(path, entry, LINK_MODE, (0, None), sink)?, false, Facts::default())),
        Body::Directory | Body::Whiteout => match entry.mode {
            Mode::Fixed(mode) => Ok((begin(path, entry, mode, (0, None), sink)?, false, Facts::default())),
            Mode::ByContent => {
                let error = Error::bug(format!("packing the entry `{path}`: its mode is not set"));
                Err(PackError { item: Some(entry.item), error }.into())
            }
        },
        Body::File(content) => {
            let (program, open) = sink.open(entry, content)?;
            let mode = begin(path, entry, mode_of(entry.mode, program), (content.size(), None), sink)?;
            let facts = sink.pour(entry, content, open)?;
            sink.put(tar::END.get(..tar::padding(content.size())).unwrap_or_default())?;
            Ok((mode, program, facts))
        }
    }
}
