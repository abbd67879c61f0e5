//! Stage 6: a compressed block depends on its content and whether it is the last; a spoiled one is noticed.

use std::io::Read;

use super::deflate::read_back;
use super::{Block, Reader, equal, pack, seal};
use crate::layer::tests::{ALL, noise, prose};
use crate::oci::media::{Compression, Encoding};

fn packed(compression: impl Into<Encoding>, block: Block, out: &mut Vec<u8>) -> Vec<u8> {
    pack(compression.into(), block, out).unwrap();
    out.clone()
}

#[test]
fn what_a_buffer_held_before_does_not_matter() {
    let (text, random, mut used_reader) = (prose(2, 300_000), noise(3, 400_000), Reader::default());
    for compression in ALL {
        for content in [text.as_slice(), &random, &[], b"x"] {
            for last in [false, true] {
                let block = Block { content, last };
                let mut fresh = packed(compression, block, &mut Vec::new());
                let mut used = vec![7; 900_000];
                assert!(packed(compression, block, &mut used) == fresh);
                assert!(packed(compression, block, &mut used) == fresh);
                seal(compression, block, &mut fresh, &mut used_reader).unwrap();
                seal(compression, block, &mut used, &mut Reader::default()).unwrap();
                assert!(used == fresh);
            }
        }
    }
}

#[test]
fn blocks_of_gzip_join_to_one_stream() {
    let two = |length: usize| [prose(length as u64, length), noise(length as u64, length)].concat();
    // Streams end at every bit of a byte, and hold blocks of every kind.
    let contents: Vec<Vec<u8>> = (0..200).map(|length| prose(length, length as usize)).collect();
    let large =
        vec![vec![0; 1 << 20], noise(1, 1 << 20), two(300_000), Vec::new(), b"ab".repeat(9), noise(2, 70_000), two(7)];
    for contents in [contents, large] {
        let mut stream = Vec::new();
        for (at, content) in contents.iter().enumerate() {
            let block = Block { content, last: at + 1 == contents.len() };
            let mut out = packed(Compression::Gzip, block, &mut Vec::new());
            seal(Compression::Gzip, block, &mut out, &mut Reader::default()).unwrap();
            stream.extend(out);
        }
        let (mut decoder, mut read) = (flate2::bufread::DeflateDecoder::new(stream.as_slice()), Vec::new());
        decoder.read_to_end(&mut read).unwrap();
        assert!(read == contents.concat());
        assert!(decoder.into_inner().is_empty());
    }
}

#[test]
fn blocks_of_every_level_are_read_back() {
    let contents = [prose(1, 70_000), noise(2, 9000), [prose(3, 40_000), vec![0; 90_000], prose(3, 40_000)].concat()];
    for kind in ALL {
        for level in 1..=kind.most().unwrap_or(1) {
            let mut all = Vec::new();
            for (at, content) in contents.iter().enumerate() {
                let block = Block { content, last: at + 1 == contents.len() };
                let mut out = packed(Encoding { kind, level }, block, &mut Vec::new());
                seal(kind, block, &mut out, &mut Reader::default()).unwrap();
                all.extend(out);
            }
            let mut read = Vec::new();
            match kind {
                Compression::None => read = all,
                Compression::Gzip => {
                    flate2::read::DeflateDecoder::new(all.as_slice()).read_to_end(&mut read).unwrap();
                }
                Compression::Zstd => read = zstd::decode_all(all.as_slice()).unwrap(),
            }
            assert!(read == contents.concat(), "{kind:?} {level}");
        }
    }
}

#[test]
fn every_spoiled_byte_is_noticed() {
    // One reader for all: what is spoiled leaves nothing in it.
    let (content, mut reader) = ([prose(7, 900), noise(8, 100)].concat(), Reader::default());
    for compression in ALL {
        for last in [false, true] {
            let block = Block { content: &content, last };
            let whole = packed(compression, block, &mut Vec::new());
            // Of the last byte of a deflate stream some bits say nothing.
            let end = whole.len() - usize::from(compression == Compression::Gzip);
            for at in 0..end {
                let mut spoiled = whole.clone();
                spoiled[at] ^= 0xff;
                assert!(seal(compression, block, &mut spoiled, &mut reader).is_err(), "{compression:?} {at}");
            }
            for length in 0..whole.len() {
                let mut cut = whole[..length].to_vec();
                assert!(seal(compression, block, &mut cut, &mut reader).is_err(), "{length}");
            }
            let mut more = [whole.as_slice(), &[0]].concat();
            assert!(seal(compression, block, &mut more, &mut reader).is_err());
            seal(compression, block, &mut whole.clone(), &mut reader).unwrap();
        }
    }
}

/// What another program makes of a deflate stream; `None` if nothing.
fn inflated(stream: &[u8]) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    flate2::bufread::DeflateDecoder::new(stream).take(1 << 20).read_to_end(&mut read).ok()?;
    Some(read)
}

#[test]
fn what_is_read_back_is_what_others_read() {
    let contents = [prose(5, 3000), [prose(6, 900), noise(7, 300)].concat(), b"abc".repeat(40), noise(8, 200)];
    let (mut given, mut refused) = (0, 0);
    for content in &contents {
        let whole = packed(Compression::Gzip, Block { content, last: true }, &mut Vec::new());
        for bit in 0..whole.len() * 8 {
            let mut stream = whole.clone();
            stream[bit / 8] ^= 1 << (bit % 8);
            match read_back(&stream, content) {
                Some(_) => {
                    assert_eq!(inflated(&stream).as_deref(), Some(content.as_slice()), "{bit}");
                    given += 1;
                }
                None => refused += 1,
            }
        }
    }
    // Only the unused bits of the last byte say nothing.
    assert!(given <= 7 * contents.len() && refused > 9_000, "{given} {refused}");
    // No stream at all makes it panic.
    for seed in 0..3000 {
        let stream = noise(seed, 200);
        let read = inflated(&stream).unwrap_or_default();
        for content in [&read, &contents[0]] {
            assert!(read_back(&stream, content).is_none() || *content == read, "{seed}");
        }
    }
}

#[test]
fn texts_are_equal_only_to_themselves() {
    for length in [0, 1, 63, 64, 65, 128, 200] {
        let text = noise(length as u64, length);
        assert!(equal(&text, &text.clone()));
        assert!(!equal(&text, &[text.as_slice(), b"x"].concat()));
        for at in 0..length {
            let mut other = text.clone();
            other[at] ^= 1 << (at % 8);
            assert!(!equal(&text, &other) && !equal(&text, &text[..at]), "{length} {at}");
        }
    }
}
