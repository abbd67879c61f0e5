//! Stage 1: the keys of `[workspace]`. Pure.

use super::image::SHARED;
use super::trust::{BASE, SIGN};
use super::{ATTEST, HEALTHCHECK, Kind, TAGS, Table, VAR, key, required};
use crate::manifest::rules::CHECK;

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
        key("defaults", Kind::Table(&DEFAULTS), "What members have that do not say it themselves."),
    ],
};

/// `[workspace.defaults]`: tables of a manifest, by the names that they have there.
pub static DEFAULTS: Table = Table {
    name: "workspace.defaults",
    about: "What members have that do not say it themselves; each table holds what the table of its name holds in a manifest. Paths are relative to this file.",
    keys: &[
        key("vars", Kind::Named(&VAR), "Variables, for those that a member does not declare."),
        key("image", Kind::Table(&SHARED), "The image, key by key."),
        key("base", Kind::Table(&BASE), "`[base.verify]`, taken whole; counts for bases of registries."),
        key("healthcheck", Kind::Table(&HEALTHCHECK), "Taken whole."),
        key("env", Kind::Env, "Environment variables, name by name."),
        key("labels", Kind::Map { levels: &[] }, "Labels, key by key."),
        key("annotations", Kind::Map { levels: &["index", "manifest"] }, "Annotations, key by key and level by level."),
        key("tags", Kind::Table(&TAGS), "Tags, key by key."),
        key("sign", Kind::Table(&SIGN), "The signature, taken whole."),
        key("attest", Kind::Table(&ATTEST), "What is said of a released image, key by key."),
        key("check", Kind::Table(&CHECK), "The rules, each taken whole."),
    ],
};
