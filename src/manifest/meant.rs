//! Stage 1: the manifest as it is meant: every value checked, every template rendered, one image for each platform. Plain values.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::base::Base;
use super::matcher::Matcher;
use super::values::{Created, Scope, Values};
use crate::error::{Place, Text};
use crate::oci::media::Compression;
use crate::oci::{Platform, Reference, Repository};

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
    /// Who signs what is released.
    pub sign: Option<Sign>,
    /// A base that lacks its digest, and where it stands.
    pub unpinned: Vec<(Reference, Place)>,
}

/// What `[base.verify]` asks of the base.
#[derive(Clone, Debug)]
pub struct Vouched {
    /// Who must have signed it.
    pub who: Voucher,
    /// Whether a key's signature must stand in a transparency log.
    pub require_log: bool,
    /// The trusted root that counts, absolute.
    pub trusted_root: Option<PathBuf>,
    /// Where that is said.
    pub place: Place,
}

/// Somebody who signs.
#[derive(Clone, Debug)]
pub enum Voucher {
    /// The holder of the key in this file, absolute.
    Key(PathBuf),
    /// Whoever is certified as this.
    Identity {
        /// The certificate's subject.
        identity: Matcher,
        /// Who said so.
        issuer: Matcher,
    },
}

/// What `[sign]` says.
#[derive(Clone, Debug)]
pub struct Sign {
    /// Who signs.
    pub method: Method,
    /// In which form; by itself, every form that the services allow.
    pub form: Option<Form>,
    /// Whether a key's signature goes into a transparency log; that of an identity always does.
    pub log: bool,
    /// Which services sign, absolute.
    pub signing_config: Option<PathBuf>,
    /// The trusted root that counts, absolute.
    pub trusted_root: Option<PathBuf>,
}

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// The holder of a key.
    Key(KeyRef),
    /// Whoever the surroundings say we are, certified for some minutes.
    Keyless,
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRef {
    /// In this file, absolute.
    File(PathBuf),
    /// In this variable of the environment.
    Variable(String),
    /// With a program that signs for us.
    Signer {
        /// The last part of the program's name.
        name: String,
        /// What it knows the key by.
        key: String,
    },
    /// In a token, named by a URI (RFC 7512).
    Pkcs11(String),
}

/// The form of signatures in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A sigstore bundle that refers to the image.
    Bundle,
    /// A layer under cosign's tags.
    Legacy,
    /// Both, beside each other.
    Both,
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
    pub compression: Compression,
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
    pub entrypoint: Option<Vec<String>>,
    /// Its default arguments.
    pub cmd: Option<Vec<String>>,
    /// `8080/tcp`, added to the base's.
    pub ports: Vec<String>,
    /// Directories, added to the base's.
    pub volumes: Vec<String>,
    /// `SIGTERM` …
    pub stop_signal: Option<String>,
    /// Changes of environment variables, by name.
    pub env: BTreeMap<String, EnvEdit>,
    /// Labels, joined with the base's.
    pub labels: BTreeMap<String, String>,
    /// What of the base is dropped first.
    pub unset: Vec<Edit>,
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

/// How a program must be linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Without a loader.
    Static,
    /// With one.
    Dynamic,
    /// Either way.
    Any,
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
