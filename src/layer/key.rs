//! Stage 6: what a layer is known by: a digest over all that decides its bytes. A tree and the identities of its contents in, a digest out.
//! Pure.

use sha2::{Digest as _, Sha256};

use super::tree::{Body, Content, Mode, Tree};
use crate::oci::Digest;
use crate::oci::media::Encoding;

/// What else decides the bytes: the format of layers (`docs/format-1.md`), and the program that made them.
const FORMAT: &str = concat!("stillframe layer, format 1, ", env!("CARGO_PKG_VERSION"));

/// How the entries of a layer become its bytes.
#[derive(Clone, Copy)]
pub struct Form {
    /// How they are compressed.
    pub compression: Encoding,
    /// Whether equal files are stored once.
    pub hard_links: bool,
}

/// The key of a layer; `None` where the identity of a content is not known. Two trees of one key make the same bytes.
pub fn key(tree: &Tree, form: Form, id: impl Fn(&Content) -> Option<Digest>) -> Option<Digest> {
    let mut sum = Sum::new("contents", form);
    for (path, entry) in tree {
        sum.text(path);
        sum.text(match &entry.body {
            Body::Directory => "directory",
            Body::Whiteout => "whiteout",
            Body::Link(_) => "link",
            Body::File(_) => "file",
        });
        match &entry.body {
            Body::Directory | Body::Whiteout => {}
            Body::Link(target) => sum.text(target),
            Body::File(content) => {
                sum.number(content.size());
                sum.0.update(id(content)?.bytes());
            }
        }
        sum.number(match entry.mode {
            Mode::Fixed(mode) => mode.into(),
            Mode::ByContent => u64::MAX,
        });
        [entry.uid.into(), entry.gid.into(), entry.capabilities].into_iter().for_each(|number| sum.number(number));
    }
    Some(Digest::finish(sum.0))
}

/// The same without what the contents are: layers of other shapes are others.
pub fn shape(tree: &Tree, form: Form) -> Digest {
    let mut sum = Sum::new("shape", form);
    for (path, entry) in tree {
        sum.text(path);
        if let Body::File(content) = &entry.body {
            sum.number(content.size());
        }
    }
    Digest::finish(sum.0)
}

/// What the blocks of the last layer of a name are known by, in a project.
pub fn blocks(project: &Digest, layer: &str, form: Form) -> Digest {
    let mut sum = Sum::new("blocks", form);
    sum.0.update(project.bytes());
    sum.text(layer);
    Digest::finish(sum.0)
}

/// A digest over texts and numbers, none of which runs into the next.
struct Sum(Sha256);

impl Sum {
    fn new(what: &str, form: Form) -> Sum {
        let mut sum = Sum(Sha256::new());
        [FORMAT, what, form.compression.kind.name()].into_iter().for_each(|text| sum.text(text));
        [form.compression.level.into(), form.hard_links.into()].into_iter().for_each(|number| sum.number(number));
        sum
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::tests::{directory, inline, link, tree};
    use crate::layer::tree::Entry;
    use crate::oci::media::Compression;

    fn form(level: u8) -> Form {
        Form { compression: Encoding { kind: Compression::Gzip, level }, hard_links: false }
    }

    #[test]
    fn all_that_decides_a_byte_decides_the_key() {
        let id = |content: &Content| match content {
            Content::Inline(bytes) => Some(Digest::of(bytes)),
            _ => None,
        };
        let of = |entries: [(&str, Entry); 2]| key(&tree(entries), form(6), id).unwrap();
        let plain = || [("a", inline(b"one")), ("b", link("a"))];
        let mut changed = vec![
            [("a", inline(b"two")), ("b", link("a"))],
            [("a", inline(b"one")), ("b", link("b"))],
            [("a", inline(b"one")), ("c", link("a"))],
            [("a", directory()), ("b", link("a"))],
            [("a", inline(b"on")), ("eb", link("a"))],
        ];
        type Change = fn(&mut Entry);
        let changes: [Change; 5] = [
            |entry| entry.uid = 1,
            |entry| entry.gid = 1,
            |entry| entry.capabilities = 1,
            |entry| entry.mode = Mode::Fixed(0o600),
            |entry| entry.mode = Mode::ByContent,
        ];
        for change in changes {
            let mut entries = plain();
            change(&mut entries[0].1);
            changed.push(entries);
        }
        let mut keys: Vec<Digest> = changed.into_iter().map(of).chain([of(plain())]).collect();
        keys.push(key(&tree(plain()), Form { compression: Compression::Zstd.into(), hard_links: false }, id).unwrap());
        for level in [1, 12] {
            keys.push(key(&tree(plain()), form(level), id).unwrap());
        }
        keys.push(key(&tree(plain()), Form { hard_links: true, ..form(6) }, id).unwrap());
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
        let mut other = plain();
        other[0].1.item = 7;
        assert_eq!(of(other), of(plain()), "what only messages need decides nothing");
        assert_eq!(key(&tree(plain()), form(6), |_| None), None, "a content that is not known");
        assert_eq!(shape(&tree(plain()), form(6)), shape(&tree([("a", inline(b"two")), ("b", link("a"))]), form(6)));
    }
}
