//! Stage 8: a report that any scanner wrote, as the predicate of an attestation. A JSON file in, cosign's predicate for scans out (its
//! "Vulnerability Scan Record", version 1). Reads the file. What the report does not say is not said.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::trust::sign;

/// The type of the predicate.
pub const TYPE: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";
/// The types of in-toto statements, which are no reports.
const STATEMENT: &str = "https://in-toto.io/Statement/";

/// The predicate of a report. One that is such a predicate already stays as it is.
pub fn predicate(path: &Path, scanner: Option<&str>) -> Result<Value> {
    let report = sign::document(path)?;
    let shown = path.display();
    if report["_type"].as_str().is_some_and(|kind| kind.starts_with(STATEMENT)) {
        return Err(Error::usage(format!("`{shown}` is a statement already, not a report"))
            .hint("take its `predicate`, and sign that with `stillframe attest --type vuln --predicate FILE`"));
    }
    if report["scanner"]["result"].is_object() || report["scanner"]["result"].is_array() {
        return Ok(report);
    }
    let known = known(&report);
    let uri = scanner.map(str::to_string).or(known.uri).ok_or_else(|| {
        Error::usage(format!("`{shown}` does not say which scanner wrote it"))
            .hint("say it, as in `--scanner https://example.com/scanner@1.2.3`")
    })?;
    let mut described = Map::from_iter([("uri".to_string(), json!(uri)), ("result".to_string(), report)]);
    if let Some(version) = known.version.filter(|_| scanner.is_none()) {
        described.insert("version".to_string(), json!(version));
    }
    let mut metadata = Map::new();
    for (key, time) in [("scanStartedOn", known.started), ("scanFinishedOn", known.ended)] {
        if let Some(time) = time {
            metadata.insert(key.to_string(), json!(time));
        }
    }
    Ok(json!({ "scanner": described, "metadata": metadata }))
}

/// What a report says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    uri: Option<String>,
    version: Option<String>,
    started: Option<String>,
    ended: Option<String>,
}

fn known(report: &Value) -> Known {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_string);
    // SARIF names its tool and when it ran.
    let run = &report["runs"][0];
    let driver = &run["tool"]["driver"];
    if driver.is_object() {
        let version = text(&driver["version"]).or_else(|| text(&driver["semanticVersion"]));
        return Known {
            uri: text(&driver["informationUri"]).or_else(|| text(&driver["name"])),
            version,
            started: text(&run["invocations"][0]["startTimeUtc"]),
            ended: text(&run["invocations"][0]["endTimeUtc"]),
        };
    }
    // Grype's JSON has a descriptor, Trivy's its name in the version of its schema and the time of its making.
    if let Some(name) = text(&report["descriptor"]["name"]) {
        let uri = if name == "grype" { "https://github.com/anchore/grype".to_string() } else { name };
        let ended = text(&report["descriptor"]["timestamp"]);
        return Known { uri: Some(uri), version: text(&report["descriptor"]["version"]), started: None, ended };
    }
    if report["SchemaVersion"].is_number() && report["ArtifactName"].is_string() {
        let uri = Some("https://github.com/aquasecurity/trivy".to_string());
        return Known {
            uri,
            version: text(&report["Trivy"]["Version"]),
            started: None,
            ended: text(&report["CreatedAt"]),
        };
    }
    // Our own.
    if report["images"][0]["database"]["records"].is_number() {
        return Known { uri: Some("stillframe".to_string()), ..Known::default() };
    }
    Known::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(report: Value, scanner: Option<&str>) -> Result<Value> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), report.to_string()).unwrap();
        predicate(file.path(), scanner)
    }

    #[test]
    fn reports_say_who_wrote_them() {
        let sarif = json!({ "version": "2.1.0", "runs": [{
            "tool": { "driver": { "name": "Scanner", "informationUri": "https://scanner.test", "version": "1.2" } },
            "invocations": [{ "executionSuccessful": true, "endTimeUtc": "2026-01-02T03:04:05Z" }],
        }] });
        let found = of(sarif.clone(), None).unwrap();
        assert_eq!(found["scanner"]["uri"], "https://scanner.test");
        assert_eq!(found["scanner"]["version"], "1.2");
        assert_eq!(found["scanner"]["result"], sarif);
        assert_eq!(found["metadata"], json!({ "scanFinishedOn": "2026-01-02T03:04:05Z" }));
        let grype = json!({ "matches": [], "descriptor": { "name": "grype", "version": "0.80.0" } });
        assert_eq!(of(grype, None).unwrap()["scanner"]["uri"], "https://github.com/anchore/grype");
        let trivy = json!({ "SchemaVersion": 2, "ArtifactName": "x", "CreatedAt": "2026-01-02T03:04:05Z" });
        assert_eq!(of(trivy.clone(), None).unwrap()["metadata"]["scanFinishedOn"], "2026-01-02T03:04:05Z");
        assert_eq!(of(trivy, Some("https://x.test@2")).unwrap()["scanner"]["uri"], "https://x.test@2");
    }

    #[test]
    fn what_is_a_predicate_already_stays() {
        let whole = json!({ "scanner": { "uri": "x", "result": { "a": 1 } }, "metadata": {} });
        assert_eq!(of(whole.clone(), None).unwrap(), whole);
    }

    #[test]
    fn what_says_nothing_needs_a_name() {
        assert_eq!(of(json!({ "odd": true }), None).unwrap_err().kind().exit_code(), 2);
        assert_eq!(of(json!({ "odd": true }), Some("x")).unwrap()["scanner"]["uri"], "x");
        let statement = json!({ "_type": "https://in-toto.io/Statement/v1", "predicate": {} });
        assert_eq!(of(statement, Some("x")).unwrap_err().kind().exit_code(), 2);
    }
}
