//! Between stages 0 and 1: what a file is to the kernel and to a dynamic loader. Bytes in, facts out; then facts and a view of an image's
//! files in, what a program would load from them, or what it would miss, out. Pure: nothing is opened or run here.
//!
//! Only what the kernel and a loader look at counts: program headers and the dynamic section, never the section headers, which a
//! stripped program need not have.

mod conf;
mod elf;
#[cfg(test)]
pub mod fixture;
pub(crate) mod fuzzing;
mod load;
mod machine;
mod script;
mod search;
#[cfg(test)]
mod tests;
mod versions;
mod view;

use object::read::ReadRef;

pub use conf::is_text;
pub use elf::{Linked, Program, Wanted};
pub use load::{Load, Loaded, Missing, load};
pub use machine::Machine;
pub use script::{Script, Starts};
pub use search::{Search, Way};
pub use view::View;

/// How many first bytes decide what a file is: as many as the kernel reads of a script (`BINPRM_BUF_SIZE`).
pub const HEAD: u64 = 256;

/// What a file is to the kernel. A file of data is none of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nature {
    /// An ELF program or library.
    Program(Box<Program>),
    /// An ELF file that nobody starts or loads: an object file, a core dump.
    Object,
    /// A script that names its interpreter.
    Script(Script),
    /// It begins as an ELF file, but contradicts itself; half a sentence says how.
    Broken(String),
    /// A program for another system, in words.
    Foreign(&'static str),
    /// It begins as an ELF file, and is too large to be looked at.
    Unread,
}

impl Nature {
    /// Whether its first bytes make it a program where no mode is declared: `\x7fELF` or `#!`.
    pub fn is_executable(&self) -> bool {
        !matches!(self, Nature::Foreign(_))
    }

    /// About how many bytes it takes to keep them.
    pub fn weight(&self) -> usize {
        match self {
            Nature::Program(program) => program.weight(),
            Nature::Script(script) => script.interpreter.len() + script.argument.as_ref().map_or(0, String::len),
            Nature::Broken(why) => why.len(),
            Nature::Object | Nature::Foreign(_) | Nature::Unread => 0,
        }
    }
}

/// What the first bytes of a file promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// An ELF file; all of it may be needed.
    Elf,
    /// A script; [`HEAD`] bytes are enough.
    Script,
    /// Something that is data, or that [`HEAD`] bytes tell.
    Other,
}

/// What these first bytes of a file promise.
pub fn promise(head: &[u8]) -> Promise {
    match head {
        [0x7f, b'E', b'L', b'F', ..] => Promise::Elf,
        [b'#', b'!', ..] => Promise::Script,
        _ => Promise::Other,
    }
}

/// The nature of a file; `None` for data.
pub fn read<'data>(data: impl ReadRef<'data>) -> Option<Nature> {
    let length = data.len().ok()?.min(HEAD);
    let head = data.read_bytes_at(0, length).ok()?;
    match promise(head) {
        Promise::Elf => Some(elf::read(data)),
        Promise::Script => script::read(head).map(Nature::Script),
        Promise::Other => foreign(head).map(Nature::Foreign),
    }
}

/// What programs of other systems are called.
const MACOS: &str = "macOS (Mach-O)";
const WINDOWS: &str = "Windows (PE)";

impl Nature {
    /// The program of another system that was told of by these words; `None` where none is called so.
    pub fn foreign(system: &str) -> Option<Nature> {
        [MACOS, WINDOWS].into_iter().find(|known| *known == system).map(Nature::Foreign)
    }
}

/// The programs of other systems, which somebody who builds on such a system packs by mistake.
fn foreign(head: &[u8]) -> Option<&'static str> {
    const PE_OFFSET: usize = 0x3c;
    // A Java class begins as a fat Mach-O file does; there, its version stands in place of the count of architectures.
    const MOST_FAT: u8 = 20;
    match head {
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xcf | 0xce, ..] => Some(MACOS),
        [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, count, ..] if (1..MOST_FAT).contains(count) => Some(MACOS),
        [b'M', b'Z', ..] => {
            let offset = head.get(PE_OFFSET..PE_OFFSET + 4)?;
            let at = u32::from_le_bytes(offset.try_into().ok()?) as usize;
            (head.get(at..at.checked_add(4)?)? == b"PE\0\0").then_some(WINDOWS)
        }
        _ => None,
    }
}
