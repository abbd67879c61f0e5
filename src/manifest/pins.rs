//! Stage 1: the pins that stand in the manifest, and how they are moved: only the digest of a string changes, every other byte of the
//! file stays. A manifest in, its pins out; pins and new digests in, a new text out. Pure.

use std::collections::BTreeMap;

use super::base::Base;
use super::meant::{Manifest, Unpinned, What};
use crate::error::{Error, Place, Result, printable};
use crate::oci::{Digest, Reference, Repository, Tag};

/// The name of an image with a tag that can move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// What it is for: `base` or `copy`.
    pub what: &'static str,
    /// Where the image is.
    pub repository: Repository,
    /// The tag that is followed.
    pub tag: Option<Tag>,
    /// The digest that stands there; none where it is missing.
    pub digest: Option<Digest>,
    /// The string.
    pub place: Place,
}

/// All pins of a manifest, each place once.
pub fn pins(manifest: &Manifest) -> Vec<Pin> {
    let mut pins: BTreeMap<(String, usize), Pin> = BTreeMap::new();
    let at = |place: &Place| (place.text.path.clone(), place.span.start);
    let mut add = |what: &'static str, base: &Base, place: &Place| {
        if let Base::Registry(pinned) = base {
            pins.entry(at(place)).or_insert_with(|| Pin {
                what,
                repository: pinned.repository.clone(),
                tag: pinned.tag.clone(),
                digest: Some(pinned.digest),
                place: place.clone(),
            });
        }
    };
    for image in &manifest.images {
        add("base", &image.base.0, &image.base.1);
        for item in &image.items {
            if let What::Taken(taken) = &item.what {
                add("copy", &taken.from, &taken.place);
            }
        }
    }
    for Unpinned { key, reference, place } in &manifest.unpinned {
        let Reference { repository, tag, .. } = reference.clone();
        let what = if *key == "base" { "base" } else { "copy" };
        pins.insert(at(place), Pin { what, repository, tag, digest: None, place: place.clone() });
    }
    pins.into_values().collect()
}

/// The text of the manifest with new digests in these strings.
pub fn moved(text: &str, moves: &[(Place, Digest)]) -> Result<String> {
    let mut edits = BTreeMap::new();
    for (place, digest) in moves {
        let raw = text.get(place.span.clone()).unwrap_or_default();
        let (from, to) = match raw.find("@sha256:") {
            Some(at) => {
                let hex = raw.get(at + 8..).unwrap_or_default();
                (at, at + 8 + hex.bytes().take_while(u8::is_ascii_hexdigit).count())
            }
            // Before the quotes at its end.
            None => {
                let end = raw.trim_end_matches(['"', '\'']).len();
                (end, end)
            }
        };
        if to == 0
            || !raw.starts_with(['"', '\''])
            || raw.get(..from).is_some_and(|before| before.trim_end_matches("}}").len() < from && from == to)
        {
            return Err(Error::usage(format!("the digest cannot be written into `{}` at {place}", printable(raw)))
                .hint(format!("write `@{digest}` where the template takes it from")));
        }
        edits.insert(place.span.start + from, (place.span.start + to, format!("@{digest}")));
    }
    let mut new = text.to_string();
    for (from, (to, digest)) in edits.into_iter().rev() {
        new.replace_range(from..to, &digest);
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Text;

    fn check(before: &str, after: &str) {
        let text = Arc::new(Text { path: "image.toml".into(), text: before.into() });
        let start = before.find('=').map_or(0, |at| before[at..].find(['"', '\'']).unwrap() + at);
        let end = before[start..].find(['\r', '\n', '#']).map_or(before.len(), |end| start + end);
        let end = start + before[start..end].trim_end().len();
        let place = Place { text, span: start..end };
        let digest = Digest::of(b"new");
        let moved = moved(before, &[(place, digest)]).unwrap();
        assert_eq!(moved, after.replace("NEW", &digest.to_string()));
    }

    #[test]
    fn only_the_digest_changes() {
        let old = Digest::of(b"old").to_string();
        for (before, after) in [
            ("base = \"a/b:1@OLD\"", "base = \"a/b:1@NEW\""),
            ("# x\r\n  base   =  'a/b:1@OLD'   # why\r\n\r\n", "# x\r\n  base   =  'a/b:1@NEW'   # why\r\n\r\n"),
            ("base = \"a/b:1\" # not pinned\n", "base = \"a/b:1@NEW\" # not pinned\n"),
            ("base = \"a/b:{{ tag }}@OLD\"\n", "base = \"a/b:{{ tag }}@NEW\"\n"),
            ("base = \"\"\"a/b:1@OLD\"\"\"\n", "base = \"\"\"a/b:1@NEW\"\"\"\n"),
        ] {
            check(&before.replace("OLD", &old), after);
        }
    }

    #[test]
    fn a_string_that_ends_in_a_template_may_hold_the_digest_already() {
        let text = Arc::new(Text { path: "image.toml".into(), text: "\"{{ base }}\"".into() });
        let place = Place { text, span: 0..12 };
        assert!(moved("\"{{ base }}\"", &[(place, Digest::of(b""))]).is_err());
    }
}
