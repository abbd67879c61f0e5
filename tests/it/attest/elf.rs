//! Small ELF programs with the sections that compilers write their modules into.

use std::io::Write;

/// Where the file stands in memory.
pub const ADDRESS: u64 = 0x40_0000;

/// A 64-bit little-endian program of these sections, all of it in one segment.
pub fn elf(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0; 64 + 56];
    let mut headers = vec![0; 64];
    let mut names = vec![0];
    let names_of_names = (".shstrtab", Vec::new());
    for (name, content) in sections.iter().chain([&names_of_names]) {
        let last = *name == ".shstrtab";
        let place = names.len() as u32;
        names.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let content = if last { &names } else { content };
        let at = bytes.len() as u64;
        let words =
            [u64::from(place) | if last { 3 } else { 1 } << 32, 2, ADDRESS + at, at, content.len() as u64, 0, 16, 0];
        headers.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(content);
    }
    let (at, count) = (bytes.len() as u64, headers.len() as u16 / 64);
    bytes.extend(headers);
    let size = bytes.len() as u64;
    let mut put = |place: usize, value: &[u8]| bytes[place..place + value.len()].copy_from_slice(value);
    put(0, b"\x7fELF\x02\x01\x01");
    for (place, value) in
        [(16, 2u16), (18, 62), (20, 1), (52, 64), (54, 56), (56, 1), (58, 64), (60, count), (62, count - 1)]
    {
        put(place, &value.to_le_bytes());
    }
    put(64, &1u32.to_le_bytes());
    put(68, &6u32.to_le_bytes());
    for (place, value) in [(32, 64u64), (40, at), (72, 0), (80, ADDRESS), (88, ADDRESS), (96, size), (104, size)] {
        put(place, &value.to_le_bytes());
    }
    bytes
}

/// What cargo-auditable embeds.
pub fn rust(list: &str) -> (&'static str, Vec<u8>) {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(list.as_bytes()).unwrap();
    (".dep-v0", encoder.finish().unwrap())
}

/// What Go's linker writes since Go 1.18: the texts stand behind the header.
pub fn go(version: &str, list: &str) -> (&'static str, Vec<u8>) {
    let mut bytes = b"\xff Go buildinf:\x08\x02".to_vec();
    bytes.resize(32, 0);
    for text in [version.as_bytes().to_vec(), fenced(list)] {
        assert!(text.len() < 1 << 14);
        bytes.extend([text.len() as u8 | 0x80, (text.len() >> 7) as u8]);
        bytes.extend(text);
    }
    (".go.buildinfo", bytes)
}

/// What it wrote before: the header points to two strings, each a pointer and a length. `at` is where the section stands.
pub fn old_go(version: &str, list: &str, at: u64) -> (&'static str, Vec<u8>) {
    let list = fenced(list);
    let texts = ADDRESS + at + 64;
    let words = [
        ADDRESS + at + 32,
        ADDRESS + at + 48,
        texts,
        version.len() as u64,
        texts + version.len() as u64,
        list.len() as u64,
    ];
    let mut bytes = b"\xff Go buildinf:\x08\x00".to_vec();
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(version.bytes().chain(list));
    (".go.buildinfo", bytes)
}

fn fenced(list: &str) -> Vec<u8> {
    [&[b'<'; 16][..], list.as_bytes(), &[b'>'; 16]].concat()
}
