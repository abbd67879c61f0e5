//! Stage 10: the command line's grammar (`docs/cli.md`). Words in, choices out.

mod check;
mod examples;
mod fmt;
mod init;
mod inside;
mod local;
mod login;
mod release;
mod scan;
mod several;
mod trust;
mod update;
mod verify;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::manifest::Bill;
use crate::oci::{Platform, Registry, Tag};
use crate::plan::Leave;
use crate::ship::{Destination, Goal};
use crate::source::Place;

pub use check::Check;
pub use examples::grammar;
pub use fmt::Fmt;
pub use init::Init;
pub use inside::{About, By, Diff, Files, History, Inspect, Subject, Wanted};
pub use local::{Container, Images, Prune, Remove, Run, RunSubject, Tags, Watch};
pub use login::Login;
pub use release::{Release, Reproduce};
pub use scan::{Scan, Unknown, UpdateDb};
pub use several::{Resolve, Several};
pub use trust::{Attest, Keygen, Sign, With};
pub use update::Update;
pub use verify::Verify;

/// Assembles container images from a committed image.toml: no shell, the same bytes every time.
#[derive(Debug, Parser)]
#[command(name = "stillframe", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  stillframe check                                 show every mistake of ./image.toml
  stillframe build -o docker-archive:image.tar     write a file for `docker load`
  stillframe -f services/api build -o oci:out      write an OCI layout
  stillframe --set version=1.2.3 push              build, push by digest, then tag

Exit codes: 0 done, 1 our bug, 2 manifest or usage, 3 network or registry, 4 verification or
policy, 5 local files, 10 `plan`: no change, 130 and 143 interrupted.";

/// The options of all commands.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The manifest, or the directory it is in
    #[arg(short = 'f', long = "file", value_name = "PATH", default_value = ".", global = true)]
    pub file: PathBuf,
    /// Gives a declared variable a value
    #[arg(long = "set", value_name = "VAR=VALUE", value_parser = pair, global = true)]
    pub set: Vec<(String, String)>,
    /// How results and findings are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text, global = true)]
    pub format: Format,
    /// Asks no registry; what is needed must be in the store
    #[arg(long, global = true)]
    pub offline: bool,
    /// Refuses to work with anything that is not pinned
    #[arg(long, global = true)]
    pub locked: bool,
    /// How many threads compute; never changes a byte
    #[arg(long, value_name = "N", global = true)]
    pub jobs: Option<NonZeroUsize>,
    /// Uses nothing that was remembered, and remembers nothing
    #[arg(long, global = true)]
    pub no_cache: bool,
    /// Reads every file, and takes none for unchanged because it looks so
    #[arg(long, global = true)]
    pub paranoid: bool,
    /// Says more
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Says only what went wrong
    #[arg(short, long, conflicts_with = "verbose", global = true)]
    pub quiet: bool,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// Findings as SARIF 2.1.0; only of `check` and `scan`.
    Sarif,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Writes an image.toml that builds at once, from what the directory holds or from a Dockerfile
    Init(Init),
    /// Sets out a manifest in one way; comments, order and meaning stay
    Fmt(Fmt),
    /// Looks at manifest, inputs and base, and judges what would be made; shows all findings at once
    Check(Check),
    /// Shows what would be made; exits with 10 where nothing has changed
    Plan(Several),
    /// Puts digests in place of `stillframe://NAME` in YAML for Kubernetes, and builds and pushes the images
    Resolve(Resolve),
    /// Assembles the image; prints NAME@DIGEST
    Build(Build),
    /// Builds, pushes by digest, then sets the tags
    Push(Push),
    /// Builds, pushes by digest, attests, signs, verifies that, and only then sets the tags
    Release(Release),
    /// Builds, and prints what is in the image: a bill of materials
    Sbom(Sbom),
    /// Builds, and prints how the image was made: SLSA provenance
    Provenance(Provenance),
    /// Moves the pins of the manifest and of its lock to what is there today
    Update(Update),
    /// Shows which pins have moved, with package and size changes; writes nothing
    Outdated,
    /// Builds again, and compares with an image; shows the first difference
    Reproduce(Reproduce),
    /// Tells what an image is: platforms, config, layers, sizes, signatures
    Inspect(Inspect),
    /// Lists the files of an image, or of one of its layers
    Files(Files),
    /// Compares two images: config, layers, files
    Diff(Diff),
    /// Shows how the layers of an image came to be
    History(History),
    /// Fetches an image, into the local store or to where -o says
    Pull(Pull),
    /// Carries an image, and what belongs to it, to other places; digests stay
    Copy(Copy),
    /// Gives an image of a registry more tags, without moving its bytes
    Tag(Tagging),
    /// Looks for known vulnerabilities in an image, in a database on this machine
    Scan(Scan),
    /// Fetches the database that `scan` looks into
    UpdateDb(UpdateDb),
    /// Shows that an image is signed, or attested, by whom it should be; prints NAME@DIGEST
    Verify(Verify),
    /// Signs an image in a registry: its digest, and every image of an index
    Sign(Sign),
    /// Attests a document of an image in a registry
    Attest(Attest),
    /// Makes a key pair for signing
    Keygen(Keygen),
    /// Writes an image to a file
    Save(Save),
    /// Takes the images of a file into the local store
    Load {
        /// An OCI archive, an archive of `docker save`, or an OCI layout
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Lists the images of the local store
    Images(Images),
    /// Removes images, or names of images, from the local store
    Rm(Remove),
    /// Removes what nobody needs from the local store, or tags from a registry by rules
    Prune(Prune),
    /// Builds, or takes an image, and runs it with docker or podman
    Run(Box<Run>),
    /// Builds again whenever an input changes, and runs the image if that is wished
    Watch(Box<Watch>),
    /// Lists or removes tags of a registry
    #[command(subcommand)]
    Tags(Tags),
    /// Keeps a credential for a registry, after the registry has taken it
    Login(Login),
    /// Forgets the credential for a registry
    Logout {
        /// The registry, as in `ghcr.io` or `localhost:5000`
        #[arg(value_name = "HOST")]
        host: Registry,
    },
    /// Tells what a registry can do and which credentials are used, and why
    Doctor {
        /// A registry or a repository, maybe with a tag; without it this machine
        #[arg(value_name = "REPO")]
        name: Option<String>,
    },
    /// Prints the JSON Schema of image.toml, or of what a command prints as JSON
    Schema {
        /// Whose schema
        #[arg(long, value_name = "WHAT", value_enum, default_value_t = About::Manifest)]
        of: About,
    },
    /// Prints the manual page; with --dir writes one for each command
    Man {
        /// The directory
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Prints completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints what may stand at a place of a command line; the scripts of `completions` ask for it
    #[command(hide = true)]
    Complete {
        /// Which of the words is typed, from 0
        #[arg(value_name = "N")]
        at: usize,
        /// The words
        #[arg(value_name = "WORD", last = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

/// The options of `build`.
#[derive(Debug, Args)]
pub struct Build {
    /// Where it goes: oci:DIR, oci-archive:FILE, docker-archive:FILE, docker, podman, registry (default: the local store)
    #[arg(short, long = "output", value_name = "DEST")]
    pub output: Vec<Destination>,
    /// Builds only this platform
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    #[command(flatten)]
    pub several: Several,
    #[command(flatten)]
    pub leaves: Leaves,
    /// Writes all that was made and pushed as JSON
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
}

/// The options of `sbom`.
#[derive(Debug, Args)]
pub struct Sbom {
    /// Which standard it follows: spdx or cyclonedx
    #[arg(long = "type", value_name = "TYPE", default_value = "spdx")]
    pub bill: Bill,
    /// The platform, where the image has several
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
}

/// The options of `provenance`.
#[derive(Debug, Args)]
pub struct Provenance {
    /// Names the builder (default: the workflow that the CI job names, else none)
    #[arg(long, value_name = "URI", value_parser = release::uri)]
    pub builder_id: Option<String>,
}

/// What tags may do only if it is said.
#[derive(Debug, Args)]
pub struct Leaves {
    /// Sets tags that speak of a commit although the work tree is not it
    #[arg(long)]
    pub allow_dirty: bool,
    /// Moves the tag of a release that says another digest already
    #[arg(long)]
    pub overwrite: bool,
}

impl Leaves {
    /// The same for the stages.
    pub fn leave(&self) -> Leave {
        Leave { dirty: self.allow_dirty, overwrite: self.overwrite }
    }
}

/// The options of `push`.
#[derive(Debug, Args)]
pub struct Push {
    #[command(flatten)]
    pub several: Several,
    #[command(flatten)]
    pub leaves: Leaves,
    /// Writes all that was made and pushed as JSON
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
}

/// The options of `pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// The image
    #[arg(value_name = "REF")]
    pub reference: Place,
    /// Where it goes: store, oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE, docker, podman (default: the local store)
    #[arg(short, long = "output", value_name = "DEST")]
    pub output: Vec<Goal>,
    /// Takes only this platform
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
}

/// The options of `copy`.
#[derive(Debug, Args)]
pub struct Copy {
    /// The image
    #[arg(value_name = "SRC")]
    pub source: Place,
    /// Where it goes: a registry's NAME:TAG, oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE, store
    #[arg(value_name = "DST", required = true)]
    pub destinations: Vec<Goal>,
    /// Leaves signatures, attestations and SBOMs behind
    #[arg(long)]
    pub no_referrers: bool,
    /// Takes only this platform
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// Writes all that was pushed as JSON
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
}

/// The options of `tag`.
#[derive(Debug, Args)]
pub struct Tagging {
    /// The image, in a registry
    #[arg(value_name = "REF")]
    pub reference: Place,
    /// The tags it gets in its repository
    #[arg(value_name = "NEWTAG", required = true)]
    pub tags: Vec<Tag>,
    /// Writes the tags that were set as JSON
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
}

/// The options of `save`.
#[derive(Debug, Args)]
pub struct Save {
    /// The image
    #[arg(value_name = "REF")]
    pub reference: Place,
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Writes what every `docker load` takes, for one platform, instead of an OCI archive
    #[arg(long)]
    pub docker: bool,
    /// Takes only this platform
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err("it must be NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
