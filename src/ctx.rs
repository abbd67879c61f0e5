//! Between stages 4 and 5: the permission to touch the world. A function that takes `&Ctx` may read files, use the store and
//! ask registries; one that does not cannot. Five things, no options.

use std::num::NonZeroUsize;
use std::path::Path;

use crate::error::Result;
use crate::event::{Cancel, Event, Sink};
use crate::registry;
use crate::store::{Memory, Store};

/// What work in the world needs. Cheap to clone.
#[derive(Clone)]
pub struct Ctx {
    /// Bytes by digest.
    pub store: Store,
    /// The only way to registries.
    pub registries: registry::Client,
    /// Where events go.
    pub sink: Sink,
    /// How many threads may compute.
    pub jobs: NonZeroUsize,
    /// The wish to stop.
    pub cancel: Cancel,
}

impl Ctx {
    /// What a program needs that builds images by itself: a store below `home`, a client with these settings, and somebody who hears what
    /// happens ([`crate::event::nowhere`] for nobody). As many threads compute as the machine has.
    ///
    /// # Errors
    ///
    /// Only where the client cannot be made, as with certificates that cannot be read.
    pub fn new(home: &Path, settings: registry::Settings, sink: Sink) -> Result<Ctx> {
        let cancel = Cancel::default();
        Ok(Ctx {
            store: Store::new(home, Memory::Full, sink.clone()),
            registries: registry::Client::new(settings, sink.clone(), cancel.clone())?,
            sink,
            jobs: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            cancel,
        })
    }

    /// Tells whoever watches.
    pub fn say(&self, event: Event) {
        (self.sink)(event);
    }

    /// A remark that does not change the result.
    pub fn note(&self, text: impl Into<String>) {
        self.say(Event::Note { text: text.into() });
    }
}

#[cfg(test)]
impl Ctx {
    /// A context for tests: a store below `home`, two threads, and nobody who watches.
    pub fn test(home: &std::path::Path, registries: registry::Client) -> Ctx {
        let sink = crate::event::nowhere();
        Ctx {
            store: Store::new(home, crate::store::Memory::Full, sink.clone()),
            registries,
            sink,
            jobs: NonZeroUsize::MIN.saturating_add(1),
            cancel: Cancel::default(),
        }
    }
}
