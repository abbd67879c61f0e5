//! Stage 8: what was signed. The signed bytes in, the claim about a digest out: an in-toto statement, or the payload of a legacy
//! signature. Nothing is believed here; the signature was checked before. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result, printable};
use crate::oci::{Digest, json};

use super::policy::{SIGNATURE, Want};

/// The only payload type of an envelope that is taken.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The statement types that are taken.
const STATEMENTS: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
/// The predicate type of SPDX documents.
const SPDX: &str = "https://spdx.dev/Document";
/// Most subjects of a statement.
const MOST_SUBJECTS: usize = 1000;
/// What a legacy signature says that it is.
const SIMPLE: &str = "cosign container image signature";

/// What was said of an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claim {
    /// What kind of claim it is.
    pub predicate_type: String,
    /// The predicate; `null` for a signature.
    pub predicate: Value,
    /// The annotations that were signed with it.
    pub annotations: BTreeMap<String, String>,
    /// The name that the image had, if that was signed.
    pub name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    #[serde(default)]
    predicate: Value,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    name: Option<String>,
    digest: BTreeMap<String, String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, Value>>,
}

/// The claim of a statement, if it is of the wanted kind and about this digest.
pub fn read(payload: &[u8], want: &Want, digest: &Digest) -> Result<Claim> {
    let statement: Statement = json::read(payload, "the signed statement").map_err(policy)?;
    if !STATEMENTS.contains(&statement.kind.as_str()) {
        return Err(Error::policy(format!("the statement is of the unknown kind `{}`", printable(&statement.kind))));
    }
    if statement.predicate_type != want.predicate_type() {
        let is = match statement.predicate_type.as_str() {
            SIGNATURE => "a signature".to_string(),
            other => format!("an attestation of the type `{}`", printable(other)),
        };
        return Err(Error::policy(format!("it is {is}, not {}", want.name())));
    }
    if statement.subject.len() > MOST_SUBJECTS {
        return Err(Error::policy(format!("the statement has over {MOST_SUBJECTS} subjects, which is the limit")));
    }
    let about = |subject: &&Subject| subject.digest.get("sha256").is_some_and(|hex| *hex == digest.hex());
    let Some(subject) = statement.subject.iter().find(about) else {
        return Err(Error::policy("the statement is about another image"));
    };
    let wellformed = match want {
        Want::Signature => statement.predicate.is_object() || statement.predicate.is_null(),
        // `cosign attest --type spdx` puts the SPDX text there as one string.
        Want::Attestation(kind) if kind == SPDX && statement.predicate.is_string() => true,
        Want::Attestation(_) => statement.predicate.is_object(),
    };
    if !wellformed {
        return Err(Error::policy("the predicate of the statement is not an object"));
    }
    let predicate = if *want == Want::Signature { Value::Null } else { statement.predicate };
    let name = subject.name.clone().filter(|name| !name.is_empty());
    let annotations = texts(subject.annotations.iter().flatten());
    Ok(Claim { predicate_type: statement.predicate_type, predicate, annotations, name })
}

#[derive(Deserialize)]
struct Simple {
    critical: Critical,
    #[serde(default)]
    optional: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

/// The claim of a legacy signature's payload, if it is about this digest.
pub fn simple(payload: &[u8], digest: &Digest) -> Result<Claim> {
    let Simple { critical, optional } = json::read(payload, "the signed payload").map_err(policy)?;
    if critical.kind != SIMPLE {
        return Err(Error::policy(format!("the payload is of the unknown kind `{}`", printable(&critical.kind))));
    }
    if critical.image.docker_manifest_digest != digest.to_string() {
        return Err(Error::policy("the payload is about another image"));
    }
    Ok(Claim {
        predicate_type: SIGNATURE.to_string(),
        predicate: Value::Null,
        annotations: texts(optional.iter().flatten()),
        name: Some(critical.identity.docker_reference).filter(|name| !name.is_empty()),
    })
}

fn texts<'a>(all: impl Iterator<Item = (&'a String, &'a Value)>) -> BTreeMap<String, String> {
    all.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_string()))).collect()
}

/// What is wrong with signed bytes is no fault of the registry.
fn policy(error: Error) -> Error {
    let mut refused = Error::policy(error.message());
    if let Some(cause) = error.causes().into_iter().next() {
        refused = refused.because(cause);
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(kind: &str, predicate_type: &str, subject: &str, predicate: &str) -> Vec<u8> {
        format!(r#"{{"_type":"{kind}","subject":[{subject}],"predicateType":"{predicate_type}"{predicate}}}"#).into()
    }

    fn about(digest: &Digest) -> String {
        format!(r#"{{"name":"x","digest":{{"sha256":"{}"}},"annotations":{{"k":"v"}}}}"#, digest.hex())
    }

    #[test]
    fn sig_08_only_the_wanted_and_wellformed_statement_is_taken() {
        let digest = Digest::of(b"image");
        let (v1, spdx, slsa) = (STATEMENTS[0], SPDX, "https://slsa.dev/provenance/v1");
        let (good, empty) = (about(&digest), r#","predicate":{}"#);
        let sbom = Want::Attestation(spdx.to_string());
        let claim = read(&statement(v1, SIGNATURE, &good, empty), &Want::Signature, &digest).unwrap();
        assert_eq!((claim.name.as_deref(), claim.annotations["k"].as_str()), (Some("x"), "v"));
        assert!(read(&statement(v1, SIGNATURE, &good, ""), &Want::Signature, &digest).is_ok());
        assert!(read(&statement(STATEMENTS[1], spdx, &good, empty), &sbom, &digest).is_ok());
        let refused = |text: Vec<u8>, want: &Want| {
            let error = read(&text, want, &digest).unwrap_err();
            assert_eq!(error.kind().exit_code(), 4, "{error:?}");
        };
        refused(statement(v1, SIGNATURE, &good, empty), &sbom);
        refused(statement(v1, spdx, &good, empty), &Want::Signature);
        refused(statement("https://in-toto.io/Statement/v2", SIGNATURE, &good, empty), &Want::Signature);
        refused(statement(v1, SIGNATURE, "", empty), &Want::Signature);
        refused(statement(v1, SIGNATURE, &about(&Digest::of(b"other")), empty), &Want::Signature);
        refused(statement(v1, spdx, &good, ""), &sbom);
        for predicate in [r#","predicate":1"#, r#","predicate":[]"#, r#","predicate":null"#] {
            refused(statement(v1, spdx, &good, predicate), &sbom);
        }
        let text = r#","predicate":"text""#;
        assert!(read(&statement(v1, spdx, &good, text), &sbom, &digest).is_ok());
        refused(statement(v1, slsa, &good, text), &Want::Attestation(slsa.to_string()));
        refused(b"{}".to_vec(), &Want::Signature);
        refused(b"".to_vec(), &Want::Signature);
        refused(b"null".to_vec(), &Want::Signature);
    }

    #[test]
    fn sig_05_a_payload_is_for_one_image() {
        let digest = Digest::of(b"image");
        let payload = |digest: &str, kind: &str| {
            format!(
                r#"{{"critical":{{"identity":{{"docker-reference":"h.test/x"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"{kind}"}},"optional":{{"k":"v"}}}}"#
            )
        };
        let good = simple(payload(&digest.to_string(), SIMPLE).as_bytes(), &digest).unwrap();
        assert_eq!((good.name.as_deref(), good.annotations["k"].as_str()), (Some("h.test/x"), "v"));
        for (digest_of, kind) in
            [(Digest::of(b"other").to_string(), SIMPLE), (digest.hex(), SIMPLE), (digest.to_string(), "x")]
        {
            assert_eq!(simple(payload(&digest_of, kind).as_bytes(), &digest).unwrap_err().kind().exit_code(), 4);
        }
    }
}
