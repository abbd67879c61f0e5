//! Stage 8: all that `[attest]` asks to be said of an artifact, ready to be signed. Images and bases in, predicates with their subjects out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ctx::Ctx;
use crate::error::Result;
use crate::image::Artifact;
use crate::layer::Input;
use crate::manifest::Bill;
use crate::oci::{Descriptor, Repository};
use crate::source::Base;
use crate::trust::{provenance, sbom};

/// What is to be said of one image, before it is signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paper {
    /// The manifest or index that it is about.
    pub subject: Descriptor,
    /// The type of the predicate.
    pub predicate_type: String,
    /// The predicate.
    pub predicate: Value,
}

/// The bills of materials of each image, whose files come from `imports` too: an index has none of its own, its images have.
pub async fn bills(
    ctx: &Ctx,
    artifact: &Artifact,
    bases: &[Arc<Base>],
    imports: &[Vec<Input>],
    bills: &[Bill],
    name: Option<&Repository>,
) -> Result<Vec<Paper>> {
    let mut papers = Vec::new();
    for ((image, base), imports) in artifact.images.iter().zip(bases).zip(imports).filter(|_| !bills.is_empty()) {
        let inventory = sbom::look(ctx, image, base, imports, name).await?;
        papers.extend(bills.iter().map(|bill| Paper {
            subject: image.manifest.descriptor.clone(),
            predicate_type: sbom::predicate_type(*bill).to_string(),
            predicate: sbom::document(*bill, &inventory),
        }));
    }
    Ok(papers)
}

/// The provenance of each image, and of the index around several.
pub fn origins(artifact: &Artifact, predicate: &Value) -> Vec<Paper> {
    let images = artifact.images.iter().map(|image| &image.manifest.descriptor);
    let root = Some(&artifact.root.descriptor).filter(|_| artifact.images.len() > 1);
    let paper = |subject: &Descriptor| Paper {
        subject: subject.clone(),
        predicate_type: provenance::TYPE.to_string(),
        predicate: predicate.clone(),
    };
    images.chain(root).map(paper).collect()
}
