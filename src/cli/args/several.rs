//! Stage 10: the grammar of commands on several images, and of `resolve`. Words in, choices out.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Which images of a workspace are meant.
#[derive(Clone, Debug, Default, Args)]
pub struct Several {
    /// Does it for every image of the workspace whose root -f names
    #[arg(long)]
    pub all: bool,
    /// Only for images of the workspace with inputs that differ from this commit
    #[arg(long, value_name = "REV")]
    pub changed_since: Option<String>,
    /// Only for each N-th image, beginning with the I-th, as in 2/5: for the jobs of a CI matrix
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
}

impl Several {
    /// Whether several images may be meant.
    pub fn wanted(&self) -> bool {
        self.all || self.changed_since.is_some() || self.shard.is_some()
    }
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part, from 1 on.
    pub part: usize,
    /// Of how many.
    pub of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let wrong = || "write the part and how many there are, as in 2/5".to_string();
        let (part, of) = text.split_once('/').ok_or_else(wrong)?;
        let shard = Shard { part: part.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
        if (1..=shard.of).contains(&shard.part) { Ok(shard) } else { Err(wrong()) }
    }
}

/// The options of `resolve`.
#[derive(Debug, Args)]
pub struct Resolve {
    /// The YAML files, or directories of them; `-` is stdin. After `resolve`, `-f` says the same
    #[arg(long = "yaml", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Renders the files first: `{{ image.digest }}`, `{{ images.NAME.reference }}`
    #[arg(long)]
    pub render: bool,
    /// Builds into the local store only, and pushes nothing
    #[arg(long)]
    pub no_push: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_whole() {
        assert_eq!("2/5".parse(), Ok(Shard { part: 2, of: 5 }));
        for text in ["", "2", "0/5", "6/5", "1/0", "a/b", "-1/5", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
