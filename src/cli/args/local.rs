//! Stage 10: the grammar of the local round: `images`, `rm`, `prune`, `run`, `watch`, and of `tags`. Words in, choices out.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use jiff::SignedDuration;

use crate::manifest::read_size;
use crate::oci::{Platform, Reference, Repository};
use crate::ship::{Destination, Engine};
use crate::source::Place;

/// Most days of an age.
const MOST_DAYS: u64 = 36_500;
/// Largest pattern that is compiled, in bytes.
const MOST_PATTERN: usize = 1 << 20;

/// The options of `images`.
#[derive(Debug, Args)]
pub struct Images {
    /// Only images of this repository
    #[arg(value_name = "NAME")]
    pub name: Option<Repository>,
    /// Shows sizes as numbers of bytes
    #[arg(long)]
    pub bytes: bool,
}

/// The options of `rm`.
#[derive(Debug, Args)]
pub struct Remove {
    /// The images: NAME:TAG, NAME, a digest, or the beginning of one
    #[arg(value_name = "REF", required = true)]
    pub references: Vec<String>,
}

/// The options of `prune`.
#[derive(Debug, Args)]
pub struct Prune {
    /// Removes images that have a name, too
    #[arg(long, conflicts_with = "remote")]
    pub all: bool,
    /// Removes only what was not used for so long, as in 12h, 7d or 2w; of a repository: only what is older
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub older_than: Option<Duration>,
    /// Removes only as much as is needed for the store to be no larger, the least recently used first
    #[arg(long, value_name = "SIZE", value_parser = bytes, conflicts_with = "remote")]
    pub keep_size: Option<u64>,
    /// Shows what would be removed
    #[arg(long, conflicts_with_all = ["remote", "yes"])]
    pub dry_run: bool,
    /// Removes tags of this repository, and what only they need, instead of anything local
    #[arg(long, value_name = "REPO")]
    pub remote: Option<Repository>,
    #[command(flatten)]
    pub keep: Keep,
    /// Removes from the repository; without it, it is only shown what would go
    #[arg(long, requires = "remote")]
    pub yes: bool,
}

/// Which tags of a repository stay.
#[derive(Debug, Args)]
pub struct Keep {
    /// Keeps the N newest images with all their tags
    #[arg(long, value_name = "N", requires = "remote")]
    pub keep_last: Option<usize>,
    /// Keeps tags that are whole semantic versions
    #[arg(long, requires = "remote")]
    pub keep_semver: bool,
    /// Keeps tags that this regular expression fits whole
    #[arg(long = "keep", value_name = "REGEX", value_parser = whole, requires = "remote")]
    pub keep: Vec<regex::Regex>,
}

/// What to do with the tags of a repository.
#[derive(Debug, Subcommand)]
pub enum Tags {
    /// Lists the tags of a repository
    Ls {
        /// The repository
        #[arg(value_name = "REPO")]
        name: Repository,
        /// Shows what each tag says
        #[arg(long)]
        digests: bool,
    },
    /// Removes tags of a repository; without --yes it is only shown what would go
    Rm {
        /// The tags
        #[arg(value_name = "REPO:TAG", required = true)]
        references: Vec<Reference>,
        /// Deletes the images too that the tags lead to, where nothing else needs them
        #[arg(long)]
        with_image: bool,
        /// Does it
        #[arg(long)]
        yes: bool,
    },
}

/// Which engine runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

impl EngineName {
    /// The same for the stages.
    pub fn engine(self) -> Engine {
        match self {
            EngineName::Docker => Engine::Docker,
            EngineName::Podman => Engine::Podman,
        }
    }
}

/// How a container is run.
#[derive(Debug, Args)]
pub struct Container {
    /// The engine (default: docker where it runs, else podman)
    #[arg(long, value_name = "ENGINE", value_enum)]
    pub engine: Option<EngineName>,
    /// Publishes a port, as in 8080:80
    #[arg(short, long, value_name = "PORTS")]
    pub publish: Vec<String>,
    /// Publishes all ports of the image on free ports
    #[arg(short = 'P', long)]
    pub publish_all: bool,
    /// Sets a variable, or hands one on by its name
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Mounts a directory or a volume, as in ./data:/data:ro
    #[arg(long, value_name = "FROM:TO")]
    pub volume: Vec<String>,
    /// Gives the container a name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Hands one more word to the engine, before the image, as in --engine-arg=--read-only
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub engine_arg: Vec<String>,
    /// Takes only this platform
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// Words for the program in the container
    #[arg(value_name = "ARGS", last = true)]
    pub arguments: Vec<String>,
}

/// The options of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// An image, or a manifest by its path (`.`, `./api`, `api/image.toml`); default: what -f says
    #[arg(value_name = "REF", value_parser = subject)]
    pub subject: Option<RunSubject>,
    /// Leaves the container there when it has ended
    #[arg(long)]
    pub keep: bool,
    /// Does not wait for the container
    #[arg(short, long)]
    pub detach: bool,
    #[command(flatten)]
    pub container: Container,
}

/// What is run.
#[derive(Clone, Debug)]
pub enum RunSubject {
    /// An image that exists.
    Image(Place),
    /// A manifest that is built first.
    Manifest(PathBuf),
}

/// The options of `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Where each build goes, as in `build` (default: the local store)
    #[arg(short, long = "output", value_name = "DEST")]
    pub output: Vec<Destination>,
    /// Runs the image, and replaces the container after each build that changed it
    #[arg(long)]
    pub run: bool,
    /// How long between two looks
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = interval)]
    pub interval: Duration,
    #[command(flatten)]
    pub container: Container,
}

/// A path is told by its first or last letters: an image's name cannot look like that.
fn subject(text: &str) -> Result<RunSubject, String> {
    if text.starts_with(['.', '/']) || text.ends_with(".toml") {
        return Ok(RunSubject::Manifest(PathBuf::from(text)));
    }
    text.parse().map(RunSubject::Image).map_err(|error: crate::error::Error| error.message().to_string())
}

/// An age: `90m`, `12h`, `7d`, `2w`.
fn age(text: &str) -> Result<Duration, String> {
    let days = [('d', 1), ('w', 7)].into_iter().find_map(|(unit, days)| {
        let number = text.trim().strip_suffix(unit)?.trim().parse::<u64>().ok()?;
        number.checked_mul(days).filter(|days| *days <= MOST_DAYS)
    });
    match days {
        Some(days) => Ok(Duration::from_secs(days * 86_400)),
        None => length(text),
    }
}

fn length(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and its unit, as in `90m`, `12h`, `7d` or `2w`".to_string();
    let length: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(length).map_err(|_| wrong())
}

fn interval(text: &str) -> Result<Duration, String> {
    let length = length(text)?;
    let fits = (Duration::from_millis(10)..=Duration::from_secs(60)).contains(&length);
    if fits { Ok(length) } else { Err("from 10ms to 60s".into()) }
}

fn bytes(text: &str) -> Result<u64, String> {
    if text == "0" {
        return Ok(0);
    }
    read_size(text).map_err(|_| "write a number and a unit, as in `10GiB`".to_string())
}

fn whole(text: &str) -> Result<regex::Regex, String> {
    let built = regex::RegexBuilder::new(&format!("^(?:{text})$")).size_limit(MOST_PATTERN).build();
    built.map_err(|cause| cause.to_string().lines().last().unwrap_or_default().trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_in_all_forms() {
        for (text, hours) in [("12h", 12), ("7d", 168), ("2w", 336), ("1h 60m", 2), ("0d", 0)] {
            assert_eq!(age(text).unwrap(), Duration::from_secs(hours * 3600), "{text}");
        }
        for text in ["", "7", "d", "-1d", "-1h", "1y", "99999999d", "99999999999999999999w"] {
            assert!(age(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_fit_the_whole_tag() {
        let pattern = whole("v1|latest").unwrap();
        assert!(pattern.is_match("v1") && pattern.is_match("latest"));
        assert!(!pattern.is_match("v10") && !pattern.is_match("not-latest"));
        assert!(whole("(").is_err());
    }
}
