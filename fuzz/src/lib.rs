//! What targets share: a mutation of tars that leaves the sums of headers right, so that more than the sum is looked at.

use libfuzzer_sys::fuzzer_mutate;

const BLOCK: usize = 512;

/// Mutates a tar, then sets the sum of each block that has the magic of a header.
pub fn mutate_tar(data: &mut [u8], size: usize, most: usize) -> usize {
    let size = fuzzer_mutate(data, size, most);
    for block in data[..size].chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
    size
}
