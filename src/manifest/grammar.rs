//! Stage 1: every key that `image.toml` may hold, as one table. The checker, the JSON Schema and the reference are made from it. Pure.

mod image;
mod inputs;
mod packages;
mod trust;
pub mod workspace;

use image::IMAGE;
use packages::PACKAGES;
use trust::{BASE, SIGN};

use super::rules::{CHECK, Value};

/// A table of the manifest.
pub struct Table {
    /// Its name in messages and in the schema (`image`, `file` …).
    pub name: &'static str,
    /// One sentence on what it is for.
    pub about: &'static str,
    /// Its keys, in the order of the documentation.
    pub keys: &'static [Key],
}

/// A key of a table.
#[derive(Clone, Copy)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What it does.
    pub about: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A string; may hold `{{ … }}`.
    Text,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A string or a list of strings.
    TextOrList,
    /// A list of strings; with `true` at least one.
    List { some: bool },
    /// This word or `false`.
    WordOrFalse(&'static str),
    /// `true` or `false`.
    Bool,
    /// A whole number in this range.
    Number { least: i64, most: i64 },
    /// Permission bits: `"0755"` or `0o755`.
    Mode,
    /// A table with fixed keys.
    Table(&'static Table),
    /// Any number of tables with fixed keys (`[[name]]`).
    Tables(&'static Table),
    /// A table from any name to a string; the inner tables of these names are maps too.
    Map { levels: &'static [&'static str] },
    /// A table from a variable's name to its value or to an edit of the base's.
    Env,
    /// A table from a name to a table with fixed keys.
    Named(&'static Table),
    /// What a rule of `[check]` takes.
    Rule(Value),
}

impl Kind {
    /// What is expected, for messages.
    pub fn expects(&self) -> String {
        match self {
            Kind::Text => "a string".into(),
            Kind::OneOf(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", quoted.join(", "))
            }
            Kind::TextOrList => "a string or a list of strings".into(),
            Kind::List { .. } => "a list of strings, as in `[\"a\", \"b\"]`".into(),
            Kind::WordOrFalse(word) => format!("\"{word}\" or `false`"),
            Kind::Bool => "`true` or `false`".into(),
            Kind::Number { least, most } if least == most => format!("`{least}`"),
            Kind::Number { least, most } => format!("a whole number from {least} to {most}"),
            Kind::Mode => "a mode, as in \"0644\" or 0o644".into(),
            Kind::Table(table) => format!("a table, `[{}]`", table.name),
            Kind::Tables(table) => format!("tables, each headed `[[{}]]`", table.name),
            Kind::Map { .. } => "a table of strings".into(),
            Kind::Env => "a table of variables".into(),
            Kind::Named(table) => format!("a table of {}s", table.name),
            Kind::Rule(value) => value.expects().into(),
        }
    }
}

/// Fewest hex digits of the commit in a `sha-…` tag, and those that it has without `[tags]`.
pub const SHA_DIGITS: usize = 12;

/// The entries that stand once, under a single pair of brackets.
pub const SINGLE: [&str; 2] = ["trust-store", "skeleton"];

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, required: false, about }
}

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, required: true, about }
}

const DEST: Key = required("dest", Kind::Text, "Where it goes in the image: absolute, without `.` and `..`.");
const MODE: Key = key("mode", Kind::Mode, "Permission bits: \"0755\" or 0o755. Never taken from the host.");
const OWNER: Key = key("owner", Kind::Text, "A user of the image, `uid`, `user:group` or `uid:gid`. Default 0:0.");
const LAYER: Key = key("layer", Kind::Text, "Puts it into a layer of this name.");
const REPLACE: Key = key(
    "replace",
    Kind::Bool,
    "May replace another entry, or a link or directory of the base, that has the same path. Default false.",
);

/// The whole manifest.
pub static MANIFEST: Table = Table {
    name: "image.toml",
    about: "A container image: everything that decides a byte of it.",
    keys: &[
        required("schema", Kind::Number { least: 1, most: 1 }, "The grammar of this file. Always 1."),
        key("format", Kind::Number { least: 1, most: 1 }, "The assembly rules that decide the bytes. Default 1."),
        key("vars", Kind::Named(&VAR), "Values from outside, each declared; a missing one is an error."),
        required("image", Kind::Table(&IMAGE), "The image itself."),
        key("workspace", Kind::Table(&workspace::WORKSPACE), "Several images; a file with it may lack `[image]`."),
        key("base", Kind::Table(&BASE), "What is asked of the base."),
        key("healthcheck", Kind::Table(&HEALTHCHECK), "How an engine finds out whether a container is well."),
        key("env", Kind::Env, "Environment variables, joined with the base's by name."),
        key("labels", Kind::Map { levels: &[] }, "Labels of the config, joined with the base's by key."),
        key(
            "annotations",
            Kind::Map { levels: &["index", "manifest"] },
            "Annotations of the manifest and the index; `[annotations.index]` and `[annotations.manifest]` reach only one.",
        ),
        key("binary", Kind::Tables(&BINARY), "A program. Stands in the last layer, mode 0755."),
        key("file", Kind::Tables(&FILE), "A file, a directory's contents or inline content."),
        key("dir", Kind::Tables(&DIR), "A directory."),
        key("symlink", Kind::Tables(&SYMLINK), "A symbolic link."),
        key("user", Kind::Tables(&USER), "A user, added to /etc/passwd."),
        key("group", Kind::Tables(&GROUP), "A group, added to /etc/group."),
        key("archive", Kind::Tables(&inputs::ARCHIVE), "The contents of an archive, local or fetched."),
        key("copy", Kind::Tables(&inputs::COPY), "Files out of another image."),
        key("trust-store", Kind::Table(&inputs::TRUST_STORE), "Certificates that programs of the image trust."),
        key("skeleton", Kind::Table(&inputs::SKELETON), "What programs expect in any system."),
        key("remove", Kind::Tables(&REMOVE), "A path of the base that is hidden."),
        key("packages", Kind::Table(&PACKAGES), "Packages of a distribution."),
        key(
            "tags",
            Kind::Table(&TAGS),
            "The tags that `push` and `release` set. Without it: `sha = 12` where there is git.",
        ),
        key("sign", Kind::Table(&SIGN), "How the image is signed."),
        key("attest", Kind::Table(&ATTEST), "What is said of a released image, beside its signature."),
        key("check", Kind::Table(&CHECK), "What the image is judged by before it goes out."),
    ],
};

static VAR: Table = Table {
    name: "variable",
    about: "A value from outside.",
    keys: &[
        key(
            "from",
            Kind::Text,
            "`env:NAME`, `git:tag`, `git:sha`, `git:short_sha`, `git:branch` or `git:commit_time`; without it only `--set` and `default` count.",
        ),
        key("default", Kind::Text, "The value where the source has none."),
        key("strip-prefix", Kind::Text, "Is cut off the front of the source's value, as in `v` of `v1.2.3`."),
    ],
};

static HEALTHCHECK: Table = Table {
    name: "healthcheck",
    about: "How an engine finds out whether a container is well. Docker reads it; Kubernetes does not, and Podman only in images of Docker's format.",
    keys: &[
        required(
            "command",
            Kind::List { some: true },
            "The program and its arguments; it is well where it exits with 0.",
        ),
        key(
            "interval",
            Kind::Text,
            "The time from one check to the next, as in \"30s\" or \"1m30s\". Without it the engine's own.",
        ),
        key("timeout", Kind::Text, "How long one check may take."),
        key("start-period", Kind::Text, "How long a container may take to start before a failure counts."),
        key("start-interval", Kind::Text, "The time between checks while it starts."),
        key("retries", Kind::Number { least: 1, most: 2_147_483_647 }, "How many failures in a row make it unwell."),
    ],
};

static BINARY: Table = Table {
    name: "binary",
    about: "A program.",
    keys: &[
        required("src", Kind::Text, "The file."),
        DEST,
        key("link", Kind::OneOf(&["static", "dynamic", "any"]), "How it must be linked. Default \"any\"."),
        key("libs", Kind::OneOf(&["copy"]), "Brings its loader and its libraries along, out of `libs-from`."),
        key("libs-from", Kind::Text, "The image that has them: `name:tag@sha256:…`, `oci:…` or `oci-archive:…`."),
        key("capabilities", Kind::List { some: false }, "File capabilities, as in \"cap_net_bind_service\"."),
        MODE,
        OWNER,
        LAYER,
        REPLACE,
    ],
};

static FILE: Table = Table {
    name: "file",
    about: "A file, a directory's contents or inline content.",
    keys: &[
        key("src", Kind::Text, "A file, or a directory whose contents are copied."),
        key("content", Kind::Text, "The content itself, in place of `src`."),
        DEST,
        key("template", Kind::Bool, "Renders the file `src` with the manifest's values. Default false."),
        key("include", Kind::List { some: true }, "Only these, as gitignore-style globs below `src`."),
        key("exclude", Kind::List { some: false }, "Not these; `**/dir` leaves out the whole tree."),
        MODE,
        key("dir-mode", Kind::Mode, "The mode of copied directories. Default \"0755\"."),
        OWNER,
        LAYER,
        REPLACE,
    ],
};

static DIR: Table = Table { name: "dir", about: "A directory.", keys: &[DEST, MODE, OWNER, LAYER, REPLACE] };

static SYMLINK: Table = Table {
    name: "symlink",
    about: "A symbolic link.",
    keys: &[DEST, required("target", Kind::Text, "What it points to, as it stands."), OWNER, LAYER, REPLACE],
};

static USER: Table = Table {
    name: "user",
    about: "A user, added to /etc/passwd.",
    keys: &[
        required("name", Kind::Text, "The name."),
        required("uid", Kind::Number { least: 0, most: 4_294_967_294 }, "The number."),
        key(
            "gid",
            Kind::Number { least: 0, most: 4_294_967_294 },
            "The main group; default the uid. A group of the user's name is added where the image has none of this number.",
        ),
        key("home", Kind::Text, "The home directory; not created, use `[[dir]]`. Default \"/\"."),
        key("shell", Kind::Text, "Default \"/sbin/nologin\"."),
        key("comment", Kind::Text, "The GECOS field."),
    ],
};

static GROUP: Table = Table {
    name: "group",
    about: "A group, added to /etc/group.",
    keys: &[
        required("name", Kind::Text, "The name."),
        required("gid", Kind::Number { least: 0, most: 4_294_967_294 }, "The number."),
        key("members", Kind::List { some: false }, "Users of the image that also belong to it."),
    ],
};

static REMOVE: Table = Table { name: "remove", about: "A path of the base that is hidden.", keys: &[DEST] };

static TAGS: Table = Table {
    name: "tags",
    about: "The tags that `push` and `release` set.",
    keys: &[
        key(
            "semver",
            Kind::List { some: true },
            "Patterns of `{{ major }}`, `{{ minor }}`, `{{ patch }}` and `{{ version }}`, which are those of the release: the git tag at HEAD, without the `strip-prefix` of the variable that comes from `git:tag` (without one: `v`).",
        ),
        key(
            "sha",
            Kind::Number { least: SHA_DIGITS as i64, most: 64 },
            "`sha-` and this many digits of the commit, as in `sha = 12`.",
        ),
        key("branch", Kind::Bool, "The branch's name, what no tag may hold replaced by `-`. Default false."),
        key("fixed", Kind::List { some: false }, "Tags that are set as they stand."),
        key(
            "latest",
            Kind::WordOrFalse("highest"),
            "`latest` for the highest stable release. Default \"highest\" beside `semver`, else false.",
        ),
    ],
};

static ATTEST: Table = Table {
    name: "attest",
    about: "What is said of a released image, beside its signature.",
    keys: &[
        key("sbom", Kind::List { some: false }, "Bills of materials: \"spdx\", \"cyclonedx\" or both. Default none."),
        key("provenance", Kind::Bool, "How it was made, as SLSA provenance. Default false."),
    ],
};

impl Table {
    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The name that was probably meant.
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        let keys: &'static [Key] = self.keys;
        nearest(name, keys.iter().map(|key| key.name))
    }
}

/// The candidate that is so like `name` that it was probably meant.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase().replace('_', "-");
    let far = name.chars().count().div_ceil(3).max(1);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&name, &candidate.to_lowercase().replace('_', "-")), candidate))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, candidate)| (*distance, *candidate))
        .map(|(_, candidate)| candidate)
}

/// Every table with its path from the root, for "this key belongs to …".
pub fn tables() -> Vec<(&'static str, &'static Table)> {
    let inner = MANIFEST.keys.iter().filter_map(|key| match &key.kind {
        Kind::Table(table) | Kind::Tables(table) => Some((key.name, *table)),
        _ => None,
    });
    inner.collect()
}
