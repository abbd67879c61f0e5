//! A Merkle tree that grows. RFC 6962, section 2.1.

use super::keys::sha256;

pub type Hash = [u8; 32];

#[derive(Default)]
pub struct Tree {
    leaves: Vec<Hash>,
}

pub fn leaf(bytes: &[u8]) -> Hash {
    sha256(&[&[0], bytes].concat())
}

fn node(left: Hash, right: Hash) -> Hash {
    sha256(&[&[1], &left[..], &right[..]].concat())
}

/// The largest power of two below the size.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(b""),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(split(many.len()));
            node(root(left), root(right))
        }
    }
}

fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    if index < left.len() {
        let mut hashes = path(index, left);
        hashes.push(root(right));
        hashes
    } else {
        let mut hashes = path(index - left.len(), right);
        hashes.push(root(left));
        hashes
    }
}

impl Tree {
    /// Adds an entry and returns where it is.
    pub fn push(&mut self, entry: &[u8]) -> usize {
        self.leaves.push(leaf(entry));
        self.leaves.len() - 1
    }

    pub fn find(&self, entry: &[u8]) -> Option<usize> {
        let wanted = leaf(entry);
        self.leaves.iter().position(|leaf| *leaf == wanted)
    }

    pub fn size(&self) -> usize {
        self.leaves.len()
    }

    pub fn root(&self) -> Hash {
        root(&self.leaves)
    }

    /// The proof that an entry is in the tree as it is now.
    pub fn proof(&self, index: usize) -> Vec<Hash> {
        path(index, &self.leaves)
    }
}
