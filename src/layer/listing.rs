//! Stage 6: what was seen in a directory of this machine, or of one file: a row for each thing, in little memory. Pure values.

use std::fmt;
use std::path::{Path, PathBuf};

use super::tree::Seen;
use crate::error::{Error, Result};

/// One thing in a copied directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A file.
    File(Seen),
    /// A directory.
    Directory,
    /// A link and its target.
    Link(&'a str),
}

/// A directory's contents, sorted by path; or one file, whose path below the root is empty.
#[derive(Clone)]
pub struct Listing {
    root: Box<Path>,
    /// The paths and the targets of links, each ended by a NUL, which is in none of them.
    text: String,
    rows: Vec<Row>,
    devices: Vec<u64>,
}

/// One thing; 48 bytes.
#[derive(Clone, Copy)]
struct Row {
    size: u64,
    inode: u64,
    modified: i64,
    changed: i64,
    modified_nanoseconds: u32,
    changed_nanoseconds: u32,
    start: u32,
    device: u16,
    sort: Sort,
}

#[derive(Clone, Copy)]
enum Sort {
    File,
    Directory,
    Link,
}

impl Row {
    fn new(seen: Seen, start: u32, device: u16, sort: Sort) -> Row {
        Row {
            size: seen.size,
            inode: seen.inode.1,
            modified: seen.modified.0,
            changed: seen.changed.0,
            modified_nanoseconds: seen.modified.1 as u32,
            changed_nanoseconds: seen.changed.1 as u32,
            start,
            device,
            sort,
        }
    }
}

impl Listing {
    /// A listing of nothing below `root`.
    pub fn new(root: PathBuf) -> Listing {
        Listing { root: root.into(), text: String::new(), rows: Vec::new(), devices: Vec::new() }
    }

    /// The listing of one file.
    pub fn file(path: &Path, seen: Seen) -> Listing {
        let rows = vec![Row::new(seen, 0, 0, Sort::File)];
        Listing { root: path.into(), text: "\0".to_string(), rows, devices: vec![seen.inode.0] }
    }

    /// Adds a thing; [`Listing::sort`] follows the last one.
    pub fn push(&mut self, path: &str, kind: Kind<'_>) -> Result<()> {
        let (sort, seen, target) = match kind {
            Kind::File(seen) => (Sort::File, seen, None),
            Kind::Directory => (Sort::Directory, Seen::NOTHING, None),
            Kind::Link(target) => (Sort::Link, Seen::NOTHING, Some(target)),
        };
        let too_much = |_| Error::usage(format!("`{}` holds more names than can be listed", self.root.display()));
        let start = u32::try_from(self.text.len()).map_err(too_much)?;
        let known = self.devices.iter().position(|device| *device == seen.inode.0);
        let device = u16::try_from(known.unwrap_or(self.devices.len())).map_err(too_much)?;
        if known.is_none() {
            self.devices.push(seen.inode.0);
        }
        for text in [Some(path), target].into_iter().flatten() {
            self.text.push_str(text);
            self.text.push('\0');
        }
        self.rows.push(Row::new(seen, start, device, sort));
        Ok(())
    }

    /// Brings the paths into their order.
    pub fn sort(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        // The NUL that ends a path is less than any byte of another one.
        let text = self.text.as_bytes();
        rows.sort_unstable_by(|one, two| text[one.start as usize..].cmp(&text[two.start as usize..]));
        rows.shrink_to_fit();
        self.text.shrink_to_fit();
        self.rows = rows;
    }

    /// The directory, or the file.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How many things there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All paths and what they are.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Kind<'_>)> {
        self.rows.iter().map(|row| {
            let path = self.text(row.start as usize);
            let kind = match row.sort {
                Sort::File => Kind::File(self.seen(row)),
                Sort::Directory => Kind::Directory,
                Sort::Link => Kind::Link(self.text(row.start as usize + path.len() + 1)),
            };
            (path, kind)
        })
    }

    /// The path below the root and the facts of the file in this row.
    pub(super) fn row(&self, at: u32) -> (&str, Seen) {
        let row = &self.rows[at as usize];
        (self.text(row.start as usize), self.seen(row))
    }

    fn text(&self, start: usize) -> &str {
        let text = &self.text[start..];
        text.find('\0').map_or(text, |end| &text[..end])
    }

    fn seen(&self, row: &Row) -> Seen {
        Seen {
            size: row.size,
            inode: (self.devices[usize::from(row.device)], row.inode),
            modified: (row.modified, row.modified_nanoseconds.into()),
            changed: (row.changed, row.changed_nanoseconds.into()),
        }
    }
}

impl PartialEq for Listing {
    fn eq(&self, other: &Listing) -> bool {
        self.root == other.root && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Listing").field("root", &self.root).field("things", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Listing, Row};
    use crate::layer::tree::Seen;

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let seen = Seen { size: 1 << 40, inode: (7, u64::MAX), modified: (-5, 999_999_999), changed: (1 << 40, 1) };
        let other = Seen { inode: (8, 1), ..seen };
        let mut listing = Listing::new("/root".into());
        for (path, kind) in
            [("a/b", Kind::File(seen)), ("a.b", Kind::Link("../x")), ("a", Kind::Directory), ("a/a", Kind::File(other))]
        {
            listing.push(path, kind).unwrap();
        }
        listing.sort();
        let all = [
            ("a", Kind::Directory),
            ("a.b", Kind::Link("../x")),
            ("a/a", Kind::File(other)),
            ("a/b", Kind::File(seen)),
        ];
        assert!(listing.iter().eq(all));
        assert_eq!(listing.row(2), ("a/a", other));
        assert_eq!((listing.len(), size_of::<Row>()), (4, 48));
    }
}
