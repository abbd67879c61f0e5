//! Stage 6: deflate (RFC 1951) read against what it must give. A stream and its content in; where its last block stands out, or nothing,
//! if one bit of it says anything else. Nothing is inflated into memory: every literal and every match is compared in place. Pure.

/// Where the last block of a stream stands, in bits from the stream's begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The bit that says it is the last.
    pub begin: usize,
    /// The bit after it.
    pub end: usize,
}

/// The shortest match of each length code and how many bits are added to it, from code 257 on (RFC 1951, 3.2.5).
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
/// The same for the distances.
const DISTANCES: [(u16, u8); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];
/// In which order the lengths of the code of code lengths are written (3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// The code that ends a block.
const END: u32 = 256;
/// Most bits of a code.
const MOST_BITS: usize = 15;
/// How many bits the first look into a table takes: for literals and lengths, distances, code lengths.
const LITERAL_BITS: u32 = 11;
const DISTANCE_BITS: u32 = 8;
const LENGTH_BITS: u32 = 7;
/// Marks an entry that leads to a second table.
const SECOND: u32 = 0x80;

/// A code to look up: `symbol << 8 | bits`, or `offset << 8 | SECOND | bits` of a second table for longer codes; 0 is no code.
struct Code {
    table: Vec<u32>,
    bits: u32,
}

impl Code {
    fn new(bits: u32) -> Code {
        Code { table: Vec::new(), bits }
    }

    /// Takes the canonical code with these lengths (3.2.2); `None` if there are more codes than bits can tell apart.
    fn set(&mut self, lengths: &[u8]) -> Option<()> {
        let mut next = first_codes(lengths)?;
        self.table.clear();
        self.table.resize(1 << self.bits, 0);
        let mask = (1u32 << self.bits) - 1;
        let mut long: Vec<(u32, u32, u32)> = Vec::new();
        let mut widest = vec![0u32; 1 << self.bits];
        for (symbol, length) in (0u32..).zip(lengths.iter().map(|length| u32::from(*length))) {
            if length == 0 {
                continue;
            }
            let code = next[length as usize].reverse_bits() >> (32 - length);
            next[length as usize] += 1;
            if length <= self.bits {
                fill(&mut self.table[..1 << self.bits], code, length, symbol << 8 | length);
            } else {
                let first = (code & mask) as usize;
                widest[first] = widest[first].max(length - self.bits);
                long.push((symbol, length, code));
            }
        }
        for (symbol, length, code) in long {
            let first = (code & mask) as usize;
            let width = widest[first];
            if self.table[first] == 0 {
                self.table[first] = (self.table.len() as u32) << 8 | SECOND | width;
                self.table.resize(self.table.len() + (1 << width), 0);
            }
            let at = (self.table[first] >> 8) as usize;
            fill(&mut self.table[at..at + (1 << width)], code >> self.bits, length - self.bits, symbol << 8 | length);
        }
        Some(())
    }
}

/// The first code of each length; `None` if the lengths ask for more codes than there are.
fn first_codes(lengths: &[u8]) -> Option<[u32; MOST_BITS + 1]> {
    let mut count = [0u32; MOST_BITS + 1];
    for length in lengths.iter().filter(|length| **length != 0) {
        count[usize::from(*length)] += 1;
    }
    let mut next = [0u32; MOST_BITS + 1];
    for bits in 1..=MOST_BITS {
        next[bits] = (next[bits - 1] + count[bits - 1]) << 1;
        if next[bits] + count[bits] > 1 << bits {
            return None;
        }
    }
    Some(next)
}

/// Sets every entry whose lowest `length` bits are `code`.
fn fill(table: &mut [u32], code: u32, length: u32, entry: u32) {
    table.iter_mut().skip(code as usize).step_by(1 << length).for_each(|slot| *slot = entry);
}

/// The bits of a stream, lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The next byte that is not held.
    at: usize,
    hold: u64,
    have: u32,
}

impl Bits<'_> {
    /// Holds at least 56 bits, or all that are left. Bits over `have` may be held twice, with the same value.
    #[inline(always)]
    fn fill(&mut self) {
        if let Some(word) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            self.hold |= u64::from_le_bytes(*word) << self.have;
            let taken = (63 - self.have) >> 3;
            self.at += taken as usize;
            self.have += taken * 8;
            return;
        }
        while self.have < 56 {
            let Some(byte) = self.bytes.get(self.at) else { return };
            self.hold |= u64::from(*byte) << self.have;
            self.at += 1;
            self.have += 8;
        }
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) -> Option<()> {
        self.have = self.have.checked_sub(count)?;
        self.hold >>= count;
        Some(())
    }

    /// The next `count` bits, 16 at most; [`Bits::fill`] comes before, once for 56 bits.
    #[inline(always)]
    fn take(&mut self, count: u32) -> Option<usize> {
        let value = self.hold & ((1 << count) - 1);
        self.skip(count)?;
        Some(value as usize)
    }

    /// The next symbol of a code.
    #[inline(always)]
    fn symbol(&mut self, code: &Code) -> Option<u32> {
        let mut entry = *code.table.get(self.hold as usize & ((1 << code.bits) - 1))?;
        if entry & SECOND != 0 {
            let rest = (self.hold >> code.bits) as usize & ((1 << (entry & (SECOND - 1))) - 1);
            entry = *code.table.get((entry >> 8) as usize + rest)?;
        }
        if entry == 0 {
            return None;
        }
        self.skip(entry & (SECOND - 1))?;
        Some(entry >> 8)
    }

    fn position(&self) -> usize {
        self.at * 8 - self.have as usize
    }
}

/// Reads `stream` against `content`: the place of its last block, if it gives this content and nothing else. Nothing is said of what
/// stands behind that block.
pub fn read_back(stream: &[u8], content: &[u8]) -> Option<Last> {
    let mut bits = Bits { bytes: stream, at: 0, hold: 0, have: 0 };
    let (mut literals, mut distances) = (Code::new(LITERAL_BITS), Code::new(DISTANCE_BITS));
    let mut done = 0;
    loop {
        bits.fill();
        let begin = bits.position();
        let last = bits.take(1)? == 1;
        done = match bits.take(2)? {
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
            return (done == content.len()).then_some(Last { begin, end: bits.position() });
        }
    }
}

/// A block without compression (3.2.4); how much of the content is done after it.
fn stored(bits: &mut Bits, content: &[u8], done: usize) -> Option<usize> {
    bits.skip(bits.have % 8)?;
    let length = bits.take(16)?;
    bits.fill();
    if bits.take(16)? != length ^ 0xffff {
        return None;
    }
    let from = bits.position() / 8;
    let end = done + length;
    if content.get(done..end)? != bits.bytes.get(from..from + length)? {
        return None;
    }
    (bits.at, bits.hold, bits.have) = (from + length, 0, 0);
    Some(end)
}

/// The codes of a block that brings none (3.2.6).
fn fixed(literals: &mut Code, distances: &mut Code) -> Option<()> {
    let mut lengths = [8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    literals.set(&lengths)?;
    distances.set(&[5; 32])
}

/// The codes of a block that brings its own (3.2.7).
fn dynamic(bits: &mut Bits, literals: &mut Code, distances: &mut Code) -> Option<()> {
    let (of_literals, of_distances, of_lengths) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    let mut short = [0u8; ORDER.len()];
    for at in ORDER.iter().take(of_lengths) {
        bits.fill();
        short[*at] = bits.take(3)? as u8;
    }
    let mut code = Code::new(LENGTH_BITS);
    code.set(&short)?;
    let mut lengths = Vec::with_capacity(of_literals + of_distances);
    while lengths.len() < of_literals + of_distances {
        bits.fill();
        let (value, count) = match bits.symbol(&code)? {
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length as u8, 1),
        };
        lengths.resize(lengths.len() + count, value);
    }
    if lengths.len() != of_literals + of_distances {
        return None;
    }
    let (first, second) = lengths.split_at(of_literals);
    literals.set(first)?;
    distances.set(second)
}

/// The literals and matches of a block, up to its end; how much of the content is done after it.
fn coded(bits: &mut Bits, literals: &Code, distances: &Code, content: &[u8], mut done: usize) -> Option<usize> {
    loop {
        bits.fill();
        let mut symbol = bits.symbol(literals)?;
        // 56 bits are enough for three codes of 15.
        for _ in 0..2 {
            if symbol >= END {
                break;
            }
            literal(content, done, symbol)?;
            done += 1;
            symbol = bits.symbol(literals)?;
        }
        if symbol < END {
            literal(content, done, symbol)?;
            done += 1;
            continue;
        }
        if symbol == END {
            return Some(done);
        }
        bits.fill();
        let (least, more) = *LENGTHS.get(symbol as usize - 257)?;
        let length = usize::from(least) + bits.take(more.into())?;
        let (least, more) = *DISTANCES.get(bits.symbol(distances)? as usize)?;
        let distance = usize::from(least) + bits.take(more.into())?;
        // What stands before is right already, so a match that overlaps itself repeats what it should.
        let from = done.checked_sub(distance)?;
        if !equal(content.get(done..done + length)?, content.get(from..from + length)?) {
            return None;
        }
        done += length;
    }
}

#[inline(always)]
fn literal(content: &[u8], at: usize, symbol: u32) -> Option<()> {
    (u32::from(*content.get(at)?) == symbol).then_some(())
}

/// Whether two slices of one length are equal; most are short, where a call to compare memory would take longer.
#[inline(always)]
fn equal(one: &[u8], other: &[u8]) -> bool {
    let (words, rest) = one.as_chunks::<8>();
    let (others, other_rest) = other.as_chunks::<8>();
    let differ = |different: u64, (one, other): (&[u8; 8], &[u8; 8])| {
        different | (u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other))
    };
    words.iter().zip(others).fold(0, differ) == 0 && rest.iter().zip(other_rest).all(|(one, other)| one == other)
}
