//! Stage 6: the codes of deflate (RFC 1951, 3.2.2 to 3.2.6) as tables to look up. The lengths of codes in, what the next bits of a stream say out.
//! Pure.

use std::collections::BTreeMap;

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
/// The code that ends a block.
const END: u32 = 256;
/// Most bits of a code.
const MOST_BITS: usize = 15;
/// How many bits the first look into a table takes: for literals and lengths, distances, code lengths; and how many entries that are.
const LITERAL_BITS: u32 = 10;
const DISTANCE_BITS: u32 = 8;
const LENGTH_BITS: u32 = 7;
/// A code for literals and lengths.
pub type Literals = Code<{ 1 << LITERAL_BITS }>;
/// A code for distances.
pub type Distances = Code<{ 1 << DISTANCE_BITS }>;
/// The code that the lengths of other codes are written in.
pub type CodeLengths = Code<{ 1 << LENGTH_BITS }>;

/// What an entry of a table says, from its lowest bit on: how many bits of the stream it takes (6 bits); how many literals it is (2); that it leads
/// to a second table, for longer codes (1); that it ends a block (1); how many bits are added to its value (4, from [`MORE`] on); and
/// its value (from [`VALUE`] on): literals, a length or distance, or where the second table begins. 0 is no code.
pub const BITS: u32 = 0x3f;
const LITERAL: u32 = 6;
const SECOND: u32 = 0x100;
/// It ends a block.
pub const ENDS: u32 = 0x200;
/// Where the count of added bits stands.
pub const MORE: u32 = 10;
/// Where the value stands.
pub const VALUE: u32 = 16;

/// How many literals an entry is.
#[inline(always)]
pub fn literals(entry: u32) -> u32 {
    entry >> LITERAL & 3
}

/// What a code for literals and lengths says of a symbol; nothing where there is none.
pub fn literal_or_length(symbol: u32) -> u32 {
    match symbol {
        0..END => symbol << VALUE | 1 << LITERAL,
        END => ENDS,
        _ => LENGTHS.get(symbol as usize - 257).map_or(0, sum),
    }
}

/// The same of a code for distances.
pub fn distance(symbol: u32) -> u32 {
    DISTANCES.get(symbol as usize).map_or(0, sum)
}

fn sum((least, more): &(u16, u8)) -> u32 {
    u32::from(*least) << VALUE | u32::from(*more) << MORE
}

/// A code to look up, with a first table of so many entries.
pub struct Code<const FIRST: usize> {
    table: Box<[u32; FIRST]>,
    second: Vec<u32>,
}

impl<const FIRST: usize> Code<FIRST> {
    const WIDTH: u32 = FIRST.ilog2();

    /// No code.
    pub fn new() -> Code<FIRST> {
        Code { table: Box::new([0; FIRST]), second: Vec::new() }
    }

    /// Takes the canonical code with these lengths (3.2.2) whose symbols say this; `None` if there are more codes than bits can tell apart.
    pub fn set(&mut self, lengths: &[u8], says: fn(u32) -> u32) -> Option<()> {
        let mut next = first_codes(lengths)?;
        self.table.fill(0);
        self.second.clear();
        let mut long: Vec<(u32, u32, u32)> = Vec::new();
        for (symbol, length) in (0u32..).zip(lengths.iter().map(|length| u32::from(*length))) {
            if length == 0 {
                continue;
            }
            let code = next[length as usize].reverse_bits() >> (32 - length);
            next[length as usize] += 1;
            let entry = match says(symbol) {
                0 => 0,
                said => said | length,
            };
            match length <= Self::WIDTH {
                true => fill(&mut *self.table, code, length, entry),
                false => long.push((code, length, entry)),
            }
        }
        self.lengthen(&long);
        Some(())
    }

    /// Adds the codes that are longer than the first look: code, length and entry.
    fn lengthen(&mut self, long: &[(u32, u32, u32)]) {
        let first = |code: u32| code as usize % FIRST;
        let mut widest = BTreeMap::new();
        for (code, length, _) in long {
            let width = widest.entry(first(*code)).or_insert(0);
            *width = (length - Self::WIDTH).max(*width);
        }
        for (at, width) in widest {
            self.table[at] = (self.second.len() as u32) << VALUE | SECOND | width;
            self.second.resize(self.second.len() + (1 << width), 0);
        }
        for (code, length, entry) in long {
            let (at, width) = (self.table[first(*code)] >> VALUE, self.table[first(*code)] & BITS);
            let room = &mut self.second[at as usize..(at as usize) + (1 << width)];
            fill(room, code >> Self::WIDTH, length - Self::WIDTH, *entry);
        }
    }

    /// Lets one look find two literals where their codes are short enough together.
    pub fn pair(&mut self) {
        // What comes behind the first one stands at a lower index, where nothing is paired yet.
        for at in (0..FIRST).rev() {
            let one = self.table[at];
            if literals(one) != 1 {
                continue;
            }
            let other = self.table[at >> (one & BITS)];
            let bits = (one & BITS) + (other & BITS);
            if literals(other) == 1 && bits <= Self::WIDTH {
                let both = one >> VALUE | (other >> VALUE) << 8;
                self.table[at] = both << VALUE | 2 << LITERAL | bits;
            }
        }
    }

    /// The entry that these bits of a stream begin with.
    #[inline(always)]
    pub fn find(&self, hold: u64) -> u32 {
        let entry = self.table[hold as usize % FIRST];
        if entry & SECOND == 0 {
            return entry;
        }
        let rest = (hold >> Self::WIDTH) as usize & ((1 << (entry & BITS)) - 1);
        self.second.get((entry >> VALUE) as usize + rest).copied().unwrap_or(0)
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
