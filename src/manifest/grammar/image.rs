//! Stage 1: the table `[image]`. Pure.

use super::{Kind, Table, key, required};

pub(super) static IMAGE: Table = Table {
    name: "image",
    about: "The image itself.",
    keys: &[
        key("name", Kind::TextOrList, "Where it is pushed: one repository or several."),
        required(
            "base",
            Kind::Text,
            "`scratch`, `name:tag@sha256:…`, `oci:DIRECTORY@sha256:…` or `oci-archive:FILE@sha256:…`.",
        ),
        key("platforms", Kind::List { some: true }, "Default [\"linux/amd64\"]; never the host's."),
        key("user", Kind::Text, "Name, uid, `name:group` or `uid:gid`; always stored as numbers."),
        key("workdir", Kind::Text, "The directory the program starts in."),
        key("entrypoint", Kind::List { some: true }, "The program and its fixed arguments. Clears the base's `cmd`."),
        key("cmd", Kind::List { some: true }, "The default arguments."),
        key("ports", Kind::List { some: false }, "As in \"8080/tcp\"; added to the base's."),
        key("volumes", Kind::List { some: false }, "Directories; added to the base's."),
        key("stop-signal", Kind::Text, "As in \"SIGTERM\"."),
        key(
            "created",
            Kind::Text,
            "\"commit\" (default: the HEAD commit's time, or SOURCE_DATE_EPOCH), \"fixed\" or a time in RFC 3339.",
        ),
        key("compression", Kind::OneOf(&["gzip", "zstd", "none"]), "Of the layers made here. Default \"gzip\"."),
        key(
            "compression-level",
            Kind::Number { least: 1, most: 19 },
            "1 to 12 for gzip (default 6), 1 to 19 for zstd (default 3): higher is smaller and slower.",
        ),
        key(
            "hard-links",
            Kind::Bool,
            "Whether files of a layer with equal content, mode and owner are stored once, as hard links. Default false.",
        ),
        key("context", Kind::Text, "Widens where sources may lie, beyond the repository around this file."),
        key(
            "unset",
            Kind::List { some: false },
            "Drops what the base has: \"cmd\", \"user\", \"env.NAME\", \"labels.KEY\" …",
        ),
    ],
};
