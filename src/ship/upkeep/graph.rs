//! Stage 9: what hangs together in a repository. Tags and documents in; what some of them need out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::oci::{Digest, Document, Tag};

/// The endings of tags under which something lies that belongs to a digest; the empty one is the list of referrers.
pub const ENDINGS: [&str; 4] = ["", ".sig", ".att", ".sbom"];

/// A manifest or an index of a repository, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paper {
    /// The manifests and indexes that it lists.
    pub children: Vec<Digest>,
    /// What it refers to.
    pub subject: Option<Digest>,
    /// When the image was made, if it says so.
    pub created: Option<Timestamp>,
}

impl Paper {
    /// What a document says.
    pub fn of(document: &Document) -> Paper {
        let subject = match document {
            Document::Manifest(manifest) => manifest.subject.as_ref(),
            Document::Index(index) => index.subject.as_ref(),
        };
        let children = match document {
            Document::Manifest(_) => Vec::new(),
            Document::Index(index) => {
                let listed = index.manifests.iter().filter(|child| crate::source::is_document(child));
                listed.map(|child| child.digest).collect()
            }
        };
        Paper { children, subject: subject.map(|subject| subject.digest), created: None }
    }
}

/// What is known of a repository.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// What each tag says.
    pub tags: BTreeMap<Tag, Digest>,
    /// Everything that was read, by its digest.
    pub papers: BTreeMap<Digest, Paper>,
    /// What refers to each digest, by the registry's word.
    pub referrers: BTreeMap<Digest, BTreeSet<Digest>>,
    /// What is there without a tag, because something with a tag belongs to it.
    pub untagged: BTreeSet<Digest>,
}

/// The digest that a tag belongs to by its name.
pub fn belongs(tag: &Tag) -> Option<Digest> {
    let rest = tag.as_str().strip_prefix("sha256-")?;
    let (hex, ending) = rest.split_at_checked(64)?;
    ENDINGS.contains(&ending).then(|| format!("sha256:{hex}").parse().ok()).flatten()
}

impl Graph {
    /// Everything that these digests need: what they list, what they refer to, and what belongs to them.
    pub fn needs(&self, roots: impl IntoIterator<Item = Digest>) -> BTreeSet<Digest> {
        self.walk(roots, true)
    }

    /// Everything that hangs below these digests: what they list, and what belongs to them.
    pub fn below(&self, roots: impl IntoIterator<Item = Digest>) -> BTreeSet<Digest> {
        self.walk(roots, false)
    }

    fn walk(&self, roots: impl IntoIterator<Item = Digest>, subjects: bool) -> BTreeSet<Digest> {
        let belonging = self.belonging();
        let mut found = BTreeSet::new();
        let mut ahead: Vec<Digest> = roots.into_iter().collect();
        while let Some(digest) = ahead.pop() {
            if !found.insert(digest) {
                continue;
            }
            ahead.extend(belonging.get(&digest).into_iter().flatten());
            let Some(paper) = self.papers.get(&digest) else { continue };
            ahead.extend(&paper.children);
            ahead.extend(paper.subject.filter(|_| subjects));
        }
        found
    }

    /// What belongs to each digest: by the registry's list, by its own subject, by the name of its tag.
    fn belonging(&self) -> BTreeMap<Digest, BTreeSet<Digest>> {
        let mut all = self.referrers.clone();
        for (digest, paper) in &self.papers {
            if let Some(subject) = paper.subject {
                all.entry(subject).or_default().insert(*digest);
            }
        }
        for (tag, digest) in &self.tags {
            if let Some(subject) = belongs(tag).filter(|subject| subject != digest) {
                all.entry(subject).or_default().insert(*digest);
            }
        }
        all
    }
}
