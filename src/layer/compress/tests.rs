//! Stage 6: a compressed block depends on its content, what stands before it and whether it is the last; a spoiled one is noticed.

use super::{Block, pack, prove};
use crate::layer::tests::{ALL, noise, prose};
use crate::oci::media::Compression;

fn packed(compression: Compression, block: Block, out: &mut Vec<u8>) -> Vec<u8> {
    pack(compression, block, out).unwrap();
    out.clone()
}

#[test]
fn what_a_buffer_held_before_does_not_matter() {
    let (before, text, random) = (prose(1, 32 << 10), prose(2, 300_000), noise(3, 400_000));
    for compression in ALL {
        for content in [text.as_slice(), &random, &[], b"x"] {
            for last in [false, true] {
                let block = Block { before: &before, content, last };
                let fresh = packed(compression, block, &mut Vec::new());
                let mut used = vec![7; 900_000];
                assert!(packed(compression, block, &mut used) == fresh);
                assert!(packed(compression, block, &mut used) == fresh);
                prove(compression, block, &fresh, &mut vec![9; 1_000_000]).unwrap();
            }
        }
    }
}

#[test]
fn a_block_of_noise_fits_its_room() {
    let content = noise(4, 512 << 10);
    for last in [false, true] {
        let block = Block { before: &content[..32 << 10], content: &content, last };
        let out = packed(Compression::Gzip, block, &mut Vec::new());
        prove(Compression::Gzip, block, &out, &mut Vec::new()).unwrap();
    }
}

#[test]
fn gzip_refers_to_what_stands_before() {
    let content = noise(5, 20_000);
    let with = Block { before: &content, content: &content, last: true };
    let without = Block { before: &[], content: &content, last: true };
    assert!(packed(Compression::Gzip, with, &mut Vec::new()).len() < 500);
    assert!(packed(Compression::Gzip, without, &mut Vec::new()).len() > 20_000);
}

#[test]
fn every_spoiled_byte_is_noticed() {
    let (before, content) = (prose(6, 1000), [prose(7, 900), noise(8, 100)].concat());
    for compression in ALL {
        for last in [false, true] {
            let block = Block { before: &before, content: &content, last };
            let whole = packed(compression, block, &mut Vec::new());
            for at in 0..whole.len() {
                let mut spoiled = whole.clone();
                spoiled[at] ^= 0xff;
                assert!(prove(compression, block, &spoiled, &mut Vec::new()).is_err(), "{compression:?} {at}");
            }
            for length in 0..whole.len() {
                assert!(prove(compression, block, &whole[..length], &mut Vec::new()).is_err(), "{length}");
            }
            prove(compression, block, &whole, &mut Vec::new()).unwrap();
        }
    }
}
