//! For tests: ELF files as a linker would make them, but for the code: `Elf::program().needs("libc.so.6").bytes()`.

/// Where the file stands in memory.
const ADDRESS: u64 = 0x1_0000;

/// Numbers of machines: 64-bit unless they are not.
pub const X86_64: (u16, bool, bool) = (62, true, false);
pub const X86: (u16, bool, bool) = (3, false, false);
pub const AARCH64: (u16, bool, bool) = (183, true, false);
pub const ARM: (u16, bool, bool) = (40, false, false);
pub const S390X: (u16, bool, bool) = (22, true, true);
pub const PPC64LE: (u16, bool, bool) = (21, true, false);
pub const RISCV64: (u16, bool, bool) = (243, true, false);

/// An ELF file in the making.
#[derive(Clone)]
pub struct Elf {
    machine: (u16, bool, bool),
    kind: u16,
    flags: u32,
    system: u8,
    loader: Option<String>,
    /// Numbers that stand as they are, and texts.
    numbers: Vec<(u64, u64)>,
    texts: Vec<(u64, String)>,
    wants: Vec<(String, Vec<(String, bool)>)>,
    defines: Vec<String>,
}

const NEEDED: u64 = 1;
const SONAME: u64 = 14;
const RPATH: u64 = 15;
const RUNPATH: u64 = 29;
const FLAGS_1: u64 = 0x6fff_fffb;
const VERDEF: u64 = 0x6fff_fffc;
const VERNEED: u64 = 0x6fff_fffe;

impl Elf {
    /// A static program for x86-64 at fixed addresses.
    pub fn program() -> Elf {
        Elf {
            machine: X86_64,
            kind: 2,
            flags: 0,
            system: 0,
            loader: None,
            numbers: Vec::new(),
            texts: Vec::new(),
            wants: Vec::new(),
            defines: Vec::new(),
        }
    }

    /// A library of this name for x86-64.
    pub fn library(name: &str) -> Elf {
        Elf { kind: 3, ..Elf::program() }.text(SONAME, name)
    }

    /// The same file for another machine.
    pub fn on(self, machine: (u16, bool, bool)) -> Elf {
        Elf { machine, ..self }
    }

    /// The same file with these flags of its machine.
    pub fn flags(self, flags: u32) -> Elf {
        Elf { flags, ..self }
    }

    /// The same file, marked as one of another system.
    pub fn system(self, system: u8) -> Elf {
        Elf { system, ..self }
    }

    /// The same file of another type: 1 is an object file, 4 a core dump.
    pub fn kind(self, kind: u16) -> Elf {
        Elf { kind, ..self }
    }

    /// The same program, to be put anywhere, and marked as such.
    pub fn pie(self) -> Elf {
        Elf { kind: 3, ..self }.number(FLAGS_1, 0x0800_0001)
    }

    /// The same program with a loader.
    pub fn loader(self, path: &str) -> Elf {
        Elf { loader: Some(path.into()), ..self }
    }

    /// The same file with one more library that it needs.
    pub fn needs(self, name: &str) -> Elf {
        self.text(NEEDED, name)
    }

    /// The same file with directories of the old kind.
    pub fn rpath(self, path: &str) -> Elf {
        self.text(RPATH, path)
    }

    /// The same file with directories of the new kind.
    pub fn runpath(self, path: &str) -> Elf {
        self.text(RUNPATH, path)
    }

    /// The same file, for which the default directories do not count.
    pub fn without_defaults(self) -> Elf {
        self.number(FLAGS_1, 0x0800)
    }

    /// The same file, which wants these versions of a library; one that begins with `?` is weak.
    pub fn wants(mut self, library: &str, versions: &[&str]) -> Elf {
        let versions = versions.iter().map(|name| (name.trim_start_matches('?').to_string(), name.starts_with('?')));
        self.wants.push((library.into(), versions.collect()));
        self
    }

    /// The same library, which defines these versions.
    pub fn defines(self, versions: &[&str]) -> Elf {
        Elf { defines: versions.iter().map(ToString::to_string).collect(), ..self }
    }

    /// The same file with one more number in its dynamic section.
    pub fn number(mut self, tag: u64, value: u64) -> Elf {
        self.numbers.push((tag, value));
        self
    }

    fn text(mut self, tag: u64, text: &str) -> Elf {
        self.texts.push((tag, text.into()));
        self
    }

    fn is_dynamic(&self) -> bool {
        !(self.numbers.is_empty() && self.texts.is_empty() && self.wants.is_empty() && self.defines.is_empty())
    }

    fn put(&self, bytes: &mut Vec<u8>, value: u64, width: usize) {
        let all = value.to_be_bytes();
        let part = &all[8 - width..];
        if self.machine.2 { bytes.extend(part) } else { bytes.extend(part.iter().rev()) }
    }

    fn word(&self, bytes: &mut Vec<u8>, value: u64) {
        self.put(bytes, value, if self.machine.1 { 8 } else { 4 });
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let wide = self.machine.1;
        let (head, entry) = if wide { (64u64, 56u64) } else { (52, 32) };
        let count = 1 + u64::from(self.loader.is_some()) + u64::from(self.is_dynamic());
        let start = (head + count * entry).next_multiple_of(8);
        let mut content = Vec::new();
        let loader = self.loader.as_ref().map(|path| {
            content.extend(path.bytes().chain([0]));
            (start, path.len() as u64 + 1)
        });
        let dynamic = self.is_dynamic().then(|| self.dynamic(&mut content, start));
        let size = start + content.len() as u64;
        let mut bytes = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(wide), 1 + u8::from(self.machine.2), 1, self.system];
        bytes.resize(16, 0);
        for (value, width) in [(self.kind.into(), 2), (self.machine.0.into(), 2), (1, 4)] {
            self.put(&mut bytes, value, width);
        }
        for value in [0, head, 0] {
            self.word(&mut bytes, value);
        }
        for (value, width) in [(self.flags.into(), 4), (head, 2), (entry, 2), (count, 2), (0, 2), (0, 2), (0, 2)] {
            self.put(&mut bytes, value, width);
        }
        for (kind, place) in [(3, loader), (1, Some((0, size))), (2, dynamic)] {
            let Some((at, size)) = place else { continue };
            self.put(&mut bytes, kind, 4);
            if wide {
                self.put(&mut bytes, 4, 4);
            }
            for value in [at, ADDRESS + at, ADDRESS + at, size, size] {
                self.word(&mut bytes, value);
            }
            if !wide {
                self.put(&mut bytes, 4, 4);
            }
            self.word(&mut bytes, 8);
        }
        bytes.resize(start as usize, 0);
        bytes.extend(content);
        bytes
    }

    /// Adds names, versions and the dynamic section, and says where that is.
    fn dynamic(&self, content: &mut Vec<u8>, start: u64) -> (u64, u64) {
        let mut names = vec![0];
        let mut named = |text: &str| {
            names.extend(text.bytes().chain([0]));
            (names.len() - text.len() - 1) as u64
        };
        let mut entries = self.numbers.clone();
        entries.extend(self.texts.iter().map(|(tag, text)| (*tag, named(text))));
        let (mut wants, mut defines) = (Vec::new(), Vec::new());
        for (at, (library, versions)) in self.wants.iter().enumerate() {
            let next = if at + 1 == self.wants.len() { 0 } else { 16 + 16 * versions.len() as u64 };
            let values = [(1, 2), (versions.len() as u64, 2), (named(library), 4), (16, 4), (next, 4)];
            values.iter().for_each(|(value, width)| self.put(&mut wants, *value, *width));
            for (at, (name, weak)) in versions.iter().enumerate() {
                let next = if at + 1 == versions.len() { 0 } else { 16 };
                let values = [(0, 4), (2 * u64::from(*weak), 2), (2, 2), (named(name), 4), (next, 4)];
                values.iter().for_each(|(value, width)| self.put(&mut wants, *value, *width));
            }
        }
        // The first definition is the library's own name.
        let own = [("own".to_string(), 1)].into_iter().chain(self.defines.iter().map(|name| (name.clone(), 0)));
        let defined: Vec<_> = if self.defines.is_empty() { Vec::new() } else { own.collect() };
        for (at, (name, base)) in defined.iter().enumerate() {
            let next = if at + 1 == defined.len() { 0 } else { 28 };
            let values =
                [(1, 2), (*base, 2), (at as u64, 2), (1, 2), (0, 4), (20, 4), (next, 4), (named(name), 4), (0, 4)];
            values.iter().for_each(|(value, width)| self.put(&mut defines, *value, *width));
        }
        let mut add = |part: &[u8]| {
            content.resize(content.len().next_multiple_of(8), 0);
            content.extend(part);
            start + (content.len() - part.len()) as u64
        };
        let at = add(&names);
        entries.extend([(5, ADDRESS + at), (10, names.len() as u64)]);
        if !wants.is_empty() {
            entries.extend([(VERNEED, ADDRESS + add(&wants)), (VERNEED + 1, self.wants.len() as u64)]);
        }
        if !defines.is_empty() {
            entries.extend([(VERDEF, ADDRESS + add(&defines)), (VERDEF + 1, defined.len() as u64)]);
        }
        let mut dynamic = Vec::new();
        for (tag, value) in entries.into_iter().chain([(0, 0)]) {
            self.word(&mut dynamic, tag);
            self.word(&mut dynamic, value);
        }
        (add(&dynamic), dynamic.len() as u64)
    }
}

/// A cache of `ldconfig` that lists these libraries; the old form has another one in front.
pub fn cache(entries: &[(&str, &str)], old: bool) -> Vec<u8> {
    const HEAD: usize = 48;
    const ENTRY: usize = 24;
    let (mut table, mut texts) = (Vec::new(), Vec::new());
    let start = HEAD + ENTRY * entries.len();
    for (name, path) in entries {
        let places = [name, path].map(|text| {
            texts.extend(text.bytes().chain([0]));
            (start + texts.len() - text.len() - 1) as u32
        });
        table.extend([0x0303, places[0], places[1], 0, 0, 0].iter().flat_map(|number: &u32| number.to_le_bytes()));
    }
    let mut bytes = Vec::new();
    if old {
        bytes.extend(b"ld.so-1.7.0\0\x01\0\0\0");
        bytes.extend([0; 12 + 4]);
    }
    bytes.extend(b"glibc-ld.so.cache1.1");
    for number in [entries.len() as u32, texts.len() as u32, 2, 0, 0, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    [bytes, table, texts].concat()
}
