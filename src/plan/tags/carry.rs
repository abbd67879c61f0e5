//! Stage 2: wishes on their way to another job. Wishes in, a document of them out, and back. Pure.
//!
//! The document holds no template and none of the manifest's values: it may lie where the secrets of the build may not.

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::release::{self, Reach, Shape};
use super::{Sharing, Tags, Want, Wish};
use crate::error::{Error, Result};
use crate::oci::Tag;

/// One wish as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "rule", deny_unknown_fields)]
enum Written {
    Always { tag: String },
    Once { tag: String },
    Highest { tag: String, version: String, among: Among },
}

/// The numbers that the releases which share a tag have in common.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Among {
    Minor,
    Major,
    All,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Carried {
    wishes: Vec<Written>,
    releases: Vec<String>,
    shapes: Vec<[String; 4]>,
    shallow: bool,
}

impl Tags {
    /// The wishes as a document. A pattern that shares its tag otherwise than by leading numbers cannot be carried.
    pub fn to_json(&self) -> Result<Value> {
        let mut wishes = Vec::new();
        for wish in &self.wishes {
            wishes.extend(match &wish.want {
                // What is refused is refused before anything is carried.
                Want::Not(_) | Want::Never(_) => None,
                Want::Always(tag) => Some(Written::Always { tag: tag.to_string() }),
                Want::Once(tag) => Some(Written::Once { tag: tag.to_string() }),
                Want::Highest { tag, version, sharing } => Some(Written::Highest {
                    tag: tag.to_string(),
                    version: version.to_string(),
                    among: sharing.among(tag, version).ok_or_else(|| {
                        let what = "other releases share it by a rule that a receipt cannot hold";
                        Error::usage(format!("the tag `{tag}` cannot be set by another job: {what}"))
                            .hint("release in one job, or make the pattern in `[tags] semver` of `{{ major }}` and `{{ minor }}` only")
                    })?,
                }),
            });
        }
        let shapes: Vec<_> = self.shapes.iter().map(|shape| shape.0.clone()).collect();
        let releases = self.releases.iter().map(Version::to_string).collect();
        Ok(json!(Carried { wishes, releases, shapes, shallow: self.shallow }))
    }

    /// The wishes in a document.
    pub fn read(document: &Value) -> Result<Tags> {
        let wrong = || Error::usage("its tags cannot be read");
        let read = |text: &String| Version::parse(text).map_err(|cause| wrong().because(cause));
        let carried = Carried::deserialize(document).map_err(|cause| wrong().because(cause))?;
        let wish = |written: Written| -> Result<Wish> {
            let parse = |tag: String| tag.parse::<Tag>().map_err(|cause| wrong().because(cause));
            let want = match written {
                Written::Always { tag } => Want::Always(parse(tag)?),
                Written::Once { tag } => Want::Once(parse(tag)?),
                Written::Highest { tag, version, among } => {
                    let sharing = Sharing::Reach(match among {
                        Among::Minor => Reach::Minor,
                        Among::Major => Reach::Major,
                        Among::All => Reach::All,
                    });
                    Want::Highest { tag: parse(tag)?, version: read(&version)?, sharing }
                }
            };
            Ok(Wish { name: want.tag().map(Tag::to_string).unwrap_or_default(), want, of_commit: false })
        };
        let wishes = carried.wishes.into_iter().map(wish).collect::<Result<_>>()?;
        let releases = carried.releases.iter().map(read).collect::<Result<_>>()?;
        let shapes = carried.shapes.into_iter().map(Shape).collect();
        Ok(Tags { wishes, releases, shapes, shallow: carried.shallow, ..Tags::default() })
    }
}

impl Sharing {
    /// The leading numbers by which releases share the tag of this one, if it is by them.
    fn among(&self, tag: &Tag, version: &Version) -> Option<Among> {
        let reach = match self {
            Sharing::Pattern(pattern) => release::reach(pattern),
            Sharing::Reach(reach) => *reach,
        };
        let among = match reach {
            Reach::Minor => Among::Minor,
            Reach::Major => Among::Major,
            Reach::All => Among::All,
            Reach::One => return None,
        };
        let near = |number: u64| [0, number, number.saturating_add(1), number.saturating_add(2), u64::MAX >> 12];
        let mut others = near(version.major).into_iter().flat_map(|major| {
            near(version.minor).map(|minor| Version::new(major, minor, version.patch.saturating_add(1)))
        });
        let alike = |other: &Version| {
            self.holds(tag, version, other) == Sharing::Reach(reach).holds(tag, version, other) || other < version
        };
        others.all(|other| alike(&other)).then_some(among)
    }
}
