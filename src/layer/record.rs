//! Stage 6: a layer that was made as bytes, so that it need not be made again to be named. A packed layer and its tree in, compact bytes
//! out, and back. Pure.

use super::known::table::{read_facts, write_facts};
use super::look::Contents;
use super::pack::{LINK_MODE, PLAIN_MODE, PROGRAM_MODE, Packed};
use super::tree::{Body, Mode, Tree};
use crate::oci::media::Compression;
use crate::oci::{Descriptor, DiffId, Digest};
use crate::source::memo::{In, Out};

/// A layer as bytes.
pub fn write(packed: &Packed, tree: &Tree) -> Vec<u8> {
    let mut out = Out::default();
    out.bytes(packed.descriptor.digest.bytes());
    out.number(packed.descriptor.size);
    out.bytes(packed.diff_id.0.bytes());
    out.number(packed.tar_size);
    let told = tree.values().zip(&packed.modes).filter(|(entry, _)| entry.mode == Mode::ByContent);
    let programs: Vec<u8> = told.map(|(_, mode)| u8::from(*mode == PROGRAM_MODE)).collect();
    out.bytes(&programs);
    out.number(packed.facts.len() as u64);
    for (path, facts) in &packed.facts {
        out.bytes(path.as_bytes());
        write_facts(&mut out, facts);
    }
    out.bytes
}

/// The layer of this tree that these bytes are.
pub fn read(bytes: &[u8], tree: &Tree, compression: Compression) -> Option<Packed> {
    let mut input = In::new(bytes);
    let digest = Digest::from_bytes(input.bytes()?)?;
    let size = input.number()?;
    let diff_id = DiffId(Digest::from_bytes(input.bytes()?)?);
    let tar_size = input.number()?;
    let mut programs = input.bytes()?.iter();
    let mut modes = Vec::with_capacity(tree.len());
    for entry in tree.values() {
        modes.push(match (&entry.body, entry.mode) {
            (Body::Link(_), _) => LINK_MODE,
            (_, Mode::Fixed(mode)) => mode,
            (_, Mode::ByContent) if *programs.next()? == 1 => PROGRAM_MODE,
            (_, Mode::ByContent) => PLAIN_MODE,
        });
    }
    let mut facts = Contents::new();
    for _ in 0..input.number()? {
        let path = std::str::from_utf8(input.bytes()?).ok()?;
        facts.insert(path.to_string(), read_facts(&mut input)?);
    }
    let descriptor = Descriptor::new(compression.layer(), digest, size);
    let whole = programs.next().is_none() && input.rest.is_empty();
    whole.then_some(Packed { descriptor, diff_id, tar_size, modes, facts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::tests::{blob, directory, inline, link, tree};

    #[test]
    fn a_layer_is_recalled_whole_or_not_at_all() {
        let token = format!("{}{}", "ghp_", "Zq3vKx9TbW2mLr8NdYc5HjPf7GsA4eUo1iXy");
        let mut by_content = inline(b"#!/bin/sh\n");
        by_content.mode = Mode::ByContent;
        let mut plain = inline(b"text");
        plain.mode = Mode::ByContent;
        let tree = tree([
            ("a", by_content),
            ("b", plain),
            ("c", link("a")),
            ("d", directory()),
            ("e", inline(token.as_bytes())),
        ]);
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let (packed, _) = blob(&tree, compression);
            assert_eq!((packed.facts.len(), packed.modes[..2].to_vec()), (1, vec![0o755, 0o644]));
            let bytes = write(&packed, &tree);
            assert_eq!(read(&bytes, &tree, compression).as_ref(), Some(&packed));
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut], &tree, compression), None, "{cut}");
            }
            let other = crate::layer::tests::tree([("a", inline(b"of another tree"))]);
            assert_eq!(read(&bytes, &other, compression), None, "another tree");
        }
    }
}
