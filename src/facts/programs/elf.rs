//! Between stages 0 and 1: what an ELF file says of itself to the kernel and to its loader. Bytes in, facts out; every offset and count in them is
//! checked against the file, and what is read of it is bounded. Pure.

use std::marker::PhantomData;
use std::ops::Range;

use object::Endianness;
use object::elf::{
    DF_1_NODEFLIB, DF_1_PIE, DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_SONAME, DT_STRSZ, DT_STRTAB,
    DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM, ET_CORE, ET_DYN, ET_EXEC, ET_REL, FileHeader32, FileHeader64,
    PN_XNUM, PT_DYNAMIC, PT_INTERP, PT_LOAD,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{FileKind, ReadRef};

use super::Nature;
use super::machine::Machine;
use super::versions::{Names, Table, defined, wanted};

/// Largest dynamic section that is read, in bytes.
const MOST_DYNAMIC: u64 = 1 << 20;
/// Longest name or list of paths in bytes, as in Linux (`PATH_MAX`).
const MOST_NAME: u64 = 4096;
/// Most libraries that one file names.
const MOST_NEEDED: usize = 4096;

/// Why a file cannot be read: half a sentence.
pub(super) type Failure = &'static str;

/// An ELF file that can be started or loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// For which processors it is.
    pub machine: Machine,
    /// Whether the file says that it is to be started, not only to be loaded: its type is `ET_EXEC`, or it is marked as PIE.
    pub started: bool,
    /// The loader that the kernel starts it with (`PT_INTERP`).
    pub loader: Option<String>,
    /// The libraries that it needs, in its order.
    pub needed: Vec<String>,
    /// Where its libraries are looked for, in the old way.
    pub rpath: Option<String>,
    /// Where its libraries are looked for, in the new way; the old one does not count beside it.
    pub runpath: Option<String>,
    /// What it is called as a library.
    pub soname: Option<String>,
    /// Whether the loader's own directories do not count.
    pub without_defaults: bool,
    /// The versions that it wants of its libraries.
    pub wants: Vec<Wanted>,
    /// The versions that it defines as a library.
    pub defines: Vec<String>,
}

/// The versions that a program wants of one library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The library.
    pub library: String,
    /// The versions, as in `GLIBC_2.34`.
    pub versions: Vec<String>,
}

/// How a file is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// Without a loader and without libraries.
    Static,
    /// It names libraries, but no loader.
    Library,
    /// A loader starts it.
    Dynamic,
}

impl Program {
    /// How it is linked.
    pub fn linked(&self) -> Linked {
        match (&self.loader, self.needed.is_empty()) {
            (Some(_), _) => Linked::Dynamic,
            (None, false) => Linked::Library,
            (None, true) => Linked::Static,
        }
    }

    /// About how many bytes it takes to keep it.
    pub(super) fn weight(&self) -> usize {
        let one = [&self.loader, &self.rpath, &self.runpath, &self.soname].into_iter().flatten();
        let wanted = self.wants.iter().flat_map(|wanted| wanted.versions.iter().chain([&wanted.library]));
        let names = one.chain(&self.needed).chain(&self.defines).chain(wanted);
        size_of::<Program>() + names.map(|name| size_of::<String>() + name.len()).sum::<usize>()
    }

    /// Whether it is a program, and no library: old linkers do not mark a PIE, so one with a loader and without a name is one too.
    pub fn is_program(&self) -> bool {
        self.started || self.soname.is_none() && (self.loader.is_some() || self.needed.is_empty())
    }
}

/// The facts of a file that begins as an ELF file.
pub(super) fn read<'data>(data: impl ReadRef<'data>) -> Nature {
    let facts = match FileKind::parse(data) {
        Ok(FileKind::Elf32) => whole::<FileHeader32<Endianness>, _>(data),
        Ok(FileKind::Elf64) => whole::<FileHeader64<Endianness>, _>(data),
        _ => Err("its class is neither 32-bit nor 64-bit"),
    };
    facts.unwrap_or_else(|why| Nature::Broken(why.to_string()))
}

fn whole<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(data: R) -> Result<Nature, Failure> {
    let header = Elf::parse(data).map_err(|_| "its header is incomplete")?;
    let endian = header.endian().map_err(|_| "its order of bytes is unknown")?;
    let kind = header.e_type(endian);
    match kind {
        ET_REL | ET_CORE => return Ok(Nature::Object),
        ET_EXEC | ET_DYN => {}
        _ => return Err("it is neither a program nor a library"),
    }
    if header.e_phnum(endian) == PN_XNUM {
        return Err("it has more segments than a program may have");
    }
    let segments = header.program_headers(endian, data).map_err(|_| "its program headers lie outside of it")?;
    if segments.is_empty() {
        return Err("it has no program headers");
    }
    let machine = Machine {
        number: header.e_machine(endian).0,
        wide: header.is_class_64(),
        big: header.is_big_endian(),
        flags: header.e_flags(endian).0,
        system: header.e_ident().os_abi.0,
    };
    let loader = segments.iter().find(|segment| segment.p_type(endian) == PT_INTERP);
    let program = Program {
        machine,
        started: kind == ET_EXEC,
        loader: loader.map(|segment| interpreter::<Elf, R>(segment, endian, data)).transpose()?,
        needed: Vec::new(),
        rpath: None,
        runpath: None,
        soname: None,
        without_defaults: false,
        wants: Vec::new(),
        defines: Vec::new(),
    };
    let dynamic = segments.iter().find(|segment| segment.p_type(endian) == PT_DYNAMIC);
    let program = match dynamic {
        None => program,
        Some(segment) => dynamic_of::<Elf, R>(program, segment, segments, endian, data)?,
    };
    Ok(Nature::Program(Box::new(program)))
}

/// The loader's path, which the kernel takes up to its first NUL.
fn interpreter<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    segment: &Elf::ProgramHeader,
    endian: Endianness,
    data: R,
) -> Result<String, Failure> {
    const ODD: Failure = "the name of its loader is broken";
    let size = segment.p_filesz(endian).into();
    if !(2..=MOST_NAME).contains(&size) {
        return Err(ODD);
    }
    let bytes = data.read_bytes_at(segment.p_offset(endian).into(), size).map_err(|()| ODD)?;
    let name = bytes.split(|byte| *byte == 0).next().filter(|name| name.len() < bytes.len()).ok_or(ODD)?;
    std::str::from_utf8(name).map(str::to_string).map_err(|_| ODD)
}

/// The entries of a dynamic section that count here.
#[derive(Default)]
struct Entries {
    needed: Vec<u64>,
    rpath: Option<u64>,
    runpath: Option<u64>,
    soname: Option<u64>,
    names: Option<u64>,
    names_size: u64,
    wants: (Option<u64>, u64),
    defines: (Option<u64>, u64),
    flags: u64,
}

fn entries<Elf: FileHeader<Endian = Endianness>>(dynamic: &[Elf::Dyn], endian: Endianness) -> Result<Entries, Failure> {
    let mut entries = Entries::default();
    for entry in dynamic.iter().take_while(|entry| entry.tag(endian) != DT_NULL) {
        let value = entry.val(endian);
        match entry.tag(endian) {
            DT_NEEDED if entries.needed.len() == MOST_NEEDED => return Err("it names too many libraries"),
            DT_NEEDED => entries.needed.push(value),
            DT_RPATH => entries.rpath = Some(value),
            DT_RUNPATH => entries.runpath = Some(value),
            DT_SONAME => entries.soname = Some(value),
            DT_STRTAB => entries.names = Some(value),
            DT_STRSZ => entries.names_size = value,
            DT_VERNEED => entries.wants.0 = Some(value),
            DT_VERNEEDNUM => entries.wants.1 = value,
            DT_VERDEF => entries.defines.0 = Some(value),
            DT_VERDEFNUM => entries.defines.1 = value,
            DT_FLAGS_1 => entries.flags = value,
            _ => {}
        }
    }
    Ok(entries)
}

/// The same program with what its dynamic section says.
fn dynamic_of<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    mut program: Program,
    segment: &Elf::ProgramHeader,
    segments: &[Elf::ProgramHeader],
    endian: Endianness,
    data: R,
) -> Result<Program, Failure> {
    if segment.p_filesz(endian).into() > MOST_DYNAMIC {
        return Err("its dynamic section is too large");
    }
    let dynamic = segment.dynamic(endian, data).map_err(|_| "its dynamic section lies outside of it")?;
    let entries = entries::<Elf>(dynamic.unwrap_or_default(), endian)?;
    program.started |= entries.flags & DF_1_PIE.0 != 0;
    program.without_defaults = entries.flags & DF_1_NODEFLIB.0 != 0;
    let at = |address: u64| offset::<Elf>(segments, endian, address);
    let start = entries.names.map(at);
    let start = match start {
        Some(start) => start.ok_or("its names lie outside of it")?,
        None if entries.needed.is_empty() && entries.soname.is_none() => return Ok(program),
        None => return Err("it has no names for its libraries"),
    };
    let range = start..start.checked_add(entries.names_size).ok_or("its names lie outside of it")?;
    let names = Names { data, range, endian, life: PhantomData };
    let name = |place: Option<u64>| place.map(|place| names.at(place)).transpose();
    program.needed = entries.needed.iter().map(|place| names.at(*place)).collect::<Result<_, _>>()?;
    (program.rpath, program.runpath, program.soname) =
        (name(entries.rpath)?, name(entries.runpath)?, name(entries.soname)?);
    if let (Some(address), count) = entries.wants {
        let offset = at(address).ok_or("its table of wanted versions lies outside of it")?;
        program.wants = wanted(&names, &Table { offset, count })?;
    }
    if let (Some(address), count) = entries.defines {
        let offset = at(address).ok_or("its table of defined versions lies outside of it")?;
        program.defines = defined(&names, &Table { offset, count })?;
    }
    Ok(program)
}

/// Where in the file stands what the running program has at an address.
fn offset<Elf: FileHeader<Endian = Endianness>>(
    segments: &[Elf::ProgramHeader],
    endian: Endianness,
    address: u64,
) -> Option<u64> {
    segments.iter().filter(|segment| segment.p_type(endian) == PT_LOAD).find_map(|segment| {
        let inner = address.checked_sub(segment.p_vaddr(endian).into())?;
        let held = inner < segment.p_filesz(endian).into();
        held.then(|| segment.p_offset(endian).into().checked_add(inner))?
    })
}

/// A name of a table of names.
pub(super) fn named<'data, R: ReadRef<'data>>(data: R, table: &Range<u64>, offset: u64) -> Result<String, Failure> {
    const ODD: Failure = "a name in it is broken";
    let start = table.start.checked_add(offset).filter(|start| *start < table.end).ok_or(ODD)?;
    let length = data.len().map_err(|()| ODD)?;
    let end = table.end.min(start.saturating_add(MOST_NAME)).min(length);
    if start >= end {
        return Err(ODD);
    }
    let name = data.read_bytes_at_until(start..end, 0).map_err(|()| ODD)?;
    std::str::from_utf8(name).map(str::to_string).map_err(|_| ODD)
}
