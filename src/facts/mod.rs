//! Between stages 0 and 1: what the content of a file says of it. Bytes in, as they go by and however they are cut, facts out. Pure.
//!
//! Whoever has the bytes anyway looks at them here: `layer` while it packs, or reads for `check`. The facts are judged later, without
//! I/O, in `trust`.

mod secrets;

pub use secrets::{MOST_SECRETS, Secret, name, value};

/// What one content says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The secrets in it, in their order, at most [`MOST_SECRETS`].
    pub secrets: Vec<Secret>,
}

impl Facts {
    /// What this whole content says.
    pub fn of(bytes: &[u8]) -> Facts {
        let mut look = Look::new(bytes.len() as u64);
        look.piece(bytes);
        look.end()
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }
}

/// A look at one content while its bytes go by.
pub struct Look {
    left: u64,
    secrets: secrets::Scan,
}

impl Look {
    /// A look at a content of this many bytes.
    pub fn new(size: u64) -> Look {
        Look { left: size, secrets: secrets::Scan::default() }
    }

    /// Takes the next bytes.
    pub fn piece(&mut self, bytes: &[u8]) {
        self.left = self.left.saturating_sub(bytes.len() as u64);
        self.secrets.piece(bytes, self.left == 0);
    }

    /// What was seen. Bytes that never came are missing from it.
    pub fn end(self) -> Facts {
        Facts { secrets: self.secrets.end() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop};
    use proptest::{prop_assert_eq, prop_oneof, proptest};

    use super::*;

    /// Parts that contents with secrets are made of, so that chance puts them together.
    fn parts() -> impl Strategy<Value = Vec<u8>> {
        let words = [
            "AKIA",
            "ghp_",
            "-----BEGIN ",
            "RSA ",
            "PRIVATE KEY",
            "-----",
            "\n",
            "\0",
            ".atlasv1.",
            "dp.pt.",
            "LS0tLS1CRUdJTi",
        ];
        let word = prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec());
        let run = (any::<u8>(), 0..1200usize).prop_map(|(byte, length)| vec![byte; length]);
        let letters =
            prop::collection::vec(prop::sample::select(b"MIabcdefghij0123456789KLNOPQRSTUVWXYZ".to_vec()), 0..90);
        prop_oneof![word, run, letters, Just(b" ".to_vec())]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_cut_changes_what_a_content_says(parts in prop::collection::vec(parts(), 0..40), cut in 1..5000usize) {
            let content = parts.concat();
            let mut look = Look::new(content.len() as u64);
            content.chunks(cut).for_each(|piece| look.piece(piece));
            prop_assert_eq!(look.end(), Facts::of(&content));
        }
    }

    #[test]
    fn a_content_says_the_same_however_it_is_cut() {
        let token = format!("{}{}", "ghp_", "Zq3vKx9TbW2mLr8NdYc5HjPf7GsA4eUo1iXy");
        let content = format!("{}\ntoken = {token}\n{}", "line\n".repeat(3000), "x".repeat(9000)).into_bytes();
        let whole = Facts::of(&content);
        assert_eq!((whole.secrets.len(), whole.secrets[0].line), (1, Some(3002)));
        for cut in [1, 7, 100, 2047, 2048, 2049, 15000, 15010, 15020, content.len()] {
            let mut look = Look::new(content.len() as u64);
            content.chunks(cut).for_each(|piece| look.piece(piece));
            assert_eq!(look.end(), whole, "{cut}");
        }
        let late = [&b"x"[..], &content, b"\0"].concat();
        assert_eq!(Facts::of(&late), Facts::of(&late[..late.len() - 1]), "a NUL far behind makes no binary");
    }
}
