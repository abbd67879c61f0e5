//! Stage 5: how a path is walked, as a container's kernel does it: links followed, `..` kept below the root. Pure.

/// Most links in one walk, as in Linux (`path_resolution(7)`).
const MOST_HOPS: usize = 40;

/// What stands at a path.
pub enum Stands<'a> {
    /// A directory.
    Directory,
    /// A symbolic link with this target.
    Link(&'a [u8]),
    /// Something that nothing can be below of.
    Solid,
    /// Nothing.
    Nothing,
}

/// Where a walk ended; no component of `path` is a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// The real path.
    pub path: Vec<u8>,
    /// How many bytes of it stand already; the rest does not.
    pub known: usize,
    /// Whether it ended at something that is no directory.
    pub solid: bool,
}

/// Where a file with some path would really stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Here.
    Real {
        /// The path, with the links in its parents followed; a link at the path itself is not.
        path: String,
        /// The parents that do not stand yet, top first.
        missing: Vec<String>,
    },
    /// Nowhere.
    Blocked {
        /// The path that stands in the way.
        at: String,
        /// Why nothing can stand below it.
        why: Obstacle,
    },
}

/// Why nothing can stand below a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is neither a directory nor a link to one.
    NoDirectory,
    /// Its links lead in a circle, or through too many others.
    Loop,
    /// Its links lead to a name that is no UTF-8.
    NotText,
}

/// Walks a path from the root, following every link, the last one too. Fails with the path that stands in the way.
pub fn walk<'a>(path: &[u8], stands: impl Fn(&[u8]) -> Stands<'a>) -> Result<Walked, (Vec<u8>, Obstacle)> {
    let mut ahead: Vec<Vec<u8>> = parts(path);
    let mut here = Walked { path: Vec::new(), known: 0, solid: false };
    let mut hops = 0;
    while let Some(part) = ahead.pop() {
        if part == b".." {
            here.path.truncate(parent(&here.path).len());
            here.known = here.known.min(here.path.len());
            continue;
        }
        let next = join(&here.path, &part);
        let stood = if here.known == here.path.len() { stands(&next) } else { Stands::Nothing };
        match stood {
            Stands::Directory => here.known = next.len(),
            Stands::Nothing => {}
            Stands::Solid if ahead.is_empty() => (here.known, here.solid) = (next.len(), true),
            Stands::Solid | Stands::Link([]) => return Err((next, Obstacle::NoDirectory)),
            Stands::Link(target) => {
                hops += 1;
                if hops > MOST_HOPS {
                    return Err((next, Obstacle::Loop));
                }
                if target.starts_with(b"/") {
                    (here.path, here.known) = (Vec::new(), 0);
                }
                ahead.extend(parts(target));
                continue;
            }
        }
        here.path = next;
    }
    Ok(here)
}

fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !matches!(part, [] | [b'.']));
    parts.rev().map(<[u8]>::to_vec).collect()
}

/// A path below another; the root is the empty path.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// The path without its last name; empty where that is the root.
pub fn parent(path: &[u8]) -> &[u8] {
    split(path).0
}

/// A path's parent and its last name.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&[], path),
    }
}

/// The ends of each leading directory of `path` that is longer than `known` bytes, the path itself included.
pub fn ends(path: &[u8], known: usize) -> impl Iterator<Item = usize> {
    let inner = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    inner.chain([path.len()]).filter(move |end| *end > known)
}
