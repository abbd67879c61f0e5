//! Between stages 0 and 1, for fuzzing: the door to what reads programs and scripts (`crate::fuzzing`). Bytes in, a panic where a promise is broken.

use std::io::Cursor;

use object::read::ReadCache;

use super::conf::read_cache;
use super::view::View;
use super::{HEAD, Load, Nature, Promise, Search, load, promise, read};

/// An image of one file, which is found under every name and is every text.
struct One<'a>(Option<&'a Nature>, &'a [u8]);

impl View for One<'_> {
    fn file(&self, path: &str) -> Option<String> {
        Some(path.trim_start_matches('/').to_string())
    }

    fn nature(&self, _: &str) -> Option<&Nature> {
        self.0
    }

    fn text(&self, _: &str) -> Option<Vec<u8>> {
        Some(self.1.to_vec())
    }

    fn names(&self, _: &str) -> Vec<String> {
        vec!["one".into(), "two.conf".into()]
    }
}

/// A file reads the same from memory and from a disk, keeps what its first bytes promise, and what it would load is found.
pub(crate) fn program(bytes: &[u8]) {
    let nature = read(bytes);
    assert_eq!(read(&ReadCache::new(Cursor::new(bytes))), nature);
    let head = &bytes[..bytes.len().min(HEAD as usize)];
    match &nature {
        Some(Nature::Program(_) | Nature::Object | Nature::Broken(_) | Nature::Unread) => {
            assert_eq!(promise(head), Promise::Elf)
        }
        Some(Nature::Script(script)) => {
            assert_eq!(promise(head), Promise::Script);
            assert!(script.interpreter.chars().all(|character| !matches!(character, ' ' | '\t' | '\n')));
            script.starts();
        }
        Some(Nature::Foreign(_)) | None => assert_eq!(promise(head), Promise::Other),
    }
    for big in [false, true] {
        for (name, paths) in read_cache(bytes, big).unwrap_or_default() {
            assert!(!name.contains('\0') && !paths.is_empty());
        }
    }
    let Some(Nature::Program(program)) = &nature else { return };
    let view = One(nature.as_ref(), bytes);
    let search = Search::new(&view, &["LD_LIBRARY_PATH=/x::y".into()], "");
    let (loaded, _) = load(&search, Load { path: "/program", program });
    assert!(loaded.iter().all(|found| !found.real.starts_with('/')));
}
