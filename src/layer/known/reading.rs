//! Stage 6: a look at a content while its bytes go by, on their way into a layer or not. Pieces in; what they say out, and into what is known.

use sha2::{Digest as _, Sha256};

use super::{Fact, Key, Known, key};
use crate::facts::{Facts, Look};
use crate::layer::tree::Content;
use crate::oci::Digest;

/// A look at one content. Bytes that are known already are passed over.
pub struct Reading<'a> {
    known: &'a Known,
    /// What the content is known by, and whether it is too young to be remembered.
    key: Option<(Key, bool)>,
    hasher: Option<Sha256>,
    look: Look,
    begun: bool,
    program: bool,
    told: Option<Facts>,
}

impl Known {
    /// Begins to read a content whole.
    pub fn reading(&self, content: &Content) -> Reading<'_> {
        let key = key(content);
        let told = self.fact_of(content, key.as_ref()).map(|fact| fact.facts);
        self.count(content.size());
        let (young, on_disk) = (self.is_young(content), matches!(content, Content::Disk(_)));
        Reading {
            known: self,
            key: key.map(|key| (key, young)).filter(|_| told.is_none()),
            hasher: (on_disk && told.is_none()).then(Sha256::new),
            look: Look::new(content.size()),
            begun: false,
            program: false,
            told,
        }
    }
}

impl Reading<'_> {
    /// Takes the next bytes.
    pub fn piece(&mut self, bytes: &[u8]) {
        if !self.begun {
            self.begun = true;
            self.program = is_program(bytes);
        }
        if self.told.is_none() {
            self.look.piece(bytes);
            self.hasher.iter_mut().for_each(|hasher| hasher.update(bytes));
        }
    }

    /// What the content says. It was read to its end, and still is what was listed.
    pub fn end(self) -> Facts {
        if let Some(told) = self.told {
            return told;
        }
        let facts = self.look.end();
        if let Some((key, young)) = self.key {
            let id = self.hasher.map(Digest::finish);
            let fact = Fact { id, program: self.program, facts: facts.clone(), ..Fact::default() };
            self.known.learn(key, young, fact);
        }
        facts
    }
}

/// Whether the first bytes of a file make it a program.
pub fn is_program(first: &[u8]) -> bool {
    first.starts_with(b"\x7fELF") || first.starts_with(b"#!")
}
