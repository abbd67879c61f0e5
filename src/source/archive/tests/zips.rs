//! Stage 5: which zips are read, and which are refused.

use std::io::Write;

use super::{read, refused};

/// An entry of a zip; each part of each header can be spoiled.
#[derive(Clone)]
struct Entry {
    name: Vec<u8>,
    data: Vec<u8>,
    method: u16,
    flags: u16,
    attributes: u32,
    /// What the header in front of the content says otherwise: name, CRC-32, packed size, size.
    local: Option<(Vec<u8>, u32, u32, u32)>,
    packed: Vec<u8>,
    sum: u32,
    extra: Vec<u8>,
    /// What stands behind the content.
    behind: Vec<u8>,
    /// Whether the directory lists it.
    listed: bool,
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A stored entry of a Unix system.
fn file(name: &str, data: &str) -> Entry {
    Entry {
        name: name.into(),
        data: data.into(),
        method: 0,
        flags: 0,
        attributes: if name.ends_with('/') { 0o040_755 << 16 | 0x10 } else { 0o100_644 << 16 },
        local: None,
        packed: data.into(),
        sum: crc(data.as_bytes()),
        extra: Vec::new(),
        behind: Vec::new(),
        listed: true,
    }
}

impl Entry {
    fn deflated(self) -> Entry {
        Entry { method: 8, packed: deflate(&self.data), ..self }
    }

    /// With its sizes behind the content, as streams have them.
    fn streamed(self, signed: bool, wide: bool) -> Entry {
        let number = |value: usize| {
            if wide { (value as u64).to_le_bytes().to_vec() } else { (value as u32).to_le_bytes().to_vec() }
        };
        let signature: &[u8] = if signed { b"PK\x07\x08" } else { b"" };
        let behind =
            [signature, &self.sum.to_le_bytes(), &number(self.packed.len()), &number(self.data.len())].concat();
        Entry { flags: self.flags | 8, local: Some((self.name.clone(), 0, 0, 0)), behind, ..self }
    }

    fn headers(&self, offset: u32) -> (Vec<u8>, Vec<u8>) {
        let (packed, size) = (self.packed.len() as u32, self.data.len() as u32);
        let own = (self.name.clone(), self.sum, packed, size);
        let (name, sum, in_front, in_front_size) = self.local.clone().unwrap_or(own);
        let two = |value: usize| (value as u16).to_le_bytes();
        let common = |sum: u32, packed: u32, size: u32| {
            let [flags, method] = [self.flags, self.method].map(u16::to_le_bytes);
            [&flags[..], &method, &[0; 4], &sum.to_le_bytes(), &packed.to_le_bytes(), &size.to_le_bytes()].concat()
        };
        let local = [
            &b"PK\x03\x04\x14\0"[..],
            &common(sum, in_front, in_front_size),
            &two(name.len()),
            &two(self.extra.len()),
            &name,
            &self.extra,
            &self.packed,
            &self.behind,
        ];
        let central = [
            &b"PK\x01\x02\x14\x03\x14\0"[..],
            &common(self.sum, packed, size),
            &two(self.name.len()),
            &two(self.extra.len()),
            &[0; 6],
            &self.attributes.to_le_bytes(),
            &offset.to_le_bytes(),
            &self.name,
            &self.extra,
        ];
        // Two bytes of `[0; 6]` are the comment's length, two the disk, two what was text.
        (local.concat(), central.concat())
    }
}

/// The parts of a zip: what stands before its directory, the directory and its end.
fn parts(entries: &[Entry]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let (mut front, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let (local, central) = entry.headers(front.len() as u32);
        front.extend(local);
        if entry.listed {
            directory.extend(central);
        }
    }
    let count = entries.iter().filter(|entry| entry.listed).count();
    let end = end(count as u16, directory.len() as u32, front.len() as u32, b"");
    (front, directory, end)
}

fn end(count: u16, length: u32, start: u32, comment: &[u8]) -> Vec<u8> {
    let count = count.to_le_bytes();
    let two = (comment.len() as u16).to_le_bytes();
    [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &length.to_le_bytes(), &start.to_le_bytes(), &two, comment].concat()
}

fn zip(entries: &[Entry]) -> Vec<u8> {
    let (front, directory, end) = parts(entries);
    [front, directory, end].concat()
}

#[test]
fn zips_are_read() {
    let text = "text ".repeat(1000);
    let all = [
        file("top/", ""),
        file("top/a", "1"),
        file("top/b", &text).deflated(),
        Entry { flags: 0x0800, ..file("ü/", "") },
        Entry { flags: 0x0800, attributes: 0, ..file("ü/c", "") },
        file("empty", "").deflated(),
        file("s", &text).deflated().streamed(true, false),
        file("t", &text).deflated().streamed(false, false),
        file("u", &text).deflated().streamed(true, true),
        file("v", &text).deflated().streamed(false, true),
    ];
    let body = format!("= {text}");
    let reading = read(&zip(&all)).unwrap();
    let shown: Vec<String> = reading.shown().into_iter().map(|line| line.replace(&body, "= TEXT")).collect();
    let expect = [
        "empty = ",
        "s = TEXT",
        "t = TEXT",
        "top/",
        "top/a = 1",
        "top/b = TEXT",
        "u = TEXT",
        "v = TEXT",
        "ü/",
        "ü/c = ",
    ];
    assert_eq!(shown, expect);
    assert!(read(&zip(&[])).unwrap().members.is_empty());
    let (front, directory, _) = parts(&all[..2]);
    let commented = end(2, directory.len() as u32, front.len() as u32, b"a remark");
    assert_eq!(read(&[front, directory, commented].concat()).unwrap().members.len(), 2);
}

/// A zip whose end says all that it can in 64 bits.
fn wide(entries: &[Entry], edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (front, directory, _) = parts(entries);
    let place = (front.len() + directory.len()) as u64;
    let count = (entries.len() as u64).to_le_bytes();
    let (length, start) = ((directory.len() as u64).to_le_bytes(), (front.len() as u64).to_le_bytes());
    let mut record =
        [&b"PK\x06\x06"[..], &44u64.to_le_bytes(), &[45, 3, 45, 0], &[0; 8], &count, &count, &length, &start].concat();
    edit(&mut record);
    let locator = [&b"PK\x06\x07\0\0\0\0"[..], &place.to_le_bytes(), &1u32.to_le_bytes()].concat();
    [front, directory, record, locator, end(u16::MAX, u32::MAX, u32::MAX, b"")].concat()
}

#[test]
fn zips_of_64_bits_are_read() {
    let entries = [file("a", "1"), file("b", "2").deflated()];
    assert_eq!(read(&wide(&entries, |_| {})).unwrap().shown(), ["a = 1", "b = 2"]);
    refused(&wide(&entries, |record| record[4] = 45), &["contradict"]);
    refused(&wide(&entries, |record| record[24] = 1), &["contradict"]);
    refused(
        &wide(&entries, |record| (record[24], record[32]) = (1, 1)),
        &["its directory holds more than its entries"],
    );
    refused(&wide(&entries, |record| (record[24 + 7], record[32 + 7]) = (1, 1)), &["more than 500000 entries"]);
    refused(&wide(&entries, |record| record[48] ^= 1), &["its directory does not end where its end begins"]);
}

#[test]
fn arc_14_an_entry_stands_once() {
    refused(&zip(&[file("a", "1"), file("b", ""), file("a", "2")]), &["entry 3, `a`, has the same path as entry 1"]);
    refused(&zip(&[file("a", "1"), file("a/", "")]), &["entry 2, `a/`, has the same path as entry 1"]);
    refused(&zip(&[file("a", "1"), file("a/b", "")]), &["lies below entry 1"]);
}

#[test]
fn arc_14_both_headers_say_the_same() {
    let fine = file("a", "text");
    let local = |name: &str, sum: u32, packed: u32, size: u32| Entry {
        local: Some((name.into(), sum, packed, size)),
        ..fine.clone()
    };
    for (entry, what) in [
        (local("b", fine.sum, 4, 4), "another name"),
        (local("a", 1, 4, 4), "another size or CRC-32"),
        (local("a", fine.sum, 3, 4), "another size or CRC-32"),
        (local("a", fine.sum, 4, 5), "another size or CRC-32"),
    ] {
        refused(&zip(&[entry]), &["entry 1, `a`, has", what]);
    }
    for (at, in_front) in [(4, true), (6, false)] {
        let (mut front, mut directory, end) = parts(std::slice::from_ref(&fine));
        if in_front {
            front[at] = 93
        } else {
            directory[at] = 93
        }
        refused(&[front, directory, end].concat(), &["entry 1, `a`, needs version 9.3 of zip"]);
    }
    let (mut front, directory, end) = parts(std::slice::from_ref(&fine));
    front[8] = 8;
    refused(&[front, directory, end].concat(), &["another method or flag"]);
    refused(&zip(&[Entry { listed: false, ..fine.clone() }, file("b", "")]), &["entry 1, `b`, begins elsewhere"]);
    refused(
        &zip(&[file("b", ""), Entry { listed: false, ..fine.clone() }]),
        &["is followed by what belongs to no entry"],
    );
    refused(&zip(&[Entry { behind: b"gap".to_vec(), ..fine.clone() }]), &["is followed by what belongs to no entry"]);
    for behind in [b"PK\x07\x08".repeat(4), Vec::new(), vec![0; 13]] {
        refused(&zip(&[Entry { behind, ..fine.clone().deflated().streamed(true, false) }]), &["entry 1, `a`, "]);
    }
    refused(&zip(&[fine.streamed(true, false)]), &["another size or CRC-32"]);
}

#[test]
fn arc_14_the_content_is_what_the_headers_say() {
    let fine = file("a", "some text");
    refused(&zip(&[Entry { sum: 1, ..fine.clone() }]), &["entry 1, `a`, has another CRC-32"]);
    refused(&zip(&[Entry { sum: 1, ..fine.clone().deflated() }]), &["entry 1, `a`, has another CRC-32"]);
    for data in [b"some".to_vec(), b"some text and more".to_vec()] {
        refused(&zip(&[Entry { data, ..fine.clone().deflated() }]), &["entry 1, `a`, has another size"]);
    }
    refused(&zip(&[Entry { data: b"some".to_vec(), ..fine.clone() }]), &["entry 1, `a`, has another size"]);
    let more = [&fine.clone().deflated().packed[..], b"behind"].concat();
    refused(&zip(&[Entry { packed: more, ..fine.clone().deflated() }]), &["content behind the end of its content"]);
    refused(
        &zip(&[Entry { packed: b"\xff\xff\xff".to_vec(), ..fine.deflated() }]),
        &["entry 1, `a`, has damaged content"],
    );
}

#[test]
fn arc_14_the_end_is_the_end() {
    let fine = [file("a", "1")];
    let (front, directory, end) = parts(&fine);
    refused(&[&zip(&fine)[..], b"x"].concat(), &["no end of a directory at its end"]);
    refused(&[&b"#!/bin/sh\n"[..], &zip(&fine)].concat(), &["at entry 1"]);
    refused(&[&b"PK\x03\x04"[..], &zip(&fine)].concat(), &["its directory does not end where its end begins"]);
    refused(&[&front[..], &directory, b"gap", &end].concat(), &["its directory does not end where its end begins"]);
    refused(&[&zip(&fine)[..], &zip(&fine)].concat(), &["its directory does not end where its end begins"]);
    let hidden = self::end(1, directory.len() as u32, front.len() as u32, &end);
    refused(&[&front[..], &directory, &hidden].concat(), &["it has two ends"]);
    let mut parted = zip(&fine);
    let place = parted.len() - 18;
    parted[place] = 1;
    refused(&parted, &["it is one of several parts"]);
    let whole = zip(&fine);
    for cut in 4..whole.len() {
        assert!(read(&whole[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn arc_15_links_and_names_that_lead_out_are_refused() {
    let link = Entry { attributes: 0o120_777 << 16, ..file("l", "/etc/passwd") };
    refused(&zip(&[link]), &["entry 1, `l`, is a symbolic link"]);
    refused(&zip(&[Entry { attributes: 0o020_666 << 16, ..file("d", "") }]), &["neither a plain file nor a directory"]);
    refused(&zip(&[Entry { attributes: 0o040_755 << 16, ..file("d", "") }]), &["its name does not fit"]);
    refused(&zip(&[Entry { attributes: 0x10, ..file("d", "") }]), &["is a directory by its attributes"]);
    refused(&zip(&[file("d/", "data")]), &["is a directory with content"]);
    for name in ["../x", "a/../../x", "..", "/abs"] {
        refused(&zip(&[file("ok", ""), file(name, "")]), &[&format!("entry 2, `{name}`, ")]);
    }
    for name in ["a\\b", "..\\x", "C:x", "C:\\x"] {
        refused(&zip(&[file(name, "")]), &["means something else on Windows"]);
    }
}

#[test]
fn arc_16_names_of_zips_have_one_meaning() {
    refused(&zip(&[file("ü", "")]), &["does not say that it is UTF-8"]);
    refused(&zip(&[Entry { flags: 0x0800, name: b"\xfc".to_vec(), ..file("x", "") }]), &["no UTF-8"]);
    refused(&zip(&[file("", "")]), &["has no name"]);
    let second = [&b"up\x06\0\x01\0\0\0\0b"[..]].concat();
    refused(&zip(&[Entry { extra: second.clone(), ..file("a", "") }]), &["has a second name"]);
    assert_eq!(read(&zip(&[Entry { extra: second, ..file("b", "") }])).unwrap().members.len(), 1);
    refused(&zip(&[Entry { extra: b"up\xff\0".to_vec(), ..file("b", "") }]), &["has a damaged extra field"]);
    for (flags, method, why) in
        [(1, 0, "encrypted"), (0x40, 8, "flags"), (0x2000, 0, "flags"), (0, 9, "method 9"), (0, 93, "method 93")]
    {
        refused(&zip(&[Entry { flags, method, ..file("a", "x") }]), &["entry 1, `a`, ", why]);
    }
}

#[test]
fn arc_17_a_zip_is_refused_by_what_it_claims() {
    let bomb = Entry { packed: deflate(b"x"), ..file("a", "x") };
    let mut bytes = zip(&[Entry { method: 8, ..bomb }]);
    let claim = (4u32 << 30).wrapping_sub(2).to_le_bytes();
    let directory = bytes.len() - 22 - 47;
    bytes[directory + 24..directory + 28].copy_from_slice(&claim);
    bytes[22..26].copy_from_slice(&claim);
    refused(&bytes, &["it unpacks to more than"]);
}
