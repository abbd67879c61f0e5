//! Stage 10: receipts, by which one job goes on where another ended. A file in, what it names and what is left to do out; and back.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result, printable};
use crate::oci::Reference;
use crate::plan::{Leave, Tags};
use crate::trust::Paper;
use crate::trust::root::read_within;

/// Largest receipt in bytes; bills of materials may stand in it.
const MOST_BYTES: u64 = 256 << 20;

/// What a receipt says.
pub struct Receipt {
    /// The images, by digest.
    pub references: Vec<Reference>,
    /// What is left of the release; nothing after a push and after a release that was ended.
    pub remaining: Option<Remaining>,
}

/// What is left of a release: all of it is done again, and what is there already is left as it is.
pub struct Remaining {
    /// What is to be attested.
    pub papers: Vec<Paper>,
    /// The tags that are wished for.
    pub tags: Tags,
    /// What was allowed for them.
    pub leave: Leave,
    /// What is signed with it.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    attest: Vec<Paper>,
    tags: Value,
    overwrite: bool,
    annotations: BTreeMap<String, String>,
}

impl Remaining {
    /// As it stands in a receipt.
    pub fn to_json(&self) -> Result<Value> {
        let Remaining { papers, tags, leave, annotations } = self;
        let (attest, annotations) = (papers.clone(), annotations.clone());
        Ok(json!(Written { attest, tags: tags.to_json()?, overwrite: leave.overwrite, annotations }))
    }

    fn read(value: &Value) -> Result<Remaining> {
        let wrong = |cause| Error::usage("what remains of it cannot be read").because(cause);
        let Written { attest, tags, overwrite, annotations } = Written::deserialize(value).map_err(wrong)?;
        // Whether the work tree was a commit was asked when it was built.
        let leave = Leave { dirty: true, overwrite };
        Ok(Remaining { papers: attest, tags: Tags::read(&tags)?, leave, annotations })
    }
}

/// Reads a receipt: of one image, or of each of several that were released together.
pub fn read(path: &Path) -> Result<Vec<Receipt>> {
    let name = printable(&path.to_string_lossy());
    let wrong = || Error::usage(format!("`{name}` is not a receipt of a push or a release"));
    let document: Value =
        serde_json::from_str(&read_within(path, MOST_BYTES)?).map_err(|cause| wrong().because(cause))?;
    let several =
        document["images"].as_array().filter(|images| images.iter().all(|image| image["references"].is_array()));
    match several {
        Some(images) if !images.is_empty() => images.iter().map(|image| one(image, &name)).collect(),
        _ => Ok(vec![one(&document, &name)?]),
    }
}

fn one(document: &Value, name: &str) -> Result<Receipt> {
    let wrong = || Error::usage(format!("`{name}` is not a receipt of a push or a release"));
    let references = document["references"].as_array().filter(|list| !list.is_empty()).ok_or_else(wrong)?;
    let reference = |one: &Value| {
        let reference: Reference = one.as_str().ok_or_else(wrong)?.parse()?;
        match reference.digest {
            Some(_) => Ok(reference),
            None => Err(wrong()),
        }
    };
    let references = references.iter().map(reference).collect::<Result<_>>()?;
    let remaining = match &document["remaining"] {
        Value::Null => None,
        value => Some(Remaining::read(value).map_err(|error| error.context(format!("reading the receipt `{name}`")))?),
    };
    Ok(Receipt { references, remaining })
}
