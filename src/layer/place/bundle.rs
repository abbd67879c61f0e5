//! Stage 6: where certificates go: into every place where programs look for them. A bundle and the base's files in, entries out. Pure.

use std::sync::Arc;

use super::{LINK_MODE, PLAIN_MODE, Place};
use crate::layer::roots::{PLACES, relative};
use crate::layer::tree::{Body, Content, Entry, Mode};
use crate::source::Kind;

impl Place<'_> {
    /// Puts a bundle wherever the base has one, and links to it in all other usual places.
    pub(super) fn bundle(&mut self, at: u32, bundle: &Arc<[u8]>) {
        let entry =
            |body: Body, mode: u16| Entry { body, mode: Mode::Fixed(mode), uid: 0, gid: 0, capabilities: 0, item: at };
        let file = |place: &str| {
            let real = self.index.resolve(place)?;
            matches!(self.index.get(&real)?.kind, Kind::File { .. }).then_some(real)
        };
        let mut files: Vec<String> = PLACES.iter().filter_map(|place| file(place)).collect();
        let main = match files.first() {
            Some(first) => first.clone(),
            None => {
                let Some(first) = self.real(at, PLACES[0]) else { return };
                files.push(first.clone());
                first
            }
        };
        files.sort();
        files.dedup();
        for path in &files {
            self.put(at, path, entry(Body::File(Content::Inline(bundle.clone())), PLAIN_MODE));
        }
        for place in PLACES {
            // What stands there, even if it leads nowhere, is the base's.
            let Some(real) = self.real(at, place).filter(|real| self.index.get(real).is_none()) else { continue };
            if !files.contains(&real) {
                self.put(at, &real, entry(Body::Link(relative(&real, &main).into()), LINK_MODE));
            }
        }
    }
}
