//! Stage 8: which services sign. A signing config of sigstore in, the services to ask out, as its selectors want it (ANY, ALL, EXACT).
//! Pure but for the clock that the sigstore crates read.

use std::collections::BTreeMap;

use sigstore_trust_root::{ServiceConfiguration, ServiceEndpoint, ServiceSelector, SigningConfig};

use crate::error::{Error, Result};
use crate::trust::root::Roots;

/// The services that take part in a signature.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// The certificate authority (Fulcio).
    pub authority: Option<String>,
    /// Where people sign in.
    pub issuer: Option<String>,
    /// The logs that bundles go to.
    pub logs: Choice,
    /// The logs that give promises (Rekor v1), which legacy signatures need.
    pub promising: Choice,
    /// The timestamp authorities.
    pub stamps: Choice,
}

/// Services of one kind: so many of them must take part, the first ones where they can.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Those that may, best first, one for each operator.
    pub all: Vec<Service>,
    /// How many must.
    pub count: usize,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its address.
    pub url: String,
    /// The generation of its API.
    pub version: u32,
}

impl Services {
    /// The services that the signing config names which came with these roots.
    pub fn of(roots: &Roots) -> Result<Services> {
        let config = roots.signing.as_ref().ok_or_else(|| {
            Error::usage(format!("`{}` does not say which services sign", roots.from))
                .hint("name a signing config with `--signing-config FILE`, or a client trust config with `--trusted-root FILE`")
        })?;
        Services::new(config)
    }

    /// The services of a signing config.
    fn new(config: &SigningConfig) -> Result<Services> {
        let logs = choice(&config.rekor_tlog_config, config.eligible_rekor_urls(None), "transparency log")?;
        // Where the config asks for more of these than there are, there are no promises to be had.
        let promising = choice(&config.rekor_tlog_config, config.eligible_rekor_urls(Some(1)), "transparency log");
        Ok(Services {
            authority: config.fulcio_url().map(|service| service.url.clone()),
            issuer: config.oidc_url().map(|service| service.url.clone()),
            logs,
            promising: promising.unwrap_or_default(),
            stamps: choice(&config.tsa_config, config.eligible_tsa_urls(), "timestamp authority")?,
        })
    }
}

impl Choice {
    /// Whether nobody is asked.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Who is asked first.
    pub fn first(&self) -> Option<&Service> {
        self.all.first().filter(|_| !self.is_empty())
    }
}

fn choice(config: &ServiceConfiguration, eligible: Vec<&ServiceEndpoint>, what: &str) -> Result<Choice> {
    let mut best: BTreeMap<&str, &ServiceEndpoint> = BTreeMap::new();
    let rank = |service: &ServiceEndpoint| (service.major_api_version, service.valid_for.start);
    for service in eligible {
        let known = best.entry(service.operator.as_deref().unwrap_or(&service.url)).or_insert(service);
        if rank(service) > rank(known) {
            *known = service;
        }
    }
    let mut all: Vec<&ServiceEndpoint> = best.into_values().collect();
    all.sort_by_key(|service| std::cmp::Reverse(rank(service)));
    let wrong = |why: String| Err(Error::usage(format!("the signing config {why}")));
    let count = match (config.selector, config.count) {
        _ if all.is_empty() && config.selector != ServiceSelector::Exact => 0,
        (ServiceSelector::Any, _) => 1,
        (ServiceSelector::All, _) => all.len(),
        (ServiceSelector::Exact, Some(count)) if count as usize <= all.len() => count as usize,
        (ServiceSelector::Exact, count) => {
            let count = count.map_or("no number".to_string(), |count| count.to_string());
            return wrong(format!("wants exactly {count} of a {what}, and has {} that can be used", all.len()));
        }
        _ => return wrong(format!("does not say how many of a {what} must take part")),
    };
    let service = |found: &ServiceEndpoint| Service { url: found.url.clone(), version: found.major_api_version };
    Ok(Choice { all: all.into_iter().map(service).collect(), count })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn services(logs: Value, rule: Value) -> Result<Services> {
        let kind = "application/vnd.dev.sigstore.signingconfig.v0.2+json";
        let config = json!({ "mediaType": kind, "rekorTlogUrls": logs, "rekorTlogConfig": rule });
        Services::new(&SigningConfig::from_json(&config.to_string()).unwrap())
    }

    fn log(url: &str, version: u32, operator: &str, start: &str) -> Value {
        json!({ "url": url, "majorApiVersion": version, "operator": operator, "validFor": { "start": start } })
    }

    #[test]
    fn one_for_each_operator_is_taken_and_as_many_as_the_selector_says() {
        let logs = json!([
            log("https://a1.test", 1, "a", "2024-01-01T00:00:00Z"),
            log("https://a2.test", 2, "a", "2024-01-01T00:00:00Z"),
            log("https://b-old.test", 1, "b", "2023-01-01T00:00:00Z"),
            log("https://b-new.test", 1, "b", "2024-01-01T00:00:00Z"),
            log("https://later.test", 2, "c", "2999-01-01T00:00:00Z"),
        ]);
        let urls = |choice: &Choice| choice.all.iter().map(|log| log.url.clone()).collect::<Vec<_>>();
        for (rule, count) in [
            (json!({ "selector": "ANY" }), Some(1)),
            (json!({}), Some(1)),
            (json!({ "selector": "ALL" }), Some(2)),
            (json!({ "selector": "EXACT", "count": 2 }), Some(2)),
            (json!({ "selector": "EXACT", "count": 3 }), None),
            (json!({ "selector": "EXACT" }), None),
            (json!({ "selector": "SERVICE_SELECTOR_UNDEFINED" }), None),
        ] {
            let found = services(logs.clone(), rule.clone());
            assert_eq!(found.as_ref().ok().map(|found| found.logs.count), count, "{rule}");
            let Ok(found) = found else { continue };
            assert_eq!(urls(&found.logs), ["https://a2.test", "https://b-new.test"]);
            let promising = urls(&found.promising);
            assert!(
                promising.contains(&"https://a1.test".to_string())
                    && !promising.contains(&"https://a2.test".to_string())
            );
        }
        assert!(services(json!([]), json!({})).unwrap().logs.is_empty());
        let only_tiles = json!([log("https://a2.test", 2, "a", "2024-01-01T00:00:00Z")]);
        assert!(services(only_tiles, json!({})).unwrap().promising.is_empty());
    }
}
