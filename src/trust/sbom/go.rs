//! Stage 8: what Go's linker writes into a program about its modules. An ELF file in, the modules out; every length in it is checked
//! against the file. It does not say which module needs which. Pure.
//!
//! Source: the documentation of Go's package `debug/buildinfo`. Since Go 1.18 the texts stand behind the header, before that the
//! header points to them.

use object::BinaryFormat;
use object::read::{File, Object, ObjectSection, ObjectSegment};

use super::program::{Language, Module};
use super::purl::purl;

/// What the header begins with.
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The header's size, and what it is aligned to.
const HEADER: usize = 32;
const ALIGN: usize = 16;
/// Where in the header the width of a pointer, the flags, and the first pointer stand.
const WIDTH: usize = 14;
const FLAGS: usize = 15;
const POINTERS: usize = 16;
const BIG_ENDIAN: u8 = 1;
const INLINE: u8 = 2;
/// What the linker puts around the list of modules, on each side.
const FENCE: usize = 16;
/// Largest list of modules in bytes.
const MOST_LIST: usize = 8 << 20;
/// Most bytes of a segment that are searched for the header, where no section names it.
const MOST_SEARCHED: usize = 64 << 20;

/// The modules of a Go program; none where it is no Go program, or tells nothing.
pub fn modules(program: &[u8]) -> Result<Vec<Module>, String> {
    let Some(elf) = File::parse(program).ok().filter(|file| file.format() == BinaryFormat::Elf) else {
        return Ok(Vec::new());
    };
    let Some(header) = header(&elf) else { return Ok(Vec::new()) };
    let (version, list) = texts(&elf, header).ok_or("its Go build information is broken")?;
    let version = std::str::from_utf8(version).map_err(|_| "its Go version is no text")?;
    let list = std::str::from_utf8(list).map_err(|_| "its list of Go modules is no text")?;
    Ok(read(version, list))
}

/// The header and what stands behind it.
fn header<'data>(elf: &File<'data>) -> Option<&'data [u8]> {
    let named = elf.section_by_name(".go.buildinfo").and_then(|section| section.data().ok());
    let segments = elf.segments().filter_map(|segment| segment.data().ok());
    let searched = |bytes: &'data [u8]| {
        let starts = (0..bytes.len().min(MOST_SEARCHED)).step_by(ALIGN);
        starts.filter_map(|at| bytes.get(at..)).find(|rest| rest.starts_with(MAGIC) && rest.len() >= HEADER)
    };
    named.into_iter().chain(segments).find_map(searched)
}

/// The compiler's version and the list of modules without its fence.
fn texts<'data>(elf: &File<'data>, header: &'data [u8]) -> Option<(&'data [u8], &'data [u8])> {
    let flags = *header.get(FLAGS)?;
    let (version, list) = if flags & INLINE != 0 {
        let (version, rest) = counted(header.get(HEADER..)?)?;
        (version, counted(rest)?.0)
    } else {
        let width = usize::from(*header.get(WIDTH)?);
        let big = flags & BIG_ENDIAN != 0;
        let text = |at: usize| {
            let place = number(header.get(at..)?, width, big)?;
            let pair = at_address(elf, place, 2 * width as u64)?;
            let (start, length) = (number(pair, width, big)?, number(pair.get(width..)?, width, big)?);
            if length > MOST_LIST as u64 { None } else { at_address(elf, start, length) }
        };
        (text(POINTERS)?, text(POINTERS + width)?)
    };
    let inner = list.len().checked_sub(2 * FENCE).and_then(|length| list.get(FENCE..FENCE + length));
    Some((version, inner.filter(|inner| inner.last() == Some(&b'\n')).unwrap_or_default()))
}

/// A text behind its length, which is a varint, and what follows it.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        length |= u64::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte & 0x80 == 0 {
            let length = usize::try_from(length).ok().filter(|length| *length <= MOST_LIST)?;
            let rest = bytes.get(at + 1..)?;
            return Some((rest.get(..length)?, rest.get(length..)?));
        }
    }
    None
}

fn number(bytes: &[u8], width: usize, big: bool) -> Option<u64> {
    if ![4, 8].contains(&width) {
        return None;
    }
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    let bytes = bytes.get(..width)?;
    Some(if big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
}

/// The bytes that a program has at an address when it runs.
fn at_address<'data>(elf: &File<'data>, address: u64, length: u64) -> Option<&'data [u8]> {
    elf.segments().find_map(|segment| segment.data_range(address, length).ok().flatten())
}

/// The modules of a list: `mod` and `dep` lines of path, version and sum; `=>` replaces the one before.
fn read(version: &str, list: &str) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    for line in list.lines() {
        let mut parts = line.split('\t');
        let (word, path, version) = (parts.next(), parts.next().unwrap_or_default(), parts.next());
        match word {
            Some("mod") => modules.push(module(path, version, true)),
            Some("dep") => modules.push(module(path, version, false)),
            // A directory in place of a module has no version that anybody else knows.
            Some("=>") => drop(modules.pop().map(|old| {
                let local = path.starts_with('.') || path.starts_with('/');
                let new = if local { module(&old.name, None, old.root) } else { module(path, version, old.root) };
                modules.push(new);
            })),
            _ => {}
        }
    }
    let known = version.strip_prefix("go").and_then(|version| version.split_whitespace().next());
    if let Some(version) = known.filter(|version| version.starts_with(|first: char| first.is_ascii_digit())) {
        modules.push(module("stdlib", Some(version), false));
    }
    modules
}

fn module(path: &str, version: Option<&str>, root: bool) -> Module {
    let version = version.filter(|version| !version.is_empty() && *version != "(devel)");
    Module {
        language: Language::Go,
        name: path.to_string(),
        version: version.map(str::to_string),
        purl: version.map(|version| purl("golang", &[&path.to_lowercase()], Some(version), &[])),
        root,
        build: false,
        uses: Vec::new(),
    }
}
