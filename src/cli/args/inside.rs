//! Stage 10: the grammar of the commands that show what is inside of images. Words in, choices out.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::error::{Error, Result};
use crate::oci::{Digest, Platform};
use crate::source::Place;

/// What is looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The image that the manifest makes, written `.`.
    Work,
    /// An image somewhere.
    At(Place),
}

impl FromStr for Subject {
    type Err = Error;

    fn from_str(text: &str) -> Result<Subject> {
        match text {
            "." => Ok(Subject::Work),
            _ => text
                .parse()
                .map(Subject::At)
                .map_err(|error: Error| error.hint("`.` is the image that the manifest makes")),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Work => f.write_str("."),
            Subject::At(place) => place.fmt(f),
        }
    }
}

/// One layer of an image, as a person names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Counted from 1, the lowest.
    Number(usize),
    /// By the digest of its blob, or its diff ID.
    Digest(Digest),
    /// By the name that it has in the manifest.
    Name(String),
}

impl FromStr for Wanted {
    type Err = Error;

    fn from_str(text: &str) -> Result<Wanted> {
        match text.parse() {
            Ok(0) => Err(Error::usage("layers are counted from 1")),
            Ok(number) => Ok(Wanted::Number(number)),
            Err(_) if text.contains(':') => text.parse().map(Wanted::Digest),
            Err(_) => Ok(Wanted::Name(text.to_string())),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Number(number) => number.fmt(f),
            Wanted::Digest(digest) => digest.fmt(f),
            Wanted::Name(name) => name.fmt(f),
        }
    }
}

/// The order of a list of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// By path.
    Path,
    /// The largest first.
    Size,
}

/// The options of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The image, or `.` for the one that the manifest makes
    #[arg(value_name = "REF", default_value = ".")]
    pub reference: Subject,
    /// Shows only this platform, and all of it
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// Derives every digest and diff ID again; fails if one is wrong
    #[arg(long)]
    pub verify: bool,
    /// Reads the layers of an image in a registry too, to tell their size unpacked
    #[arg(long)]
    pub unpacked: bool,
    /// Asks for no signatures and attestations
    #[arg(long)]
    pub no_referrers: bool,
    /// Prints the manifest or index, byte for byte
    #[arg(long, conflicts_with_all = ["verify", "unpacked", "config"])]
    pub raw: bool,
    /// Prints the config, byte for byte
    #[arg(long, conflicts_with_all = ["verify", "unpacked"])]
    pub config: bool,
    /// Shows sizes in bytes
    #[arg(long)]
    pub bytes: bool,
}

/// The options of `files`.
#[derive(Debug, Args)]
pub struct Files {
    /// The image, or `.` for the one that the manifest makes
    #[arg(value_name = "REF", default_value = ".")]
    pub reference: Subject,
    /// The platform, where the image has several
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// Shows one layer, and what it removes: its number from 1, its digest, its diff ID or its name
    #[arg(long, value_name = "LAYER")]
    pub layer: Option<Wanted>,
    /// The order
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = By::Path, conflicts_with_all = ["tree", "mtree"])]
    pub by: By,
    /// Draws directories as a tree, each with all that is in it
    #[arg(long, conflicts_with = "mtree")]
    pub tree: bool,
    /// Shows no more than so many levels of directories
    #[arg(long, value_name = "N", requires = "tree")]
    pub depth: Option<usize>,
    /// Shows what is shipped and not seen, and what stands there twice
    #[arg(long, conflicts_with_all = ["layer", "by", "tree", "mtree", "html"])]
    pub waste: bool,
    /// Writes BSD mtree
    #[arg(long, conflicts_with = "html")]
    pub mtree: bool,
    /// Writes one page with a map of the image, for a browser
    #[arg(long, value_name = "FILE", conflicts_with_all = ["layer", "by", "tree"])]
    pub html: Option<PathBuf>,
    /// Shows sizes in bytes
    #[arg(long)]
    pub bytes: bool,
}

/// The options of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The one image
    #[arg(value_name = "A")]
    pub before: Subject,
    /// The other image (default: the one that the manifest makes)
    #[arg(value_name = "B", default_value = ".")]
    pub after: Subject,
    /// The platform, where an image has several
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// Shows every path, also those where nothing but the time changed, and those below a directory that came or went
    #[arg(long)]
    pub all: bool,
    /// Exits with 4 where there is a difference
    #[arg(long)]
    pub exit_code: bool,
    /// Shows sizes in bytes
    #[arg(long)]
    pub bytes: bool,
}

/// The options of `history`.
#[derive(Debug, Args)]
pub struct History {
    /// The image, or `.` for the one that the manifest makes
    #[arg(value_name = "REF", default_value = ".")]
    pub reference: Subject,
    /// The platform, where the image has several
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// Shows sizes in bytes
    #[arg(long)]
    pub bytes: bool,
}

/// What a JSON document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum About {
    /// `image.toml`.
    Manifest,
    /// What `inspect --format json` prints.
    Inspect,
    /// What `files --format json` prints.
    Files,
    /// What `diff --format json` prints.
    Diff,
    /// What `history --format json` prints.
    History,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_layers_are_read_as_they_are_shown() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(".".parse::<Subject>().unwrap(), Subject::Work);
        for text in [".", "docker.io/library/nginx", "oci:out"] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
        assert!("..".parse::<Subject>().unwrap_err().hints().iter().any(|hint| hint.contains("`.`")));
        for (text, wanted) in [
            ("1", Wanted::Number(1)),
            ("files", Wanted::Name("files".into())),
            (&*digest, Wanted::Digest(digest.parse().unwrap())),
        ] {
            assert_eq!((text.parse::<Wanted>().unwrap(), wanted.to_string()), (wanted, text.to_string()));
        }
        for text in ["0", "sha256:12", "md5:1"] {
            assert!(text.parse::<Wanted>().is_err(), "{text}");
        }
    }
}
