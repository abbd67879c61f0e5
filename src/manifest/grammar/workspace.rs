//! Stage 1: the keys of `[workspace]`. Pure.

use super::{Kind, Table, key, required};

/// `[workspace]`.
pub static WORKSPACE: Table = Table {
    name: "workspace",
    about: "Several images that are built together, each with a manifest of its own.",
    keys: &[
        required(
            "members",
            Kind::List { some: true },
            "The directories of the manifests, relative to this file. `*` and `?` stand for parts of one name, as in \"services/*\"; of what they fit, directories with a manifest count.",
        ),
        key("exclude", Kind::List { some: false }, "Directories that are no members although `members` names them."),
    ],
};
