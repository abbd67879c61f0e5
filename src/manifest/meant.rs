//! Stage 1: the manifest as it is meant: every value checked, every template rendered, one image for each platform. Plain values.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use super::base::Base;
use super::checks::Checks;
use super::defaults::Shared;
use super::inputs::{Archive, Skeleton, Taken, TrustStore};
use super::keyref::KeyRef;
use super::packages::Packages;
use super::program::{Command, Libraries, Link};
use super::values::{Created, Scope, Values};
use super::vouch::Vouched;
use crate::error::{Error, Place, Result, Text, printable};
use crate::oci::media::Encoding;
use crate::oci::{Platform, Reference, Repository, Tag};

/// The whole manifest. With mistakes in the report some parts are stand-ins.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The file.
    pub text: Arc<Text>,
    /// The directory that sources are relative to, absolute.
    pub directory: PathBuf,
    /// The directory that sources must lie in, absolute.
    pub context: PathBuf,
    /// Where the image is pushed.
    pub names: Vec<Repository>,
    /// Variables and git.
    pub values: Arc<Values>,
    /// The image's time.
    pub created: Created,
    /// Remarks on manifests and index.
    pub annotations: Annotations,
    /// One for each platform, in the order of the manifest.
    pub images: Vec<Image>,
    /// Who must have signed the base.
    pub verify: Option<Vouched>,
    /// How the image is signed.
    pub sign: Option<Signing>,
    /// What is said of a released image.
    pub attest: Attest,
    /// The tags that it gets; `None` where nothing is said.
    pub tags: Option<TagRules>,
    /// What the image is judged by, beside the rules' defaults.
    pub checks: Checks,
    /// The packages of a distribution.
    pub packages: Option<Packages>,
    /// The images that lack their digest.
    pub unpinned: Vec<Unpinned>,
    /// What is taken from the root of its workspace.
    pub shared: Option<Shared>,
}

/// An image that is named without its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpinned {
    /// The key that names it: `base` or `from`.
    pub key: &'static str,
    /// Its name.
    pub reference: Reference,
    /// Where it stands.
    pub place: Place,
}

/// What `[sign]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// With what.
    pub method: Method,
    /// What is written beside the image.
    pub format: SignatureFormat,
    /// Whether a key's signature goes to the logs and timestamp authorities of the signing config too.
    pub log: bool,
    /// The file of the signing config of sigstore.
    pub signing_config: Option<PathBuf>,
    /// The file of the trusted root of sigstore.
    pub trusted_root: Option<PathBuf>,
}

/// With what an image is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// This private key.
    Key(KeyRef),
    /// The identity of a CI job or a person.
    Keyless,
}

/// How signatures are kept in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureFormat {
    /// Bundles of sigstore, as referrers.
    Bundle,
    /// Layers under a tag of cosign's.
    Legacy,
    /// Both of them, for verifiers that know only one.
    Both,
}

impl SignatureFormat {
    /// Whether bundles are written.
    pub fn bundle(self) -> bool {
        self != SignatureFormat::Legacy
    }

    /// Whether legacy layers are written.
    pub fn legacy(self) -> bool {
        self != SignatureFormat::Bundle
    }
}

impl FromStr for SignatureFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<SignatureFormat> {
        match text {
            "bundle" => Ok(SignatureFormat::Bundle),
            "legacy" => Ok(SignatureFormat::Legacy),
            "both" => Ok(SignatureFormat::Both),
            _ => Err(Error::usage("it must be `bundle`, `legacy` or `both`")),
        }
    }
}

/// What `[tags]` asks for.
#[derive(Clone, Debug)]
pub struct TagRules {
    /// Patterns of a release's numbers.
    pub semver: Vec<Pattern>,
    /// Digits of the commit.
    pub sha: Option<usize>,
    /// Whether the branch's name is a tag.
    pub branch: bool,
    /// Tags as they stand.
    pub fixed: Vec<Tag>,
    /// Whether the highest stable release is `latest`.
    pub latest: bool,
    /// What stands before the version in a release's git tag.
    pub prefix: String,
    /// Where it is said.
    pub place: Place,
}

/// A tag with a release's numbers left open.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As it is written.
    pub template: String,
    /// What it can see; the release is put in.
    pub scope: Scope,
}

/// What is said of a released image, beside its signature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attest {
    /// Bills of materials, each once, in the order of the manifest.
    pub sbom: Vec<Bill>,
    /// Whether it is said how the image was made.
    pub provenance: bool,
}

/// A standard for bills of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bill {
    /// SPDX 2.3 as JSON.
    Spdx,
    /// CycloneDX 1.6 as JSON.
    CycloneDx,
}

impl Bill {
    /// All that are known.
    pub const ALL: [Bill; 2] = [Bill::Spdx, Bill::CycloneDx];

    /// The word for it in the manifest and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Bill::Spdx => "spdx",
            Bill::CycloneDx => "cyclonedx",
        }
    }
}

impl FromStr for Bill {
    type Err = Error;

    fn from_str(text: &str) -> Result<Bill> {
        let known = Bill::ALL.into_iter().find(|bill| bill.name() == text);
        known.ok_or_else(|| {
            Error::usage(format!("`{}` is no kind of SBOM", printable(text))).hint("known are `spdx` and `cyclonedx`")
        })
    }
}

/// Annotations by level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// Of the index.
    pub index: BTreeMap<String, String>,
    /// Of each image manifest.
    pub manifest: BTreeMap<String, String>,
}

/// One platform's image.
#[derive(Clone, Debug)]
pub struct Image {
    /// What it is for.
    pub platform: Platform,
    /// What it stands on, and where that is said.
    pub base: (Base, Place),
    /// What is set in the config.
    pub config: Config,
    /// How its own layers are compressed.
    pub compression: Encoding,
    /// Whether equal files of a layer are stored once, as hard links.
    pub hard_links: bool,
    /// What is put into it, in the order of the file.
    pub items: Vec<Item>,
}

/// What the manifest says of the config; `None` inherits.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The user, to become numbers, and where it is said.
    pub user: Option<(Who, Place)>,
    /// The directory it starts in.
    pub workdir: Option<String>,
    /// The program.
    pub entrypoint: Option<Command>,
    /// Its default arguments.
    pub cmd: Option<Command>,
    /// `8080/tcp`, added to the base's.
    pub ports: Vec<String>,
    /// Directories, added to the base's.
    pub volumes: Vec<String>,
    /// `SIGTERM` …
    pub stop_signal: Option<String>,
    /// How an engine finds out whether a container is well.
    pub healthcheck: Option<Healthcheck>,
    /// Changes of environment variables, by name.
    pub env: BTreeMap<String, EnvEdit>,
    /// Labels, joined with the base's.
    pub labels: BTreeMap<String, String>,
    /// What of the base is dropped first.
    pub unset: Vec<Edit>,
}

/// A check of a running container. Spans are nanoseconds, as Docker's config has them; what is not said is the engine's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    /// The program and its arguments.
    pub command: Command,
    /// By Docker's names of them: `Interval`, `Timeout`, `StartPeriod`, `StartInterval`.
    pub spans: BTreeMap<&'static str, u64>,
    /// How many failures in a row make it unwell.
    pub retries: Option<u32>,
}

/// A change of one environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvEdit {
    /// The whole value.
    Set(String),
    /// Put before the base's value, joined by `:`.
    Prepend(String),
    /// Put behind the base's value, joined by `:`.
    Append(String),
}

/// A part of the base's config that is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// `cmd`, `env` …
    pub field: String,
    /// The one entry of a map, else all of the field.
    pub key: Option<String>,
}

/// One entry of the manifest.
#[derive(Clone, Debug)]
pub struct Item {
    /// The table's name (`file`, `binary` …).
    pub table: &'static str,
    /// Where its destination stands (else its header).
    pub place: Place,
    /// The destination: relative to the image's root, without a trailing `/`; empty for the root itself.
    pub dest: String,
    /// Whether the destination was written with a trailing `/`.
    pub into: bool,
    /// What is made there.
    pub what: What,
    /// The permission bits, if declared.
    pub mode: Option<u16>,
    /// The owner, and where it is said.
    pub owner: Option<(Owner, Place)>,
    /// The layer's name, if declared.
    pub layer: Option<String>,
    /// Whether it may replace what is there.
    pub replace: bool,
}

/// What an entry makes.
#[derive(Clone, Debug)]
pub enum What {
    /// A program: one file.
    Binary { source: Source, link: Link, capabilities: u64 },
    /// The loader and the libraries of a program, out of another image.
    Libraries(Libraries),
    /// A file, or a directory's contents.
    Copy(Copy),
    /// A file whose content stands in the manifest.
    Inline(Arc<[u8]>),
    /// A file that is rendered first.
    Template(Template),
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink { target: String },
    /// A line of /etc/passwd.
    User { name: String, uid: u32, gid: u32, home: String, shell: String, comment: String },
    /// A line of /etc/group.
    Group { name: String, gid: u32, members: Vec<String> },
    /// A path of the base that is hidden.
    Remove,
    /// All packages of a distribution.
    Packages,
    /// The contents of an archive.
    Archive(Archive),
    /// Files out of another image.
    Taken(Taken),
    /// Certificates that are trusted.
    TrustStore(TrustStore),
    /// What any system has.
    Skeleton(Skeleton),
}

/// A copy of a file or of a directory's contents.
#[derive(Clone, Debug)]
pub struct Copy {
    /// What is copied.
    pub source: Source,
    /// Only these globs; empty for all.
    pub include: Vec<(String, Place)>,
    /// Not these globs.
    pub exclude: Vec<(String, Place)>,
    /// The mode of copied directories.
    pub dir_mode: u16,
}

/// A file that is rendered with the manifest's values.
#[derive(Clone, Debug)]
pub struct Template {
    /// The file.
    pub source: Source,
    /// What it can see.
    pub scope: Scope,
}

/// A file or directory of the context.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is, absolute, not resolved.
    pub path: PathBuf,
    /// As it is written.
    pub written: String,
    /// Where that stands.
    pub place: Place,
}

/// A user or group by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// A name of the image's /etc/passwd or /etc/group.
    Name(String),
    /// A number.
    Id(u32),
}

/// A user and perhaps a group, as in `www-data`, `33`, `www-data:adm`, `33:4`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The user.
    pub user: Account,
    /// The group, if written.
    pub group: Option<Account>,
}

/// The owner of an entry.
pub type Owner = Who;
