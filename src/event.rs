//! Below all stages: what happens while work goes on, for whoever watches. Touches nothing; `cli` decides what is shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Error, Kind, Result};

/// Something that happened and that a person may want to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A piece of work with a name began; `total` is in bytes, 0 where it is not known.
    Begin { what: String, total: u64 },
    /// The named piece of work is `done` bytes on.
    Step { what: String, done: u64 },
    /// The named piece of work ended in this way ("uploaded", "mounted", "already there", "packed" …).
    End { what: String, how: &'static str },
    /// A wait that is longer than a blink, and what for.
    Wait { why: String },
    /// A remark that does not change the result.
    Note { text: String },
    /// A detail for `-v`.
    Detail { text: String },
}

/// Where events go; shared by all threads.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// A sink that forgets everything.
pub fn nowhere() -> Sink {
    Arc::new(|_| {})
}

/// The wish to stop, shared by all threads; set by a signal, asked between blocks of work.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicU8>);

impl Cancel {
    /// Asks all work to stop; the first signal's kind stays.
    pub fn set(&self, kind: Kind) {
        let code = if kind == Kind::Terminated { 2 } else { 1 };
        let _ = self.0.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Fails once a stop was asked for.
    pub fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            2 => Err(Error::new(Kind::Terminated, "terminated")),
            _ => Err(Error::new(Kind::Interrupted, "interrupted")),
        }
    }
}
