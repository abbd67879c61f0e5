//! Stage 8: how an image was made, as SLSA provenance v1 (slsa.dev, "Build: Provenance"). A plan and its inputs in, a predicate out; and
//! what a rebuild showed, as a verification summary. Pure.
//!
//! No clock and no host: the same inputs give the same bytes. Of values from outside only the names are told, never what they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::layer::{Input, Origin};
use crate::manifest::Manifest;
use crate::oci::{Digest, Repository};
use crate::plan::{self, Plan};
use crate::source::Base;
use crate::trust::sbom;

/// The type of the predicate.
pub const TYPE: &str = "https://slsa.dev/provenance/v1";
/// The type of a verification summary.
pub const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";
/// What the parameters mean: `docs/attestations.md`.
pub const BUILD_TYPE: &str = "urn:stillframe:build:image-toml:v1";
/// A builder of which nothing is known but who signed.
pub const UNKNOWN_BUILDER: &str = "urn:stillframe:builder:unknown";

/// Everything that provenance tells of.
pub struct Facts<'a> {
    /// What was written.
    pub manifest: &'a Manifest,
    /// What was made.
    pub plan: &'a Plan,
    /// What each image stands on.
    pub bases: &'a [Arc<Base>],
    /// What was put into them.
    pub inputs: &'a [Input],
    /// The names of the variables that the command line gave.
    pub set: BTreeSet<String>,
    /// Who built.
    pub builder: Builder,
}

/// Who built: a URI of the machinery that is to be trusted, and where it says the sources came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builder {
    /// The URI.
    pub id: String,
    /// The repository.
    pub source: Option<String>,
}

impl Builder {
    /// As the CI job's environment says it: the workflow on GitHub and GitLab, in the words of the certificates that they get for
    /// keyless signatures. Elsewhere the builder is unknown. It is a claim; who believes it looks at the signature too.
    pub fn of(variable: &dyn Fn(&str) -> Option<String>) -> Builder {
        let uri = |text: String| {
            text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte)).then_some(text)
        };
        let on = |name: &str| variable(name).is_some_and(|value| value == "true");
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let known = if on("GITHUB_ACTIONS") {
            get("GITHUB_SERVER_URL").zip(get("GITHUB_WORKFLOW_REF")).map(|(server, workflow)| {
                let source = get("GITHUB_REPOSITORY").map(|repository| format!("git+{server}/{repository}"));
                (format!("{server}/{workflow}"), source)
            })
        } else if on("GITLAB_CI") {
            get("CI_CONFIG_REF_URI").map(|config| {
                (format!("https://{config}"), get("CI_PROJECT_URL").map(|project| format!("git+{project}.git")))
            })
        } else {
            None
        };
        let known = known.and_then(|(id, source)| Some((uri(id).filter(|id| id.starts_with("https://"))?, source)));
        match known {
            Some((id, source)) => Builder { id, source: source.and_then(uri) },
            None => Builder { id: UNKNOWN_BUILDER.to_string(), source: None },
        }
    }
}

/// The predicate.
pub fn provenance(facts: &Facts<'_>) -> Value {
    let platforms: Vec<String> = facts.plan.images.iter().map(|image| image.platform.to_string()).collect();
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "manifest": manifest_path(facts.manifest),
                "platforms": platforms,
                "set": facts.set,
            },
            "internalParameters": { "format": 1 },
            "resolvedDependencies": dependencies(facts),
        },
        "runDetails": {
            "builder": { "id": facts.builder.id, "version": { "stillframe": env!("CARGO_PKG_VERSION") } },
        },
    })
}

/// The manifest's path from the outermost directory that sources may lie in.
fn manifest_path(manifest: &Manifest) -> String {
    let name = Path::new(&manifest.text.path).file_name().unwrap_or_default();
    let below = manifest.directory.strip_prefix(&manifest.context).unwrap_or(Path::new(""));
    below.join(name).to_string_lossy().into_owned()
}

fn dependencies(facts: &Facts<'_>) -> Vec<Value> {
    let sha256 = |digest: &Digest| json!({ "sha256": digest.hex() });
    let mut all = vec![json!({
        "name": manifest_path(facts.manifest),
        "digest": sha256(&Digest::of(facts.manifest.text.text.as_bytes())),
        "annotations": { "role": "manifest" },
    })];
    // What a member takes from the root of its workspace is said there.
    let root = facts.manifest.shared.as_ref().map(|shared| &shared.root);
    if let Some(root) = root.filter(|root| !Arc::ptr_eq(&root.text, &facts.manifest.text)) {
        let name =
            root.file.strip_prefix(&facts.manifest.context).ok().or_else(|| root.file.file_name().map(Path::new));
        all.push(json!({
            "name": name.unwrap_or(Path::new("")).to_string_lossy(),
            "digest": sha256(&Digest::of(root.text.text.as_bytes())),
            "annotations": { "role": "workspace" },
        }));
    }
    if let Some(git) = facts.manifest.values.git() {
        let mut source = json!({
            "name": "source",
            "digest": { "gitCommit": git.sha },
            "annotations": { "role": "source", "dirty": git.dirty.is_some() },
        });
        if let Some(uri) = &facts.builder.source {
            source["uri"] = json!(uri);
        }
        all.push(source);
    }
    let bases: BTreeMap<String, Value> = facts
        .bases
        .iter()
        .filter_map(|base| {
            let (name, uri) = named(base);
            let mut value = json!({ "name": name, "digest": sha256(&base.named?), "annotations": { "role": "base" } });
            if let Some(uri) = uri {
                value["uri"] = json!(uri);
            }
            Some((format!("{name}@{}", base.named?), value))
        })
        .collect();
    all.extend(bases.into_values());
    all.extend(facts.inputs.iter().map(|input| {
        let algorithm = if input.origin == Origin::Directory { "dirHash" } else { "sha256" };
        let uri = match &input.origin {
            Origin::File | Origin::Directory | Origin::Archive => None,
            Origin::Web => Some(input.name.clone()),
            Origin::Image(image) => registry(image, &input.digest).map(|(_, uri)| uri),
        };
        let digest = json!({ algorithm: input.digest.hex() });
        let mut value = json!({ "name": input.name, "digest": digest, "annotations": { "role": "input" } });
        if let Some(uri) = uri {
            value["uri"] = json!(uri);
        }
        value
    }));
    all
}

/// What a base is called, and its package URL.
fn named(base: &Base) -> (String, Option<String>) {
    let found = base.named.and_then(|digest| registry(&base.reference, &digest));
    found.map_or(("base".to_string(), None), |(name, uri)| (name, Some(uri)))
}

/// The name and the package URL of an image in a registry.
fn registry(reference: &plan::Base, digest: &Digest) -> Option<(String, String)> {
    let plan::Base::Registry(pinned) = reference else { return None };
    let tag = pinned.tag.as_ref().map(|tag| tag.as_str());
    Some((pinned.repository.to_string(), sbom::image_purl(&pinned.repository, digest, tag, None)))
}

/// That a rebuild of an image gave every byte of it, as SLSA's verification summary v1; `used` are the blobs of the attestations that told
/// what to build. It holds no time: a log says when it was signed.
pub fn summary(repository: Option<&Repository>, digest: &Digest, used: &[Digest]) -> Value {
    let resource = repository.map_or_else(|| digest.to_string(), |name| sbom::image_purl(name, digest, None, None));
    let used: Vec<Value> = used.iter().map(|blob| json!({ "digest": { "sha256": blob.hex() } })).collect();
    json!({
        "inputAttestations": used,
        "verifier": { "id": "urn:stillframe:verifier:reproduce", "version": { "stillframe": env!("CARGO_PKG_VERSION") } },
        "resourceUri": resource,
        "policy": { "uri": "urn:stillframe:policy:reproducible:v1" },
        "verificationResult": "PASSED",
        "verifiedLevels": ["STILLFRAME_REPRODUCED"],
        "slsaVersion": "1.1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_what_the_job_says_or_unknown() {
        let builder = |pairs: &[(&str, &str)]| {
            let find = |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_string());
            Builder::of(&find).id
        };
        let github = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_WORKFLOW_REF", "acme/app/.github/workflows/release.yml@refs/tags/v1"),
        ];
        assert_eq!(builder(&github), "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1");
        assert_eq!(builder(&github[1..]), UNKNOWN_BUILDER);
        assert_eq!(builder(&github[..2]), UNKNOWN_BUILDER);
        let gitlab = [("GITLAB_CI", "true"), ("CI_CONFIG_REF_URI", "gitlab.com/acme/app//.gitlab-ci.yml@refs/tags/v1")];
        assert_eq!(builder(&gitlab), "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/tags/v1");
        assert_eq!(builder(&[gitlab[0], ("CI_CONFIG_REF_URI", "a b")]), UNKNOWN_BUILDER);
        assert_eq!(builder(&[]), UNKNOWN_BUILDER);
    }
}
