//! Stage 8: what was found in an image, as JSON. A judged scan in, a document out. Pure.

use serde_json::{Value, json};

use super::judge::{Judged, Verdict};
use super::matches::Vulnerability;

/// All that was found, with what is done about it.
pub fn document(judged: &Judged) -> Value {
    let scan = &judged.scan;
    let pairs = scan.vulnerabilities.iter().zip(&judged.verdicts);
    json!({
        "packages": scan.contents.asked.len(),
        "vulnerabilities": pairs.map(|(one, verdict)| vulnerability(one, verdict)).collect::<Vec<_>>(),
        "unknown": scan.unknown(),
        "notAsked": scan.contents.private,
        "refused": judged.denies(),
        "database": {
            "path": scan.database.path,
            "records": scan.database.records,
            "newest": scan.database.newest,
        },
    })
}

fn vulnerability(one: &Vulnerability, verdict: &Verdict) -> Value {
    let part = |(name, version, purl): &(String, String, Option<String>)| json!({ "name": name, "version": version, "purl": purl });
    let verdict = match verdict {
        Verdict::Deny => json!({ "what": "deny" }),
        Verdict::Tell => json!({ "what": "tell" }),
        Verdict::Allowed(reason, until) => {
            json!({ "what": "allowed", "reason": reason, "until": until.map(|day| day.to_string()) })
        }
        Verdict::Cleared(status, why, from) => {
            json!({ "what": "cleared", "status": status, "justification": why, "document": from })
        }
    };
    json!({
        "id": one.id,
        "names": one.names,
        "upstream": one.upstream,
        "severity": one.gravity.rating.map(|rating| rating.name()),
        "score": one.gravity.score,
        "vector": one.gravity.vector,
        "informational": one.gravity.informational,
        "package": {
            "ecosystem": one.package.ecosystems.first(),
            "name": one.package.name,
            "version": one.package.version,
        },
        "installed": one.seen.parts.iter().map(part).collect::<Vec<_>>(),
        "programs": one.seen.programs,
        "fixed": one.fixed,
        "summary": one.summary,
        "page": one.page,
        "unsure": one.unsure,
        "verdict": verdict,
    })
}
