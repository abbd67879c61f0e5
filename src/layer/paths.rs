//! Stage 6: an ordered map from paths to values that holds a million of them in little memory. Pure values.
//!
//! Paths stand one behind the other in the text of a chunk, and values in a row: nothing is allocated for one path. What comes in the
//! order of the paths fills whole chunks.

use std::fmt;

/// Most paths in a chunk; an insertion moves at most so many values.
const MOST: usize = 128;

/// A map from paths to values, in the order of the paths' bytes.
#[derive(Clone)]
pub struct Paths<V> {
    chunks: Vec<Chunk<V>>,
    len: usize,
}

#[derive(Clone)]
struct Chunk<V> {
    text: String,
    /// Where each path ends in the text.
    ends: Vec<u32>,
    values: Vec<V>,
}

impl<V> Chunk<V> {
    fn new() -> Chunk<V> {
        Chunk { text: String::new(), ends: Vec::new(), values: Vec::new() }
    }

    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    fn path(&self, at: usize) -> &str {
        &self.text[self.start(at)..self.ends[at] as usize]
    }

    /// Where a path stands, or where it belongs.
    fn find(&self, path: &str) -> Result<usize, usize> {
        let (mut from, mut to) = (0, self.ends.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.path(middle).cmp(path) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        Err(from)
    }

    fn insert(&mut self, at: usize, path: &str, value: V) {
        let start = self.start(at);
        self.text.insert_str(start, path);
        self.ends[at..].iter_mut().for_each(|end| *end += path.len() as u32);
        self.ends.insert(at, (start + path.len()) as u32);
        self.values.insert(at, value);
    }

    /// Cuts off what stands from a place on.
    fn split(&mut self, at: usize) -> Chunk<V> {
        let start = self.start(at);
        let text = self.text.split_off(start);
        let ends = self.ends.split_off(at).into_iter().map(|end| end - start as u32).collect();
        let split = Chunk { text, ends, values: self.values.split_off(at) };
        self.shrink();
        split
    }

    fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.values.shrink_to_fit();
    }
}

impl<V> Paths<V> {
    /// An empty map.
    pub fn new() -> Paths<V> {
        Paths { chunks: Vec::new(), len: 0 }
    }

    /// How many paths there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where a path stands, or where it belongs: the chunk, and the place in it.
    fn find(&self, path: &str) -> Result<(usize, usize), (usize, usize)> {
        // What comes in order stands behind all others.
        if let Some(chunk) = self.chunks.last().filter(|chunk| chunk.path(chunk.ends.len() - 1) < path) {
            return Err((self.chunks.len() - 1, chunk.ends.len()));
        }
        let at = self.chunks.partition_point(|chunk| chunk.path(0) <= path).saturating_sub(1);
        match self.chunks.get(at).map(|chunk| chunk.find(path)) {
            None => Err((at, 0)),
            Some(Ok(place)) => Ok((at, place)),
            Some(Err(place)) => Err((at, place)),
        }
    }

    /// The value at a path.
    pub fn get(&self, path: &str) -> Option<&V> {
        let (chunk, at) = self.find(path).ok()?;
        Some(&self.chunks[chunk].values[at])
    }

    /// The value at a path, and the path as it is held.
    pub fn get_key_value(&self, path: &str) -> Option<(&str, &V)> {
        let (chunk, at) = self.find(path).ok()?;
        Some((self.chunks[chunk].path(at), &self.chunks[chunk].values[at]))
    }

    /// The value at a path, to change it.
    pub fn get_mut(&mut self, path: &str) -> Option<&mut V> {
        let (chunk, at) = self.find(path).ok()?;
        Some(&mut self.chunks[chunk].values[at])
    }

    /// Whether there is something at a path.
    pub fn contains_key(&self, path: &str) -> bool {
        self.find(path).is_ok()
    }

    /// Puts a value at a path; what stood there before comes back.
    pub fn insert(&mut self, path: &str, value: V) -> Option<V> {
        let (mut chunk, mut at) = match self.find(path) {
            Ok((chunk, at)) => return Some(std::mem::replace(&mut self.chunks[chunk].values[at], value)),
            Err(place) => place,
        };
        self.len += 1;
        let count = self.chunks.get(chunk).map_or(MOST, |chunk| chunk.ends.len());
        if count == MOST {
            let last = chunk + 1 >= self.chunks.len() && at + 1 > count.min(self.len - 1);
            let fresh = match self.chunks.get_mut(chunk) {
                // What comes in order leaves full chunks behind.
                Some(full) if last => {
                    full.shrink();
                    Chunk::new()
                }
                Some(full) => full.split(MOST / 2),
                None => Chunk::new(),
            };
            let next = (chunk + 1).min(self.chunks.len());
            self.chunks.insert(next, fresh);
            if last {
                (chunk, at) = (next, 0);
            } else if at > MOST / 2 {
                (chunk, at) = (next, at - MOST / 2);
            }
        }
        self.chunks[chunk].insert(at, path, value);
        None
    }

    /// All paths and values in order.
    pub fn iter(&self) -> Iter<'_, V> {
        Iter { chunks: &self.chunks, at: 0 }
    }

    /// The same, from the first path on that is not before `start`.
    pub fn starting(&self, start: &str) -> Iter<'_, V> {
        let (chunk, at) = self.find(start).unwrap_or_else(|place| place);
        Iter { chunks: self.chunks.get(chunk..).unwrap_or_default(), at }
    }

    /// All values in the order of their paths.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.chunks.iter().flat_map(|chunk| &chunk.values)
    }
}

impl<V> Default for Paths<V> {
    fn default() -> Paths<V> {
        Paths::new()
    }
}

impl<V: PartialEq> PartialEq for Paths<V> {
    fn eq(&self, other: &Paths<V>) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<V: fmt::Debug> fmt::Debug for Paths<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self).finish()
    }
}

impl<P: AsRef<str>, V> FromIterator<(P, V)> for Paths<V> {
    fn from_iter<I: IntoIterator<Item = (P, V)>>(all: I) -> Paths<V> {
        let mut paths = Paths::new();
        all.into_iter().for_each(|(path, value)| drop(paths.insert(path.as_ref(), value)));
        paths
    }
}

/// The paths and values of a map, in order.
pub struct Iter<'a, V> {
    chunks: &'a [Chunk<V>],
    at: usize,
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a str, &'a V);

    fn next(&mut self) -> Option<(&'a str, &'a V)> {
        let (mut first, mut rest) = self.chunks.split_first()?;
        if self.at == first.ends.len() {
            (self.chunks, self.at) = (rest, 0);
            (first, rest) = rest.split_first()?;
        }
        let found = (first.path(self.at), &first.values[self.at]);
        self.at += 1;
        if self.at == first.ends.len() {
            (self.chunks, self.at) = (rest, 0);
        }
        Some(found)
    }
}

impl<'a, V> IntoIterator for &'a Paths<V> {
    type Item = (&'a str, &'a V);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Iter<'a, V> {
        self.iter()
    }
}

/// The paths and values of a map that is used up, in order; memory is given back on the way.
pub struct IntoIter<V> {
    chunks: std::vec::IntoIter<Chunk<V>>,
    text: String,
    rest: std::iter::Zip<std::vec::IntoIter<u32>, std::vec::IntoIter<V>>,
    start: usize,
}

impl<V> Iterator for IntoIter<V> {
    type Item = (String, V);

    fn next(&mut self) -> Option<(String, V)> {
        loop {
            if let Some((end, value)) = self.rest.next() {
                let path = self.text[self.start..end as usize].to_string();
                self.start = end as usize;
                return Some((path, value));
            }
            let Chunk { text, ends, values } = self.chunks.next()?;
            (self.text, self.rest, self.start) = (text, ends.into_iter().zip(values), 0);
        }
    }
}

impl<V> IntoIterator for Paths<V> {
    type Item = (String, V);
    type IntoIter = IntoIter<V>;

    fn into_iter(self) -> IntoIter<V> {
        let rest = Vec::new().into_iter().zip(Vec::new());
        IntoIter { chunks: self.chunks.into_iter(), text: String::new(), rest, start: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Paths;

    fn check(paths: &[String], asked: &str) {
        let (mut ours, mut theirs) = (Paths::new(), BTreeMap::new());
        for (at, path) in paths.iter().enumerate() {
            assert_eq!(ours.insert(path, at), theirs.insert(path.clone(), at));
        }
        assert_eq!((ours.len(), ours.is_empty()), (theirs.len(), theirs.is_empty()));
        assert!(ours.iter().eq(theirs.iter().map(|(path, at)| (path.as_str(), at))));
        assert!(ours.values().eq(theirs.values()));
        assert_eq!((ours.get(asked), ours.contains_key(asked)), (theirs.get(asked), theirs.contains_key(asked)));
        assert_eq!(ours.get_mut(asked), theirs.get_mut(asked));
        let from = theirs.range(asked.to_string()..).map(|(path, at)| (path.as_str(), at));
        assert!(ours.starting(asked).eq(from), "from {asked:?}");
        assert!(ours == theirs.iter().map(|(path, at)| (path, *at)).collect::<Paths<usize>>());
        assert!(ours.into_iter().eq(theirs));
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_map(paths in prop::collection::vec("[a-c/]{0,5}", 0..600), asked in "[a-c/]{0,5}") {
            check(&paths, &asked);
        }
    }

    #[test]
    fn orders_of_insertion() {
        let ascending: Vec<String> = (0..2000).map(|at| format!("{at:05}")).collect();
        let descending: Vec<String> = ascending.iter().rev().cloned().collect();
        let scattered: Vec<String> = (0..2000).map(|at| format!("{:05}", at * 7919 % 2000)).collect();
        for paths in [ascending, descending, scattered] {
            for asked in ["", "00000", "00127", "00128", "00127x", "01999", "x"] {
                check(&paths, asked);
            }
        }
    }
}
