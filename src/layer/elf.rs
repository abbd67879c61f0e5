//! Stage 6: whether programs are linked as their `[[binary]]` says. Items and their files in, findings out; reads the headers of
//! those files, a bounded part of each.

use object::Endianness;
use object::elf::{DT_NEEDED, DT_NULL, ET_DYN, ET_EXEC, FileHeader32, FileHeader64, PN_XNUM, PT_DYNAMIC, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::{FileKind, ReadCache, ReadRef};

use super::found::Found;
use super::read;
use crate::ctx::Ctx;
use crate::error::{Finding, Kind, Report, Result, printable};
use crate::manifest::{Item, Link, Manifest, What};

/// Largest dynamic section that is read, in bytes.
const MOST_DYNAMIC: u64 = 1 << 20;

/// How a file is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linked {
    /// It is no program, or a broken one.
    Not,
    /// Without a loader and without libraries.
    Static,
    /// It names libraries, but no loader.
    Library,
    /// A loader starts it.
    Dynamic,
}

/// Reports each `[[binary]]` of `manifest` that is not linked as it says; `found` are its sources.
pub fn check_links(ctx: &Ctx, manifest: &Manifest, found: &[Vec<Found>], report: &mut Report) -> Result<()> {
    for (image, found) in manifest.images.iter().zip(found) {
        for (item, found) in image.items.iter().zip(found) {
            ctx.cancel.check()?;
            if let Some(finding) = judge(item, found)? {
                report.add(finding);
            }
        }
    }
    Ok(())
}

fn judge(item: &Item, found: &Found) -> Result<Option<Finding>> {
    let (What::Binary { source, link, .. }, Found::File { path, seen }) = (&item.what, found) else { return Ok(None) };
    if *link == Link::Any {
        return Ok(None);
    }
    let program = read::open(path.to_path_buf(), *seen)?;
    let linked = program.file().map_or(Linked::Not, |file| linked(&ReadCache::new(file)));
    let wanted = if *link == Link::Static { "static" } else { "dynamic" };
    let (what, help) = match (link, linked) {
        (Link::Static, Linked::Static) | (Link::Dynamic, Linked::Dynamic) => return Ok(None),
        (_, Linked::Not) => ("is no ELF program", "name the program itself, or leave `link` out"),
        (Link::Static, _) => (
            "is linked dynamically",
            "build it for `{{ platform.rust_target }}` (Rust) or with `CGO_ENABLED=0` (Go), or write `link = \"dynamic\"` \
             on a base that has its libraries",
        ),
        (_, Linked::Library) => ("is a library, no loader starts it", "name the program itself"),
        _ => ("is linked statically", "write `link = \"static\"`"),
    };
    let finding = Finding::error("link", format!("`{}` {what}", printable(&source.written))).kind(Kind::Policy);
    Ok(Some(finding.at(&source.place, format!("`link` says \"{wanted}\"")).help(help)))
}

fn linked<'data>(data: impl ReadRef<'data>) -> Linked {
    let linked = match FileKind::parse(data) {
        Ok(FileKind::Elf32) => program::<FileHeader32<Endianness>, _>(data),
        Ok(FileKind::Elf64) => program::<FileHeader64<Endianness>, _>(data),
        _ => None,
    };
    linked.unwrap_or(Linked::Not)
}

/// How an ELF program is linked; `None` if it is none, or its headers contradict themselves.
fn program<'data, Elf: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(data: R) -> Option<Linked> {
    let header = Elf::parse(data).ok()?;
    let endian = header.endian().ok()?;
    if ![ET_EXEC, ET_DYN].contains(&header.e_type(endian)) || header.e_phnum(endian) == PN_XNUM {
        return None;
    }
    let (mut loader, mut libraries) = (false, false);
    let segments = header.program_headers(endian, data).ok().filter(|segments| !segments.is_empty())?;
    for segment in segments {
        loader |= segment.p_type(endian) == PT_INTERP;
        if segment.p_type(endian) != PT_DYNAMIC {
            continue;
        }
        if segment.p_filesz(endian).into() > MOST_DYNAMIC {
            return None;
        }
        let entries = segment.dynamic(endian, data).ok()?.unwrap_or_default();
        let mut tags = entries.iter().map(|entry| entry.d_tag(endian)).take_while(|tag| *tag != DT_NULL);
        libraries |= tags.any(|tag| tag == DT_NEEDED);
    }
    Some(match (loader, libraries) {
        (true, _) => Linked::Dynamic,
        (false, true) => Linked::Library,
        (false, false) => Linked::Static,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: u32 = 1;
    const DYNAMIC: u32 = 2;
    const INTERP: u32 = 3;

    /// A program of these segments; a dynamic one holds `tags`.
    fn elf(wide: bool, big: bool, kind: u16, segments: &[u32], tags: &[u64]) -> Vec<u8> {
        let number = |value: u64, bytes: usize| {
            let all = value.to_be_bytes();
            let mut part = all[8 - bytes..].to_vec();
            if !big {
                part.reverse();
            }
            part
        };
        let word = |value: u64| number(value, if wide { 8 } else { 4 });
        let (head, entry) = if wide { (64u64, 56u64) } else { (52, 32) };
        let mut bytes = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 1 + u8::from(big), 1];
        bytes.resize(16, 0);
        bytes.extend([number(kind.into(), 2), number(62, 2), number(1, 4), word(0), word(head), word(0)].concat());
        bytes.extend([number(0, 4), number(head, 2), number(entry, 2), number(segments.len() as u64, 2)].concat());
        bytes.extend([number(0, 2), number(0, 2), number(0, 2)].concat());
        let content: Vec<u8> = tags.iter().chain(&[0]).flat_map(|tag| [word(*tag), word(1)].concat()).collect();
        let at = head + entry * segments.len() as u64;
        for kind in segments {
            let (at, size) = (word(at), word(content.len() as u64));
            let (kind, flags) = (number((*kind).into(), 4), number(4, 4));
            bytes.extend(match wide {
                true => [kind, flags, at, word(0), word(0), size.clone(), size, word(8)].concat(),
                false => [kind, at, word(0), word(0), size.clone(), size, flags, word(4)].concat(),
            });
        }
        [bytes, content].concat()
    }

    #[test]
    fn programs_of_all_widths_and_orders() {
        for (wide, big) in [(true, false), (true, true), (false, false), (false, true)] {
            let check = |kind: u16, segments: &[u32], tags: &[u64], expect: Linked| {
                let bytes = elf(wide, big, kind, segments, tags);
                assert_eq!(linked(bytes.as_slice()), expect, "{wide} {big} {kind} {segments:?} {tags:?}");
                let cache = ReadCache::new(std::io::Cursor::new(bytes));
                assert_eq!(linked(&cache), expect);
            };
            check(2, &[LOAD], &[], Linked::Static);
            check(3, &[LOAD, DYNAMIC], &[5, 6], Linked::Static);
            check(3, &[LOAD, DYNAMIC], &[5, 1], Linked::Library);
            check(3, &[INTERP, LOAD, DYNAMIC], &[1], Linked::Dynamic);
            check(2, &[INTERP, LOAD], &[], Linked::Dynamic);
            check(1, &[LOAD], &[], Linked::Not);
            check(2, &[], &[], Linked::Not);
        }
    }

    #[test]
    fn broken_programs_are_none() {
        let whole = elf(true, false, 3, &[INTERP, LOAD, DYNAMIC], &[1]);
        for end in 0..whole.len() {
            assert_eq!(linked(&whole[..end]), Linked::Not, "{end}");
        }
        let mut large = elf(true, false, 3, &[DYNAMIC], &[1]);
        large[64 + 32..64 + 40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(linked(large.as_slice()), Linked::Not);
        let mut many = elf(true, false, 2, &[LOAD], &[]);
        many[56..58].copy_from_slice(&PN_XNUM.to_le_bytes());
        assert_eq!(linked(many.as_slice()), Linked::Not);
        for text in ["", "#!/bin/sh\n", "\x7fELF", "\x7fELF server"] {
            assert_eq!(linked(text.as_bytes()), Linked::Not, "{text:?}");
        }
    }
}
