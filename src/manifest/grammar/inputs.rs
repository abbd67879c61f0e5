//! Stage 1: the tables for what comes from beyond the project's own files: archives, other images, certificates, and what an empty image
//! lacks. Pure.

use super::{DEST, Key, Kind, LAYER, MODE, OWNER, REPLACE, Table, key, required};

const INCLUDE: Key = key("include", Kind::List { some: true }, "Only these, as gitignore-style globs.");
const EXCLUDE: Key = key("exclude", Kind::List { some: false }, "Not these; `**/dir` leaves out the whole tree.");

/// Most leading parts of a path that `strip` drops.
const MOST_STRIPPED: i64 = 64;

pub(super) static ARCHIVE: Table = Table {
    name: "archive",
    about: "The contents of an archive: tar, plain or in gzip, zstd, xz or bzip2, or zip.",
    keys: &[
        key("src", Kind::Text, "The archive, a file."),
        key("url", Kind::Text, "Where the archive is fetched from, once; needs `sha256`."),
        key("sha256", Kind::Text, "Its SHA-256 in 64 hex digits. Needed with `url`, checked with `src` too."),
        Key { about: "The directory in the image that its contents go to.", ..DEST },
        key("platforms", Kind::List { some: true }, "Only for these platforms. Default all."),
        key(
            "strip",
            Kind::Number { least: 0, most: MOST_STRIPPED },
            "How many leading parts of each path are dropped, and what has no more with them. Default 0.",
        ),
        INCLUDE,
        EXCLUDE,
        Key { about: "The mode of its files. Default: 0755 for programs and scripts, else 0644.", ..MODE },
        key("dir-mode", Kind::Mode, "The mode of its directories. Default \"0755\"."),
        OWNER,
        LAYER,
        REPLACE,
    ],
};

pub(super) static COPY: Table = Table {
    name: "copy",
    about: "Files out of another image.",
    keys: &[
        required(
            "from",
            Kind::Text,
            "The image: `name:tag@sha256:…`, `oci:DIRECTORY@sha256:…` or `oci-archive:FILE@sha256:…`.",
        ),
        required(
            "src",
            Kind::Text,
            "A file in it, or a directory whose contents are copied: absolute; links are followed.",
        ),
        DEST,
        key("platform", Kind::Text, "Of an index, the image for this platform. Default: the one that is made."),
        INCLUDE,
        EXCLUDE,
        Key { about: "The mode of the files. Default: what they have there, without setuid and setgid.", ..MODE },
        key("dir-mode", Kind::Mode, "The mode of copied directories. Default: what they have there."),
        OWNER,
        LAYER,
        REPLACE,
    ],
};

pub(super) static TRUST_STORE: Table = Table {
    name: "trust-store",
    about: "Certificates that programs of the image trust, in every usual place.",
    keys: &[
        required("src", Kind::TextOrList, "PEM files with the certificates."),
        key("base", Kind::OneOf(&["keep", "replace"]), "Whether those of the base are trusted too. Default \"keep\"."),
        LAYER,
    ],
};

pub(super) static SKELETON: Table = Table {
    name: "skeleton",
    about: "What programs expect in any system; only what neither the base nor an entry has.",
    keys: &[
        key("tmp", Kind::Bool, "`/tmp` and `/var/tmp`, where all may write (1777). Default true."),
        key("accounts", Kind::Bool, "`/etc/passwd` and `/etc/group` with root and nobody. Default true."),
        key("homes", Kind::Bool, "The home directories of `[[user]]`s, which are theirs. Default true."),
        key("nsswitch", Kind::Bool, "`/etc/nsswitch.conf`: files first, then DNS. Default true."),
        key("os-release", Kind::Bool, "`/etc/os-release` of a nameless Linux. Default true."),
        LAYER,
    ],
};
