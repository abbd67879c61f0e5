//! Stage 6: deflate (RFC 1951) read against what it must give. A stream and its content in; where its last block stands out, or nothing,
//! if one bit of it says anything else. Nothing is inflated into memory: every literal and every match is compared in place. Pure.

mod code;

use self::code::{BITS, CodeLengths, Distances, ENDS, Literals, MORE, VALUE, distance, literal_or_length, literals};

/// Where the last block of a stream stands, in bits from the stream's begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The bit that says it is the last.
    pub begin: usize,
    /// The bit after it.
    pub end: usize,
}

/// In which order the lengths of the code of code lengths are written (3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// The bits of a stream, lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte that is not held.
    at: usize,
    hold: u64,
    have: u32,
}

impl Bits<'_> {
    /// Holds at least 56 bits, or all that are left; `None` if more were taken than there were. Bits over `have` may be held twice, with the
    /// same value.
    #[inline(always)]
    fn fill(&mut self) -> Option<()> {
        if let Some(word) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            self.hold |= u64::from_le_bytes(*word).checked_shl(self.have)?;
            let taken = (63 - self.have) >> 3;
            self.at += taken as usize;
            self.have += taken * 8;
            return Some(());
        }
        self.check()?;
        while self.have < 56 {
            let Some(byte) = self.bytes.get(self.at) else { return Some(()) };
            self.hold |= u64::from(*byte) << self.have;
            self.at += 1;
            self.have += 8;
        }
        Some(())
    }

    /// `None` if more bits were taken than there were.
    fn check(&self) -> Option<()> {
        (self.have < u64::BITS).then_some(())
    }

    /// Takes bits; [`Bits::fill`] comes before, once for 56 of them, and one of it or [`Bits::check`] after the last ones.
    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.have = self.have.wrapping_sub(count);
        self.hold >>= count;
    }

    /// The next `count` bits, 16 at most.
    #[inline(always)]
    fn take(&mut self, count: u32) -> usize {
        let value = self.hold & ((1 << count) - 1);
        self.skip(count);
        value as usize
    }

    /// The value of an entry that was found, with the bits that are added to it: 28 at most are taken.
    #[inline(always)]
    fn value(&mut self, entry: u32) -> usize {
        self.skip(entry & BITS);
        (entry >> VALUE) as usize + self.take(entry >> MORE & 0xf)
    }

    fn position(&self) -> Option<usize> {
        self.check()?;
        Some(self.at * 8 - self.have as usize)
    }
}

/// Reads `stream` against `content`: the place of its last block, if it gives this content and nothing else. Nothing is said of what
/// stands behind that block.
pub fn read_back(stream: &[u8], content: &[u8]) -> Option<Last> {
    let mut bits = Bits { bytes: stream, at: 0, hold: 0, have: 0 };
    let (mut literals, mut distances) = (Literals::new(), Distances::new());
    let mut done = 0;
    loop {
        bits.fill()?;
        let begin = bits.position()?;
        let last = bits.take(1) == 1;
        done = match bits.take(2) {
            0 => stored(&mut bits, content, done)?,
            1 => {
                fixed(&mut literals, &mut distances)?;
                coded(&mut bits, &literals, &distances, content, done)?
            }
            2 => {
                dynamic(&mut bits, &mut literals, &mut distances)?;
                coded(&mut bits, &literals, &distances, content, done)?
            }
            _ => return None,
        };
        if last {
            let end = bits.position()?;
            return (done == content.len()).then_some(Last { begin, end });
        }
    }
}

/// A block without compression (3.2.4); how much of the content is done after it.
fn stored(bits: &mut Bits, content: &[u8], done: usize) -> Option<usize> {
    bits.skip(bits.have % 8);
    let length = bits.take(16);
    bits.fill()?;
    if bits.take(16) != length ^ 0xffff {
        return None;
    }
    let from = bits.position()? / 8;
    let end = done + length;
    if content.get(done..end)? != bits.bytes.get(from..from + length)? {
        return None;
    }
    (bits.at, bits.hold, bits.have) = (from + length, 0, 0);
    Some(end)
}

/// The codes of a block that brings none (3.2.6).
fn fixed(literals: &mut Literals, distances: &mut Distances) -> Option<()> {
    let mut lengths = [8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    set(literals, &lengths, distances, &[5; 32])
}

fn set(literals: &mut Literals, first: &[u8], distances: &mut Distances, second: &[u8]) -> Option<()> {
    literals.set(first, literal_or_length)?;
    literals.pair();
    distances.set(second, distance)
}

/// The codes of a block that brings its own (3.2.7).
fn dynamic(bits: &mut Bits, literals: &mut Literals, distances: &mut Distances) -> Option<()> {
    let (of_literals, of_distances, of_lengths) = (bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4);
    let mut short = [0u8; ORDER.len()];
    for at in ORDER.iter().take(of_lengths) {
        bits.fill()?;
        short[*at] = bits.take(3) as u8;
    }
    let mut code = CodeLengths::new();
    code.set(&short, |length| (length + 1) << VALUE)?;
    let mut lengths = Vec::with_capacity(of_literals + of_distances);
    while lengths.len() < of_literals + of_distances {
        bits.fill()?;
        let (value, count) = match bits.value(code.find(bits.hold)).checked_sub(1)? {
            16 => (*lengths.last()?, 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (length as u8, 1),
        };
        lengths.resize(lengths.len() + count, value);
    }
    if lengths.len() != of_literals + of_distances {
        return None;
    }
    let (first, second) = lengths.split_at(of_literals);
    set(literals, first, distances, second)
}

/// The literals and matches of a block, up to its end; how much of the content is done after it.
fn coded(all: &mut Bits, codes: &Literals, distances: &Distances, content: &[u8], mut done: usize) -> Option<usize> {
    let mut bits = Bits { ..*all };
    loop {
        bits.fill()?;
        let mut entry = codes.find(bits.hold);
        // 56 bits are enough for three codes of 15, and what is added to a length.
        for _ in 0..2 {
            if literals(entry) == 0 {
                break;
            }
            done = literal(content, done, entry)?;
            bits.skip(entry & BITS);
            entry = codes.find(bits.hold);
        }
        if literals(entry) > 0 {
            done = literal(content, done, entry)?;
            bits.skip(entry & BITS);
            continue;
        }
        let length = bits.value(entry);
        bits.fill()?;
        if length == 0 {
            *all = bits;
            return (entry & ENDS != 0).then_some(done);
        }
        let entry = distances.find(bits.hold);
        // What stands before is right already, so a match that overlaps itself repeats what it should.
        if entry == 0 || !repeats(content, done, done.checked_sub(bits.value(entry))?, length) {
            return None;
        }
        done += length;
    }
}

/// Reads one or two literals against what stands there.
#[inline(always)]
fn literal(content: &[u8], done: usize, entry: u32) -> Option<usize> {
    let (two, behind) = (literals(entry) >> 1, done + literals(entry) as usize);
    let there = match content.get(done..done + 2) {
        Some(there) => u16::from_le_bytes(*there.first_chunk()?),
        // The last byte, behind which nothing can be.
        None => u16::from(*content.get(behind - 1..)?.first()?),
    };
    let differ = (u32::from(there) ^ entry >> VALUE) & (0xff + two * 0xff00);
    (differ == 0).then_some(behind)
}

/// Whether a content has the same bytes at two places, the second before the first. Most are few: up to 16 are compared as one number,
/// whose other bytes are shifted out.
#[inline(always)]
fn repeats(content: &[u8], done: usize, from: usize, length: usize) -> bool {
    const WIDE: usize = 16;
    let wide = |start: usize| Some(u128::from_le_bytes(*content.get(start..start + WIDE)?.first_chunk()?));
    let part = |start: usize, from: usize| content.get(start + from..start + length);
    let Some((one, other)) = wide(done).zip(wide(from)) else {
        return part(done, 0).is_some_and(|rest| part(from, 0) == Some(rest));
    };
    let unused = 8 * (WIDE - length.min(WIDE)) as u32;
    (one ^ other) << unused == 0
        && (length <= WIDE || part(done, WIDE).is_some_and(|rest| part(from, WIDE) == Some(rest)))
}
