//! Stage 1: what the manifest says of programs: how they are linked, what they bring along, what is started. Plain values; the reader of
//! `libs` too. Pure.

use super::base::Base;
use super::config;
use super::meant::Source;
use super::read::Meaning;
use super::written::View;
use crate::error::{Finding, Place};
use crate::oci::Platform;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The words, at least one.
    pub words: Vec<String>,
    /// Where the first one stands.
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

/// A program whose loader and libraries are taken out of another image.
#[derive(Clone, Debug)]
pub struct Libraries {
    /// The program.
    pub program: Source,
    /// The image, pinned; never scratch.
    pub from: Base,
    /// Where that stands.
    pub place: Place,
    /// Of an index, the image for this platform.
    pub platform: Platform,
}

/// What `libs` and `libs-from` of a `[[binary]]` say of its program.
pub(super) fn libraries(meaning: &mut Meaning, view: &View, program: &Source, link: Link) -> Option<Libraries> {
    let from = match (view.text("libs"), view.text("libs-from")) {
        (None, None) => return None,
        (None, Some(from)) => {
            let finding = Finding::error("conflict", "`libs-from` has no meaning without `libs`").at(&from.place, "");
            meaning.report.add(finding.help("add `libs = \"copy\"`"));
            return None;
        }
        (Some(libs), _) if link == Link::Static => {
            let finding = Finding::error("conflict", "a program with `link = \"static\"` has no libraries");
            meaning.report.add(finding.at(&libs.place, "to be copied").help("leave one of them out"));
            return None;
        }
        (Some(libs), None) => {
            let finding = Finding::error("missing-key", "`libs = \"copy\"` needs `libs-from`").at(&libs.place, "");
            meaning.report.add(finding.help(
                "name the image that has the loader and the libraries, as in \
                 `libs-from = \"docker.io/library/debian:bookworm@sha256:…\"`; they are never taken from this machine",
            ));
            return None;
        }
        (Some(_), Some(from)) => from,
    };
    let base = config::reference(meaning, from, "libs-from")?;
    let platform = meaning.scope.platform.clone()?;
    Some(Libraries { program: program.clone(), from: base, place: from.place.clone(), platform })
}
