//! The work that no assembler can leave out, and no more: read, tar, SHA-256 of the tar, compression, SHA-256 of what is compressed, write. It
//! shares no code with the program; compressor, level and block size are the same.
//!
//! usage: ceiling SOURCE OUTPUT [gzip|zstd|none] [LEVEL]
//!
//! Its gzip is a row of members, which readers of a single one cut short: a yardstick, not a format. It knows files and directories only, reads
//! nothing back, flushes nothing to the disk, and looks at no content.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use libdeflater::{CompressionLvl, Compressor};
use sha2::{Digest, Sha256};

/// How many bytes are compressed at once.
const BLOCK: usize = 1 << 20;

type Numbered = (usize, Arc<Vec<u8>>);

/// How it is compressed.
#[derive(Clone, Copy)]
enum Kind {
    Gzip(i32),
    Zstd(i32),
    Plain,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let [source, output, rest @ ..] = &words[..] else {
        // What `cargo bench` runs without a source.
        println!("usage: ceiling SOURCE OUTPUT [gzip|zstd|none] [LEVEL]");
        return Ok(());
    };
    let level = rest.get(1).map(|text| text.parse()).transpose()?;
    let kind = match rest.first().map_or("gzip", String::as_str) {
        "gzip" => Kind::Gzip(level.unwrap_or(6)),
        "zstd" => Kind::Zstd(level.unwrap_or(3)),
        _ => Kind::Plain,
    };
    let threads = thread::available_parallelism()?.get();
    let (to_hash, hashed) = sync_channel::<Numbered>(threads);
    let (to_pack, unpacked) = sync_channel::<Numbered>(threads);
    let (to_write, packed) = sync_channel::<Numbered>(threads);
    let unpacked = Arc::new(Mutex::new(unpacked));
    let hasher = thread::spawn(move || {
        let mut hash = Sha256::new();
        hashed.into_iter().for_each(|(_, block)| hash.update(&*block));
        hash.finalize()
    });
    for _ in 0..threads {
        let (unpacked, to_write) = (unpacked.clone(), to_write.clone());
        thread::spawn(move || work(kind, &unpacked, &to_write));
    }
    drop(to_write);
    let output = PathBuf::from(output);
    let writer = thread::spawn(move || write(&output, packed));
    let mut blocks = Blocks { block: Vec::with_capacity(BLOCK), count: 0, to_hash, to_pack };
    archive(Path::new(source), &mut blocks)?;
    blocks.end();
    drop(blocks);
    hasher.join().map_err(|_| "the hasher broke down")?;
    writer.join().map_err(|_| "the writer broke down")??;
    Ok(())
}

/// Everything below a directory, or one file, as a tar.
fn archive(source: &Path, out: &mut Blocks) -> Result<(), Box<dyn Error>> {
    let mut builder = tar::Builder::new(out);
    let mut open = vec![(source.to_path_buf(), PathBuf::new())];
    let mut content = Vec::new();
    while let Some((path, name)) = open.pop() {
        let facts = std::fs::metadata(&path)?;
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        if facts.is_dir() {
            let mut names = std::fs::read_dir(&path)?.collect::<Result<Vec<_>, _>>()?;
            names.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
            open.extend(names.into_iter().map(|entry| (entry.path(), name.join(entry.file_name()))));
            if name.as_os_str().is_empty() {
                continue;
            }
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            builder.append_data(&mut header, &name, std::io::empty())?;
            continue;
        }
        header.set_size(facts.len());
        let name = if name.as_os_str().is_empty() { PathBuf::from("file") } else { name };
        let mut file = File::open(&path)?;
        if facts.len() > BLOCK as u64 {
            builder.append_data(&mut header, &name, &mut file)?;
            continue;
        }
        content.clear();
        file.read_to_end(&mut content)?;
        builder.append_data(&mut header, &name, &content[..])?;
    }
    builder.finish()?;
    Ok(())
}

/// The tar, cut into blocks that go to who hashes and to who compresses.
struct Blocks {
    block: Vec<u8>,
    count: usize,
    to_hash: SyncSender<Numbered>,
    to_pack: SyncSender<Numbered>,
}

impl Blocks {
    fn end(&mut self) {
        let block = Arc::new(std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK)));
        let _ = self.to_hash.send((self.count, block.clone()));
        let _ = self.to_pack.send((self.count, block));
        self.count += 1;
    }
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        if self.block.len() == BLOCK {
            self.end();
        }
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn work(kind: Kind, blocks: &Mutex<Receiver<Numbered>>, done: &SyncSender<Numbered>) {
    let mut gzip = match kind {
        Kind::Gzip(level) => CompressionLvl::new(level).ok().map(Compressor::new),
        _ => None,
    };
    loop {
        let Ok((number, block)) = blocks.lock().expect("nobody panics with it").recv() else { return };
        let packed = match (kind, &mut gzip) {
            (Kind::Gzip(_), Some(gzip)) => {
                let mut out = vec![0; gzip.gzip_compress_bound(block.len())];
                let count = gzip.gzip_compress(&block, &mut out).expect("the room is enough");
                out.truncate(count);
                Arc::new(out)
            }
            (Kind::Zstd(level), _) => Arc::new(zstd::bulk::compress(&block, level).expect("there is memory")),
            _ => block,
        };
        if done.send((number, packed)).is_err() {
            return;
        }
    }
}

/// Writes the blocks in their order, and hashes what is written.
fn write(output: &Path, packed: Receiver<Numbered>) -> std::io::Result<()> {
    let (mut file, mut hash) = (File::create(output)?, Sha256::new());
    let (mut early, mut next) = (BTreeMap::new(), 0);
    for (number, block) in packed {
        early.insert(number, block);
        while let Some(block) = early.remove(&next) {
            hash.update(&*block);
            file.write_all(&block)?;
            next += 1;
        }
    }
    let _ = hash.finalize();
    Ok(())
}
