//! The lies that the mock can be told to tell.

use std::collections::BTreeSet;

use crate::faults::On;

/// A lie of the mock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// The certificate's ten minutes were two hours ago.
    ExpiredCertificate,
    /// The certificate is of an authority that nobody trusts, with the name of the right one.
    UnknownAuthority,
    /// The certificate names somebody else.
    OtherIdentity,
    /// The timestamp of the certificate transparency log signs something else.
    WrongSct,
    /// There is none.
    NoSct,
    /// Rekor v1's promise signs something else.
    WrongSet,
    /// There is none.
    NoSet,
    /// Rekor says that it took the entry an hour after it was sent.
    LateEntry,
    /// Rekor answers with the entry of somebody else.
    OtherEntry,
    /// A hash of the inclusion proof is wrong.
    WrongProof,
    /// The checkpoint is signed by another key.
    WrongCheckpoint,
    /// The time stamp is of something else.
    WrongStamp,
    /// The time stamp is an hour late.
    LateStamp,
    /// The time stamp is signed by another key.
    UnknownStamp,
    /// TUF's timestamp is of long ago.
    ExpiredTuf,
    /// TUF's metadata below the root are signed by another key.
    ForgedTuf,
}

/// The lies that are told now.
#[derive(Default)]
pub struct Flaws(BTreeSet<Flaw>);

impl Flaws {
    pub fn add(&mut self, flaw: Flaw) {
        self.0.insert(flaw);
    }

    pub fn has(&self, flaw: Flaw) -> bool {
        self.0.contains(&flaw)
    }
}

/// Something that goes wrong: an answer of the server, or what it says.
pub enum Fault {
    On(On),
    Flaw(Flaw),
}

impl From<On> for Fault {
    fn from(on: On) -> Fault {
        Fault::On(on)
    }
}

impl From<Flaw> for Fault {
    fn from(flaw: Flaw) -> Fault {
        Fault::Flaw(flaw)
    }
}
