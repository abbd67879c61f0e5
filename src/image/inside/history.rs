//! Stage 7: how the layers of an image came to be. A config and the annotations of its manifest in, one step for each entry of the
//! history out, each with its layer and who made it. Pure.

use std::collections::BTreeMap;

use crate::oci::{History, Image, media};

/// What our own layers' `created_by` begins with (`docs/format-1.md`).
const OWN: &str = "stillframe: ";

/// One step in the making of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The layer that it made, 0 for the lowest; nothing where it only changed the config.
    pub layer: Option<usize>,
    /// RFC 3339.
    pub created: Option<String>,
    /// The words of what made it.
    pub created_by: Option<String>,
    /// A remark.
    pub comment: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Where it comes from.
    pub maker: Maker,
}

/// Where a layer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maker {
    /// From the base, which may be known by name and digest.
    Base {
        /// The name that it was taken by.
        name: Option<String>,
        /// The digest that it was taken by.
        digest: Option<String>,
    },
    /// A layer of stillframe's by this name.
    Own(String),
    /// Nobody says.
    Unknown,
}

impl Maker {
    /// The words for it; empty where nobody says.
    pub fn words(&self) -> String {
        match self {
            Maker::Base { name: Some(name), .. } => format!("base {name}"),
            Maker::Base { name: None, digest: Some(digest) } => format!("base {digest}"),
            Maker::Base { .. } => "base".to_string(),
            Maker::Own(name) => name.clone(),
            Maker::Unknown => String::new(),
        }
    }
}

/// The steps of an image, lowest first. Layers that the history does not tell of have a step too, at its end.
pub fn history(image: &Image, layers: usize, annotations: &BTreeMap<String, String>) -> Vec<Step> {
    let name =
        |entry: &History| entry.created_by.as_deref().and_then(|words| words.strip_prefix(OWN)).map(str::to_string);
    let own = image.history.iter().position(|entry| name(entry).is_some());
    let known = |key: &str| annotations.get(key).filter(|value| !value.is_empty()).cloned();
    let base = Maker::Base { name: known(media::BASE_NAME), digest: known(media::BASE_DIGEST) };
    let mut next = 0..layers;
    let mut steps: Vec<Step> = Vec::new();
    for (at, entry) in image.history.iter().enumerate() {
        let word = |key: &str| entry.rest.get(key).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
        steps.push(Step {
            layer: if entry.empty_layer { None } else { next.next() },
            created: entry.created.clone(),
            created_by: entry.created_by.clone(),
            comment: word("comment").map(str::to_string),
            author: word("author").map(str::to_string),
            maker: match (name(entry), own) {
                (Some(name), _) => Maker::Own(name),
                (None, Some(own)) if at < own => base.clone(),
                (None, _) => Maker::Unknown,
            },
        });
    }
    steps.extend(next.map(|layer| Step {
        layer: Some(layer),
        created: None,
        created_by: None,
        comment: None,
        author: None,
        maker: Maker::Unknown,
    }));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(created_by: &str, empty_layer: bool) -> History {
        History { created_by: Some(created_by.into()), empty_layer, ..History::default() }
    }

    #[test]
    fn entries_and_layers_are_paired() {
        let mut first = entry("ADD file", false);
        first.rest.insert("comment".into(), json!("buildkit"));
        let history = vec![first, entry("CMD", true), entry("RUN x", false), entry("stillframe: files", false)];
        let image = Image { history, ..Image::default() };
        let annotations = BTreeMap::from([(media::BASE_NAME.to_string(), "debian:12".to_string())]);
        let steps = super::history(&image, 4, &annotations);
        let found: Vec<_> = steps.iter().map(|step| (step.layer, step.maker.words())).collect();
        let base = || "base debian:12".to_string();
        let expect =
            [(Some(0), base()), (None, base()), (Some(1), base()), (Some(2), "files".into()), (Some(3), "".into())];
        assert_eq!(found, expect);
        assert_eq!(steps[0].comment.as_deref(), Some("buildkit"));
    }

    #[test]
    fn more_history_than_layers_is_no_layer() {
        let image = Image { history: vec![entry("a", false), entry("b", false)], ..Image::default() };
        let found: Vec<_> = super::history(&image, 1, &BTreeMap::new()).iter().map(|step| step.layer).collect();
        assert_eq!(found, [Some(0), None]);
    }
}
