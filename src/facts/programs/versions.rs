//! Between stages 0 and 1: the versions of symbols that a program wants and that a library defines. Two tables of an ELF file in, names out; each step
//! of a table goes forward and is counted. Pure.
//!
//! Source: the chapter on symbol versioning of the Linux Standard Base.

use object::elf::{VER_FLG_BASE, VER_FLG_WEAK, Verdaux, Verdef, Vernaux, Verneed};
use object::{Endianness, read::ReadRef};

use super::elf::{Failure, Wanted, named};

/// Most entries of both kinds in one file.
const MOST_VERSIONS: usize = 16_384;

/// One of the two tables: where it is in the file, and how many entries it has.
pub(super) struct Table {
    /// The place of its first entry.
    pub offset: u64,
    /// The number of its entries.
    pub count: u64,
}

/// The names in a file.
pub(super) struct Names<'data, R: ReadRef<'data>> {
    /// The file.
    pub data: R,
    /// Where they begin and end.
    pub range: std::ops::Range<u64>,
    /// The file's order of bytes.
    pub endian: Endianness,
    /// Nothing.
    pub life: std::marker::PhantomData<&'data ()>,
}

impl<'data, R: ReadRef<'data>> Names<'data, R> {
    /// The name at a place of the table.
    pub fn at(&self, offset: u64) -> Result<String, Failure> {
        named(self.data, &self.range, offset)
    }
}

/// What a program wants of each of its libraries. What it can do without (weak versions) is left out.
pub(super) fn wanted<'data, R: ReadRef<'data>>(names: &Names<'data, R>, table: &Table) -> Result<Vec<Wanted>, Failure> {
    const ODD: Failure = "its table of wanted versions is broken";
    let (endian, mut at, mut left) = (names.endian, table.offset, MOST_VERSIONS);
    let mut all = Vec::new();
    for _ in 0..table.count {
        let need = names.data.read_at::<Verneed<Endianness>>(at).map_err(|()| ODD)?;
        let mut wanted = Wanted { library: names.at(need.vn_file.get(endian).into())?, versions: Vec::new() };
        let mut inner = at.checked_add(need.vn_aux.get(endian).into()).ok_or(ODD)?;
        for _ in 0..need.vn_cnt.get(endian) {
            left = left.checked_sub(1).ok_or(ODD)?;
            let one = names.data.read_at::<Vernaux<Endianness>>(inner).map_err(|()| ODD)?;
            if !one.vna_flags.get(endian).contains(VER_FLG_WEAK) {
                wanted.versions.push(names.at(one.vna_name.get(endian).into())?);
            }
            let next = u64::from(one.vna_next.get(endian));
            if next == 0 {
                break;
            }
            inner = inner.checked_add(next).ok_or(ODD)?;
        }
        left = left.checked_sub(1).ok_or(ODD)?;
        all.push(wanted);
        let next = u64::from(need.vn_next.get(endian));
        if next == 0 {
            break;
        }
        at = at.checked_add(next).ok_or(ODD)?;
    }
    Ok(all)
}

/// What a library defines, without its own name.
pub(super) fn defined<'data, R: ReadRef<'data>>(
    names: &Names<'data, R>,
    table: &Table,
) -> Result<Vec<String>, Failure> {
    const ODD: Failure = "its table of defined versions is broken";
    let (endian, mut at, mut left) = (names.endian, table.offset, MOST_VERSIONS);
    let mut all = Vec::new();
    for _ in 0..table.count {
        left = left.checked_sub(1).ok_or(ODD)?;
        let definition = names.data.read_at::<Verdef<Endianness>>(at).map_err(|()| ODD)?;
        if !definition.vd_flags.get(endian).contains(VER_FLG_BASE) && definition.vd_cnt.get(endian) > 0 {
            // The first name is the version's own, the others are those that it follows.
            let inner = at.checked_add(definition.vd_aux.get(endian).into()).ok_or(ODD)?;
            let one = names.data.read_at::<Verdaux<Endianness>>(inner).map_err(|()| ODD)?;
            all.push(names.at(one.vda_name.get(endian).into())?);
        }
        let next = u64::from(definition.vd_next.get(endian));
        if next == 0 {
            break;
        }
        at = at.checked_add(next).ok_or(ODD)?;
    }
    Ok(all)
}
