//! Stage 1: the table `[image]`, and what of it can be a default of a workspace. Pure.

use super::{Key, Kind, Table, key, required};

const NAME: Key = key("name", Kind::TextOrList, "Where it is pushed: one repository or several.");
const BASE: Key = required(
    "base",
    Kind::Text,
    "`scratch`, `name:tag@sha256:…`, `oci:DIRECTORY@sha256:…` or `oci-archive:FILE@sha256:…`.",
);
const PLATFORMS: Key = key("platforms", Kind::List { some: true }, "Default [\"linux/amd64\"]; never the host's.");
const USER: Key = key("user", Kind::Text, "Name, uid, `name:group` or `uid:gid`; always stored as numbers.");
const WORKDIR: Key = key("workdir", Kind::Text, "The directory the program starts in.");
const ENTRYPOINT: Key =
    key("entrypoint", Kind::List { some: true }, "The program and its fixed arguments. Clears the base's `cmd`.");
const CMD: Key = key("cmd", Kind::List { some: true }, "The default arguments.");
const PORTS: Key = key("ports", Kind::List { some: false }, "As in \"8080/tcp\"; added to the base's.");
const VOLUMES: Key = key("volumes", Kind::List { some: false }, "Directories; added to the base's.");
const STOP_SIGNAL: Key = key("stop-signal", Kind::Text, "As in \"SIGTERM\".");
const CREATED: Key = key(
    "created",
    Kind::Text,
    "\"commit\" (default: the HEAD commit's time, or SOURCE_DATE_EPOCH), \"fixed\" or a time in RFC 3339.",
);
const COMPRESSION: Key =
    key("compression", Kind::OneOf(&["gzip", "zstd", "none"]), "Of the layers made here. Default \"gzip\".");
const COMPRESSION_LEVEL: Key = key(
    "compression-level",
    Kind::Number { least: 1, most: 19 },
    "1 to 12 for gzip (default 6), 1 to 19 for zstd (default 3): higher is smaller and slower.",
);
const HARD_LINKS: Key = key(
    "hard-links",
    Kind::Bool,
    "Whether files of a layer with equal content, mode and owner are stored once, as hard links. Default false.",
);
const CONTEXT: Key =
    key("context", Kind::Text, "Widens where sources may lie, beyond the repository around this file.");
const UNSET: Key = key(
    "unset",
    Kind::List { some: false },
    "Drops what the base has: \"cmd\", \"user\", \"env.NAME\", \"labels.KEY\" …",
);

pub(super) static IMAGE: Table = Table {
    name: "image",
    about: "The image itself.",
    keys: &[
        NAME,
        BASE,
        PLATFORMS,
        USER,
        WORKDIR,
        ENTRYPOINT,
        CMD,
        PORTS,
        VOLUMES,
        STOP_SIGNAL,
        CREATED,
        COMPRESSION,
        COMPRESSION_LEVEL,
        HARD_LINKS,
        CONTEXT,
        UNSET,
    ],
};

/// `[workspace.defaults.image]`: what several images can have in common. Where one is pushed and which program it runs is its own.
pub(super) static SHARED: Table = Table {
    name: "workspace.defaults.image",
    about: "What members have whose own `[image]` says nothing of it. `name`, `entrypoint`, `cmd` and `context` are each image's own.",
    keys: &[
        Key { required: false, ..BASE },
        PLATFORMS,
        USER,
        WORKDIR,
        PORTS,
        VOLUMES,
        STOP_SIGNAL,
        CREATED,
        COMPRESSION,
        COMPRESSION_LEVEL,
        HARD_LINKS,
        UNSET,
    ],
};
