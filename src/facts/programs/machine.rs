//! Between stages 0 and 1: for which processors a program is, and for which an image is. Numbers of ELF headers and platforms in, verdicts and words
//! out. Pure.
//!
//! Source of the numbers: the ELF specification and the supplements of the architectures, as the crate `object` lists them.

use object::elf;

use crate::oci::Platform;

/// The operating systems that mark their programs (`EI_OSABI`); Linux does not.
const SYSTEMS: [(u8, &str); 4] = [(2, "NetBSD"), (6, "Solaris"), (9, "FreeBSD"), (12, "OpenBSD")];
/// Where the version of the calling convention stands in the flags of an ARM program, and the only one that says how it computes.
const ARM_CONVENTION: u32 = 0xff00_0000;
const ARM_CONVENTION_5: u32 = 0x0500_0000;

/// For which processors a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine {
    /// `e_machine`.
    pub number: u16,
    /// Whether it is a 64-bit program.
    pub wide: bool,
    /// Whether its numbers begin with the most significant byte.
    pub big: bool,
    /// `e_flags`: what else of the processor it counts on.
    pub flags: u32,
    /// `EI_OSABI`.
    pub system: u8,
}

/// An architecture that images are made for.
struct Known {
    /// As platforms name it.
    arch: &'static str,
    number: u16,
    wide: bool,
    big: bool,
    /// In words.
    words: &'static str,
    /// The directories of its libraries in Debian.
    directories: &'static [&'static str],
}

const fn known(
    arch: &'static str,
    number: elf::Machine,
    (wide, big): (bool, bool),
    words: &'static str,
    directories: &'static [&'static str],
) -> Known {
    Known { arch, number: number.0, wide, big, words, directories }
}

const LITTLE_64: (bool, bool) = (true, false);
const BIG_64: (bool, bool) = (true, true);
const LITTLE_32: (bool, bool) = (false, false);
const BIG_32: (bool, bool) = (false, true);

static KNOWN: [Known; 14] = [
    known("amd64", elf::EM_X86_64, LITTLE_64, "x86-64", &["x86_64-linux-gnu"]),
    known("386", elf::EM_386, LITTLE_32, "32-bit x86", &["i386-linux-gnu"]),
    known("arm64", elf::EM_AARCH64, LITTLE_64, "64-bit ARM", &["aarch64-linux-gnu"]),
    known("arm", elf::EM_ARM, LITTLE_32, "32-bit ARM", &["arm-linux-gnueabihf", "arm-linux-gnueabi"]),
    known("ppc64le", elf::EM_PPC64, LITTLE_64, "little-endian 64-bit POWER", &["powerpc64le-linux-gnu"]),
    known("ppc64", elf::EM_PPC64, BIG_64, "big-endian 64-bit POWER", &["powerpc64-linux-gnu"]),
    known("s390x", elf::EM_S390, BIG_64, "IBM Z", &["s390x-linux-gnu"]),
    known("riscv64", elf::EM_RISCV, LITTLE_64, "64-bit RISC-V", &["riscv64-linux-gnu"]),
    known("riscv32", elf::EM_RISCV, LITTLE_32, "32-bit RISC-V", &["riscv32-linux-gnu"]),
    known("loong64", elf::EM_LOONGARCH, LITTLE_64, "64-bit LoongArch", &["loongarch64-linux-gnu"]),
    known("mips64le", elf::EM_MIPS, LITTLE_64, "little-endian 64-bit MIPS", &["mips64el-linux-gnuabi64"]),
    known("mips64", elf::EM_MIPS, BIG_64, "big-endian 64-bit MIPS", &["mips64-linux-gnuabi64"]),
    known("mipsle", elf::EM_MIPS, LITTLE_32, "little-endian 32-bit MIPS", &["mipsel-linux-gnu"]),
    known("mips", elf::EM_MIPS, BIG_32, "big-endian 32-bit MIPS", &["mips-linux-gnu"]),
];

impl Machine {
    /// Whether it runs on `platform`; `None` for a platform that is not known here.
    pub fn suits(&self, platform: &Platform) -> Option<bool> {
        if platform.os != "linux" {
            return None;
        }
        let known = KNOWN.iter().find(|known| known.arch == platform.arch)?;
        // What was built for a processor without floating point runs on one that has it, not the other way round.
        let lacks_float = platform.arch == "arm" && platform.variant == "v5" && self.hard_float() == Some(true);
        Some(self.is(known) && !lacks_float && self.foreign_system().is_none())
    }

    /// Whether a program of this machine can load a library of `other`, as a loader judges it.
    pub fn loads(&self, other: &Machine) -> bool {
        let same = (self.number, self.wide, self.big) == (other.number, other.wide, other.big);
        let floats = self.hard_float().zip(other.hard_float()).is_none_or(|(one, other)| one == other);
        same && floats
    }

    /// What it is, as in `x86-64`.
    pub fn words(&self) -> String {
        let mut words = match self.known() {
            Some(known) => known.words.to_string(),
            None if self.number == elf::EM_X86_64.0 => "x32".to_string(),
            None => format!("the machine number {}", self.number),
        };
        match self.hard_float() {
            Some(true) => words += " with hardware floating point",
            Some(false) => words += " with software floating point",
            None => {}
        }
        match self.foreign_system() {
            Some(system) => format!("{words} under {system}"),
            None => words,
        }
    }

    /// The directories of its libraries in Debian, as in `x86_64-linux-gnu`.
    pub fn directories(&self) -> &'static [&'static str] {
        self.known().map_or(&[], |known| known.directories)
    }

    fn known(&self) -> Option<&'static Known> {
        KNOWN.iter().find(|known| self.is(known))
    }

    fn is(&self, known: &Known) -> bool {
        (self.number, self.wide, self.big) == (known.number, known.wide, known.big)
    }

    /// Whether an ARM program computes in hardware; `None` where it does not say, or is for another processor.
    fn hard_float(&self) -> Option<bool> {
        if self.number != elf::EM_ARM.0 || self.flags & ARM_CONVENTION != ARM_CONVENTION_5 {
            return None;
        }
        let hard = self.flags & elf::EF_ARM_ABI_FLOAT_HARD != 0;
        let soft = self.flags & elf::EF_ARM_ABI_FLOAT_SOFT != 0;
        (hard != soft).then_some(hard)
    }

    fn foreign_system(&self) -> Option<&'static str> {
        SYSTEMS.iter().find(|(number, _)| *number == self.system).map(|(_, name)| *name)
    }
}
