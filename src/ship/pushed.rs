//! Stage 9: what is pushed where, and what became of it, as values. Nothing is touched.

use serde_json::{Value, json};

use crate::oci::{Descriptor, Digest, Reference, Repository, Tag};
use crate::plan::{Leave, Tags};

/// The names an artifact shall have.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// Its repositories.
    pub names: Vec<Repository>,
    /// Its tags.
    pub tags: Tags,
    /// What was allowed for them.
    pub leave: Leave,
    /// The names that engines and the local store show, where these are not made of the repositories.
    pub known_as: Vec<Reference>,
}

/// What one repository took.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The repository.
    pub name: Repository,
    /// Each object, and how it got there.
    pub objects: Vec<(Descriptor, &'static str)>,
    /// Its tags, as far as something is wished of them.
    pub tags: Vec<Tagged>,
}

/// What became of a tag.
#[derive(Clone, Debug)]
pub struct Tagged {
    /// The tag.
    pub tag: Tag,
    /// `set`, `unchanged`, `kept` or `given away`.
    pub how: &'static str,
    /// What it said before, if that was something else.
    pub from: Option<Digest>,
    /// What it says now, as far as we set it.
    pub to: Option<Digest>,
    /// Half a sentence on why; may be empty.
    pub why: String,
}

impl Tagged {
    /// A tag that was set by name, not by a rule.
    pub fn plain(tag: &Tag, how: &'static str) -> Tagged {
        Tagged { tag: tag.clone(), how, from: None, to: None, why: String::new() }
    }

    fn to_json(&self) -> Value {
        let mut value = json!({ "tag": self.tag.as_str(), "how": self.how });
        if let Some(from) = &self.from {
            value["from"] = json!(from);
        }
        if let Some(to) = &self.to {
            value["to"] = json!(to);
        }
        if !self.why.is_empty() {
            value["why"] = json!(self.why);
        }
        value
    }
}

impl Pushed {
    /// For receipts and `--format json`.
    pub fn to_json(&self) -> Value {
        let object = |(descriptor, how): &(Descriptor, &str)| json!({ "mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size, "how": how });
        json!({
            "name": self.name.to_string(),
            "objects": self.objects.iter().map(object).collect::<Vec<_>>(),
            "tags": self.tags.iter().map(Tagged::to_json).collect::<Vec<_>>(),
        })
    }
}
