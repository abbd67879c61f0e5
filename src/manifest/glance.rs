//! Stage 1: what a shell may offer of a manifest while a line is typed: names that stand in it. A located text in, names out; git is not
//! asked, no template is rendered, and mistakes are for others to tell. Pure.

use std::collections::BTreeSet;

use super::defaults;
use super::locate::Location;
use crate::error::Report;
use crate::oci::Reference;

/// The names that stand in a manifest, the defaults of its workspace with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// Its platforms.
    pub platforms: Vec<String>,
    /// Its variables.
    pub variables: Vec<String>,
    /// Where it is pushed.
    pub repositories: Vec<String>,
    /// The images that it pins.
    pub pinned: BTreeSet<String>,
    /// Whether it has packages.
    pub packages: bool,
}

/// Looks at a manifest, whatever is wrong with it.
pub fn glance(location: &Location) -> Glance {
    let (written, _) = defaults::read(location, &mut Report::default());
    let list = |key: &str| {
        let spots = written.image.list(key).map(|list| list.value.as_slice()).unwrap_or_default();
        spots.iter().chain(written.image.text(key)).map(|spot| spot.value.clone()).filter(|text| !text.contains("{{"))
    };
    let copies = written.items.iter().filter(|(table, _)| *table == "copy").filter_map(|(_, view)| view.text("from"));
    let pinned = copies.chain(written.image.text("base")).filter_map(|spot| spot.value.parse::<Reference>().ok());
    Glance {
        platforms: list("platforms").collect(),
        variables: written.vars.iter().map(|var| var.name.value.clone()).collect(),
        repositories: list("name").collect(),
        pinned: pinned.filter(|it| it.tag.is_some()).map(|reference| reference.repository.to_string()).collect(),
        packages: !written.packages.is_empty(),
    }
}
