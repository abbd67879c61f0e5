//! Stage 1: the keys below `[packages]`, as tables of the grammar. Pure.

use super::{Key, Kind, Table, key, required};

const MIRROR: Key = key(
    "mirror",
    Kind::Text,
    "The URL that `dists` and `pool` (Debian) or the branches (Alpine) stand below. No mirror is built in.",
);
const SNAPSHOT: Key = key(
    "snapshot",
    Kind::Text,
    "A moment, as in \"20250520T000000Z\" or \"2025-05-20\": its tree is read below the mirror, as snapshot services keep it.",
);
const INSTALL: Key = required(
    "install",
    Kind::List { some: true },
    "Packages, as in \"nginx\", \"nginx=1.22.1-9\" or \"nginx>=1.22\". What they depend on comes along.",
);
const EXCLUDE: Key = key(
    "exclude",
    Kind::List { some: false },
    "Not these files, as gitignore-style globs below `/`: \"usr/share/doc/**\", \"usr/share/man/**\" …",
);
const SUITE: Key = key("suite", Kind::TextOrList, "The suite, as in \"bookworm\": one or several of the same mirror.");
const COMPONENTS: Key = key("components", Kind::List { some: true }, "Default [\"main\"].");
const KEYRING: Key = key(
    "keyring",
    Kind::TextOrList,
    "Files of OpenPGP public keys that must have signed the suite, or \"debian-archive\" (default), which comes with this tool.",
);
const CHECK_DATE: Key = key(
    "check-valid-until",
    Kind::Bool,
    "Whether an index that is past its `Valid-Until` is refused. Default true, but false with `snapshot`.",
);

/// `[packages]`.
pub static PACKAGES: Table = Table {
    name: "packages",
    about: "Packages of one distribution, laid out without running anything; `image.lock` pins each.",
    keys: &[
        key("debian", Kind::Table(&DEBIAN), "Packages of Debian, or of what is made like it."),
        key("alpine", Kind::Table(&ALPINE), "Packages of Alpine, or of what is made like it."),
    ],
};

/// `[packages.debian]`.
static DEBIAN: Table = Table {
    name: "packages.debian",
    about: "Packages of Debian, or of what is made like it.",
    keys: &[
        MIRROR,
        SUITE,
        COMPONENTS,
        SNAPSHOT,
        KEYRING,
        CHECK_DATE,
        key("source", Kind::Tables(&DEBIAN_SOURCE), "More places, as that of security updates."),
        INSTALL,
        key("no-recommends", Kind::Bool, "Leaves out what packages only recommend. Default true."),
        EXCLUDE,
    ],
};

/// `[[packages.debian.source]]`.
static DEBIAN_SOURCE: Table = Table {
    name: "packages.debian.source",
    about: "One more place that packages come from.",
    keys: &[MIRROR, SUITE, COMPONENTS, SNAPSHOT, KEYRING, CHECK_DATE],
};

/// `[packages.alpine]`.
static ALPINE: Table = Table {
    name: "packages.alpine",
    about: "Packages of Alpine, or of what is made like it.",
    keys: &[
        MIRROR,
        required("branch", Kind::Text, "The branch, as in \"v3.20\"."),
        key("repositories", Kind::List { some: true }, "Default [\"main\"]."),
        required(
            "keyring",
            Kind::TextOrList,
            "Files of RSA public keys (PEM), one of which must have signed each index. A file has the key's name.",
        ),
        INSTALL,
        EXCLUDE,
    ],
};
