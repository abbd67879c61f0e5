//! Stage 6: layers as they are done, for whoever can begin with them before all are. Told by the packing thread, awaited elsewhere.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::pack::Packed;
use crate::oci::Descriptor;

/// A layer that is in the store.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its blob.
    pub descriptor: Descriptor,
    /// Whether its contents say something that is judged before it may go anywhere.
    pub judged: bool,
}

/// Where layers are told.
#[derive(Clone, Debug)]
pub struct Told(UnboundedSender<Done>);

/// Where layers are awaited.
#[derive(Debug)]
pub struct Waiting(UnboundedReceiver<Done>);

/// Both ends. There are no more layers to come than the plan has, so that nothing else bounds them.
pub fn done() -> (Told, Waiting) {
    let (sender, receiver) = unbounded_channel();
    (Told(sender), Waiting(receiver))
}

impl Told {
    /// Tells of a layer; nobody need listen.
    pub fn tell(&self, packed: &Packed) {
        let judged = packed.facts.values().any(|facts| !facts.is_empty());
        let _ = self.0.send(Done { descriptor: packed.descriptor.clone(), judged });
    }
}

impl Waiting {
    /// The next layer; nothing once all were told.
    pub async fn next(&mut self) -> Option<Done> {
        self.0.recv().await
    }
}
