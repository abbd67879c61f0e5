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
    let mut out = Out { sink, header: Vec::new() };
    for (at, (path, entry)) in tree.tree.iter().enumerate() {
        cancel.check()?;
        let number = tree.number(at);
        let (mode, facts) = match number.and_then(|number| firsts.find(number, entry)) {
            Some(first) => (out.begin(path, entry, first.mode, (0, Some(first.to)))?, first.facts),
            None => {
                let (mode, program, facts) = out.entry(path, entry)?;
                number.into_iter().for_each(|number| firsts.add(number, path, entry, mode, (program, &facts)));
                (mode, facts)
            }
        };
        modes.push(mode);
        if !facts.is_empty() {
            contents.insert(path.to_string(), facts);
        }
    }
    out.sink.put(&tar::END)?;
    Ok((modes, contents))
}

/// Where a tar goes, and room for a header.
struct Out<'a, S> {
    sink: &'a mut S,
    header: Vec<u8>,
}

impl<S: Sink> Out<'_, S> {
    /// Writes what stands before the content of an entry, or a link in its place; its mode.
    fn begin(&mut self, path: &str, entry: &Entry, mode: u16, (size, twin): (u64, Option<&str>)) -> Result<u16, Stop> {
        let header = &mut self.header;
        header.clear();
        let blame = |error: Error| PackError { item: Some(entry.item), error };
        tar::header(path, entry, mode, (size, twin), header).map_err(blame)?;
        let extent = (header.len() as u64).saturating_add(size).saturating_add(tar::padding(size) as u64);
        self.sink.entry(path, extent)?;
        self.sink.put(header)?;
        Ok(mode)
    }

    /// Writes a whole entry; its mode, whether its content is a program, and what it says.
    fn entry(&mut self, path: &str, entry: &Entry) -> Result<(u16, bool, Facts), Stop> {
        match &entry.body {
            Body::Link(_) => Ok((self.begin(path, entry, LINK_MODE, (0, None))?, false, Facts::default())),
            Body::Directory | Body::Whiteout => match entry.mode {
                Mode::Fixed(mode) => Ok((self.begin(path, entry, mode, (0, None))?, false, Facts::default())),
                Mode::ByContent => {
                    let error = Error::bug(format!("packing the entry `{path}`: its mode is not set"));
                    Err(PackError { item: Some(entry.item), error }.into())
                }
            },
            Body::File(content) => {
                let (program, open) = self.sink.open(entry, content)?;
                let mode = self.begin(path, entry, mode_of(entry.mode, program), (content.size(), None))?;
                let facts = self.sink.pour(entry, content, open)?;
                self.sink.put(tar::END.get(..tar::padding(content.size())).unwrap_or_default())?;
                Ok((mode, program, facts))
            }
        }
    }
}
