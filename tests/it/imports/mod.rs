//! What comes from beyond the project's own files: archives, other images, certificates, and what an empty image lacks.

mod archives;
mod images;
mod skeleton;
mod trust;
mod web;

use std::io::Write;

/// The parts of a tar: a path with what it is.
pub enum Part<'a> {
    File(&'a str, &'a [u8], u32),
    Dir(&'a str, u32),
    Link(&'a str, &'a str),
    Hard(&'a str, &'a str),
    Fifo(&'a str),
}

/// A tar of these parts, each with this time and owner.
pub fn tar(parts: &[Part<'_>], time: u64, owner: u64) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for part in parts {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(time);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_size(0);
        header.set_mode(0o777);
        let kind = |header: &mut tar::Header, kind| header.set_entry_type(kind);
        match part {
            Part::File(path, data, mode) => {
                header.set_mode(*mode);
                header.set_size(data.len() as u64);
                builder.append_data(&mut header, path, *data).unwrap();
            }
            Part::Dir(path, mode) => {
                kind(&mut header, tar::EntryType::Directory);
                header.set_mode(*mode);
                builder.append_data(&mut header, path, &b""[..]).unwrap();
            }
            Part::Link(path, target) => {
                kind(&mut header, tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target).unwrap();
            }
            Part::Hard(path, target) => {
                kind(&mut header, tar::EntryType::Link);
                builder.append_link(&mut header, path, target).unwrap();
            }
            Part::Fifo(path) => {
                kind(&mut header, tar::EntryType::Fifo);
                builder.append_data(&mut header, path, &b""[..]).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A zip of stored files.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut front, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in files {
        let mut sum = flate2::Crc::new();
        sum.update(data);
        let size = (data.len() as u32).to_le_bytes();
        let common =
            [&[0; 8][..], &sum.sum().to_le_bytes(), &size, &size, &(name.len() as u16).to_le_bytes(), &[0; 2]].concat();
        let offset = (front.len() as u32).to_le_bytes();
        front.extend([&b"PK\x03\x04\x14\0"[..], &common, name.as_bytes(), data].concat());
        directory.extend([&b"PK\x01\x02\x14\0\x14\0"[..], &common, &[0; 10], &offset, name.as_bytes()].concat());
    }
    let count = (files.len() as u16).to_le_bytes();
    let sizes = [(directory.len() as u32).to_le_bytes(), (front.len() as u32).to_le_bytes()].concat();
    [front, directory, b"PK\x05\x06\0\0\0\0".to_vec(), count.to_vec(), count.to_vec(), sizes, vec![0; 2]].concat()
}
