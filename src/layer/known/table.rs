//! Stage 6: what is known of many contents, in 56 bytes for each: a row of what it is known by, its identity, and where more is said of the few
//! that say more. Rows and bytes in and out. Pure.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Fact, Key};
use crate::facts::{Facts, Secret};
use crate::oci::Digest;
use crate::source::memo::told::{nature, read_nature};
use crate::source::memo::{In, Out};

/// How many bytes a row takes.
const ROW: usize = 56;
/// The bits of a row's last number: a program; an identity; too young to be remembered. Above them stands where more is said, or 0.
const PROGRAM: u64 = 1;
const IDENTITY: u64 = 2;
const YOUNG: u64 = 4;
const BITS: u32 = 3;

/// One content.
#[derive(Clone, Copy)]
pub(super) struct Row {
    key: Key,
    id: [u8; 32],
    word: u64,
}

/// Many contents.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    /// What is said of those that say more.
    more: Vec<u8>,
    /// The rows that were asked for.
    used: Vec<AtomicBool>,
}

impl Row {
    fn bytes(&self) -> [u8; ROW] {
        let mut bytes = [0; ROW];
        let parts = self.key.iter().chain(&self.id).copied().chain(self.word.to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(room, byte)| *room = byte);
        bytes
    }
}

impl Table {
    /// How many contents there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds a content; [`Table::sort`] follows the last one.
    pub(super) fn push(&mut self, key: Key, young: bool, fact: &Fact) {
        let mut id = [0; 32];
        fact.id.iter().for_each(|digest| id.copy_from_slice(digest.bytes()));
        let bits = [(fact.program, PROGRAM), (fact.id.is_some(), IDENTITY), (young, YOUNG)];
        let bits = bits.iter().filter(|(set, _)| *set).fold(0, |word, (_, bit)| word | bit);
        let place = if says_more(fact) { self.more.len() as u64 + 1 } else { 0 };
        if place > 0 {
            let mut out = Out::default();
            write(&mut out, fact);
            self.more.extend(out.bytes);
        }
        self.rows.push(Row { key, id, word: place << BITS | bits });
    }

    /// Brings the rows into their order; of several with one key the last one counts of those that say more.
    pub(super) fn sort(&mut self) {
        // In place: there may be a million. Where more is said stands behind what was said before.
        self.rows.sort_unstable_by_key(|row| (row.key, row.word >> BITS));
        self.rows.dedup_by(|later, first| {
            let same = later.key == first.key;
            if same {
                *first = *later;
            }
            same
        });
    }

    /// What is known under a key.
    pub(super) fn find(&self, key: &Key) -> Option<Fact> {
        self.find_first(self.rows.len(), key)
    }

    /// The same among the first rows.
    pub(super) fn find_first(&self, count: usize, key: &Key) -> Option<Fact> {
        let rows = self.rows.get(..count)?;
        let at = place(rows, key)?;
        let row = rows.get(at)?;
        let fact = self.fact(row)?;
        self.used.get(at).iter().for_each(|used| used.store(true, Ordering::Relaxed));
        Some(fact)
    }

    fn fact(&self, row: &Row) -> Option<Fact> {
        let mut fact = match (row.word >> BITS).checked_sub(1) {
            None => Fact::default(),
            Some(start) => read(&mut In::new(self.more.get(usize::try_from(start).ok()?..)?))?,
        };
        fact.id = Digest::from_bytes(&row.id).filter(|_| row.word & IDENTITY != 0);
        fact.program = row.word & PROGRAM != 0;
        Some(fact)
    }

    /// Whether there is a content that is not too young to be remembered.
    pub(super) fn has_old(&self) -> bool {
        self.rows.iter().any(|row| row.word & YOUNG == 0)
    }

    /// A row of this table where what more it says stands in `more`.
    fn moved(&self, row: &Row, more: &mut Vec<u8>) -> Row {
        let mut place = 0;
        if let Some(fact) = self.fact(row).filter(|_| row.word >> BITS > 0) {
            let mut out = Out::default();
            write(&mut out, &fact);
            place = more.len() as u64 + 1;
            more.extend(out.bytes);
        }
        Row { word: place << BITS | row.word & (PROGRAM | IDENTITY), ..*row }
    }

    /// The table that these bytes are.
    pub(super) fn read(bytes: &[u8]) -> Option<Table> {
        let (count, rest) = bytes.split_first_chunk::<8>()?;
        let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
        let (rows, more) = rest.split_at_checked(count.checked_mul(ROW)?)?;
        let row = |bytes: &[u8]| {
            let (key, rest) = bytes.split_first_chunk::<16>()?;
            let (id, rest) = rest.split_first_chunk::<32>()?;
            Some(Row { key: *key, id: *id, word: u64::from_le_bytes(*rest.first_chunk::<8>()?) })
        };
        let rows = rows.chunks_exact(ROW).map(row).collect::<Option<Vec<Row>>>()?;
        let used = std::iter::repeat_with(AtomicBool::default).take(rows.len()).collect();
        rows.is_sorted_by(|one, two| one.key < two.key).then(|| Table { rows, more: more.to_vec(), used })
    }
}

/// What is to be remembered of two tables: the new rows, the old ones that were asked for, and as many others, or a few. Both are in order. Nothing
/// is held twice: a large project has many rows.
pub(super) struct Joined<'a> {
    old: &'a Table,
    new: &'a Table,
    /// Whether the old rows stay that nobody asked for.
    idle: bool,
    /// How many contents there are.
    pub(super) count: usize,
}

impl<'a> Joined<'a> {
    /// Joins them.
    pub(super) fn new(old: &'a Table, new: &'a Table, few: usize) -> Joined<'a> {
        let mut joined = Joined { old, new, idle: false, count: 0 };
        let asked = (0..old.rows.len()).filter(|at| joined.keeps(*at)).count() + new.rows.len();
        joined.idle = old.rows.len() + new.rows.len() - asked <= asked + few;
        joined.count = joined.rows().count();
        joined
    }

    fn keeps(&self, at: usize) -> bool {
        self.idle || self.old.used.get(at).is_some_and(|used| used.load(Ordering::Relaxed))
    }

    /// All rows in order, each with its table; what cannot be read of is not known.
    fn rows(&self) -> impl Iterator<Item = (&'a Table, &'a Row)> {
        let (old, new) = (self.old, self.new);
        let mut kept = old.rows.iter().enumerate().filter(|(at, _)| self.keeps(*at)).map(|(_, row)| row).peekable();
        let mut fresh = new.rows.iter().filter(|row| row.word & YOUNG == 0).peekable();
        let all = std::iter::from_fn(move || {
            let next = fresh.peek().map(|row| row.key);
            let before = kept.next_if(|row| next.is_none_or(|next| row.key <= next));
            match fresh.next_if(|row| before.is_none_or(|before| before.key == row.key)) {
                Some(row) => Some((new, row)),
                None => before.map(|row| (old, row)),
            }
        });
        all.filter(|(table, row)| row.word >> BITS == 0 || table.fact(row).is_some())
    }

    /// Writes the table that both make.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&(self.count as u64).to_le_bytes())?;
        let mut more = Vec::new();
        for (table, row) in self.rows() {
            out.write_all(&table.moved(row, &mut more).bytes())?;
        }
        out.write_all(&more)
    }
}

/// The row of a key. Keys are parts of digests and so are spread evenly: how far a row's key is off tells how many rows away the right one is.
/// Wherever that leads, the search ends at the right row: each look at one of a million is a look at memory that no cache holds.
fn place(rows: &[Row], key: &Key) -> Option<usize> {
    const LOOKS: usize = 4;
    const STEP: usize = 4;
    let number = |key: &Key| i128::from(key.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)));
    let (count, last) = (rows.len() as i128, rows.len().checked_sub(1)?);
    let (mut guess, mut there) = (0, 0);
    for _ in 0..LOOKS {
        let off = ((number(key) - there) * count) >> u64::BITS;
        guess = (guess as i128 + off).clamp(0, last as i128) as usize;
        there = number(&rows.get(guess)?.key);
    }
    let (mut from, mut to, mut step) = (guess, guess, STEP);
    while from > 0 && rows.get(from).is_none_or(|row| row.key > *key) {
        from = from.saturating_sub(step);
        step *= 2;
    }
    step = STEP;
    while rows.get(to).is_some_and(|row| row.key < *key) {
        to += step;
        step *= 2;
    }
    let to = (to + 1).min(rows.len());
    let at = rows.get(from..to)?.binary_search_by(|row| row.key.cmp(key)).ok()?;
    Some(from + at)
}

fn says_more(fact: &Fact) -> bool {
    fact.nature.is_some() || fact.text.is_some() || !fact.facts.is_empty()
}

fn write(out: &mut Out, fact: &Fact) {
    out.number(fact.nature.is_some().into());
    fact.nature.iter().for_each(|one| nature(out, one));
    out.number(fact.text.is_some().into());
    fact.text.iter().for_each(|text| out.bytes(text));
    write_facts(out, &fact.facts);
}

fn read(input: &mut In<'_>) -> Option<Fact> {
    let nature = if input.number()? == 0 { None } else { Some(read_nature(input)?) };
    let text = if input.number()? == 0 { None } else { Some(input.bytes()?.to_vec()) };
    Some(Fact { nature, text, facts: read_facts(input)?, ..Fact::default() })
}

/// What the bytes of a content say, as bytes.
pub(in crate::layer) fn write_facts(out: &mut Out, facts: &Facts) {
    out.number(facts.secrets.len() as u64);
    for secret in &facts.secrets {
        out.bytes(secret.what.as_bytes());
        out.number(secret.line.map_or(0, |line| line.saturating_add(1)));
    }
}

/// The same on their way back.
pub(in crate::layer) fn read_facts(input: &mut In<'_>) -> Option<Facts> {
    let mut secrets = Vec::new();
    for _ in 0..input.number()? {
        let what = std::str::from_utf8(input.bytes()?).ok()?;
        secrets.push(Secret::told(what, input.number()?.checked_sub(1))?);
    }
    Some(Facts { secrets })
}
