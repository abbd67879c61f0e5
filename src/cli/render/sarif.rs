//! Stage 10: findings as SARIF 2.1.0, which code-scanning services read. Values in, a document out. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::error::{Error, Finding, Place, Report, Severity, printable};
use crate::manifest::rules::{self, Level, Rule};
use crate::oci::Digest;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The log of one run: what was found, what was said, and what ended it, if something did.
pub fn sarif(report: &Report, notes: &[String], failure: Option<&Error>) -> Value {
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    report.all().iter().for_each(|finding| *codes.entry(finding.code).or_default() = 0);
    let descriptors: Vec<Value> = codes
        .iter_mut()
        .enumerate()
        .map(|(at, (code, index))| {
            *index = at;
            rules::rule(code).map_or_else(|| json!({ "id": code }), descriptor)
        })
        .collect();
    let results: Vec<Value> = report.all().iter().map(|finding| result(finding, codes[finding.code])).collect();
    let mut said: Vec<Value> = notes.iter().map(|note| notification("note", note)).collect();
    // Findings that end the work are results; anything else ended the run itself.
    let broken = failure.filter(|error| error.report().is_none());
    if let Some(error) = broken {
        let whole: Vec<String> = [error.message().to_string()].into_iter().chain(error.causes()).collect();
        said.push(notification("error", &whole.join(": ")));
    }
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "stillframe",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": descriptors,
            } },
            "invocations": [{
                "executionSuccessful": broken.is_none(),
                "exitCode": failure.map_or(0, |error| error.kind().exit_code()),
                "toolExecutionNotifications": said,
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn descriptor(rule: &'static Rule) -> Value {
    let level = match rule.default {
        Level::Deny => "error",
        Level::Warn => "warning",
        Level::Allow => "none",
    };
    json!({
        "id": rule.code,
        "shortDescription": { "text": rule.about },
        "fullDescription": { "text": rule.why },
        "help": { "text": rule.why, "markdown": rule.why },
        "defaultConfiguration": { "level": level, "enabled": rule.default != Level::Allow },
    })
}

fn notification(level: &str, text: &str) -> Value {
    json!({ "level": level, "message": { "text": printable(text) } })
}

fn result(finding: &Finding, index: usize) -> Value {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let message = printable(&finding.message);
    let help: Vec<String> = finding.help.iter().map(|help| format!("\n{}", printable(help))).collect();
    let path = finding.place.as_ref().map_or("", |(place, _)| place.text.path.as_str());
    let print = Digest::of([finding.code, path, &message].join("\0").as_bytes());
    let mut result = json!({
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": level,
        "message": { "text": message + &help.concat() },
        "partialFingerprints": { "stillframe/v1": print.hex() },
    });
    if let Some((place, label)) = &finding.place {
        result["locations"] = json!([location(place, label)]);
    }
    if !finding.related.is_empty() {
        result["relatedLocations"] = finding.related.iter().map(|(place, label)| location(place, label)).collect();
    }
    if let Some(reason) = &finding.allowed {
        result["suppressions"] = json!([{ "kind": "inSource", "justification": printable(reason) }]);
    }
    result
}

fn location(place: &Place, label: &str) -> Value {
    let (line, column) = place.line_column();
    let end = Place { text: place.text.clone(), span: place.span.end..place.span.end };
    let (end_line, end_column) = end.line_column();
    let mut location = json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(&place.text.path) },
        "region": { "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column },
    } });
    if !label.is_empty() {
        location["message"] = json!({ "text": printable(label) });
    }
    location
}

/// A path as a URI: relative to where the program runs, or of the file scheme.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let encode = |byte: u8| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let encoded: String = path.bytes().map(encode).collect();
    if path.starts_with('/') { format!("file://{encoded}") } else { encoded }
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_are_uris() {
        let check = |path: &str, expect: &str| assert_eq!(uri(path), expect);
        check("image.toml", "image.toml");
        check("./a b/image.toml", "a%20b/image.toml");
        check("/srv/ä:/image.toml", "file:///srv/%C3%A4%3A/image.toml");
        check("../image.toml", "../image.toml");
    }
}
