//! Stage 4: connections. A leg and what is declared about its host in, an HTTP client for it out. Reads the certificate files that
//! `registries.toml` names, the system's certificate authorities (`SSL_CERT_FILE`) and the names of proxies (`HTTPS_PROXY` …).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Identity, Url, redirect};

use super::failure::chain;
use super::hosts::{Host, read_bounded};
use super::origin::{Home, Leg, Origin, Range, is_loopback};
use super::settings::{Names, Settings};
use crate::error::{Error, Result};

/// Idle connections kept for each host.
const MOST_IDLE: usize = 6;
/// Most header lines of an answer.
const MOST_HEADERS: usize = 200;

/// The HTTP clients that were made so far, one for each way to connect.
#[derive(Default)]
pub(super) struct Transports(Mutex<BTreeMap<Key, reqwest::Client>>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    tls: bool,
    loopback: bool,
    /// The declared host whose certificates count.
    declared: Option<String>,
    guard: Option<String>,
    /// The names of proxies, which may lead into any network: the user named them.
    proxies: Vec<String>,
}

impl Transports {
    /// The client for a leg.
    pub fn client(&self, settings: &Settings, home: &Home, leg: &Leg) -> Result<reqwest::Client> {
        let origin = Origin::of(&leg.url).ok_or_else(|| Error::bug("a leg is neither http nor https"))?;
        let name = if leg.own { home.name.clone() } else { origin.name() };
        let host = settings.hosts.host(&name).filter(|_| origin.tls);
        let key = Key {
            tls: origin.tls,
            loopback: is_loopback(&origin.host),
            declared: host.is_some().then_some(name),
            guard: leg.guard.as_ref().map(|ranges| format!("{ranges:?}")),
            // What a server leads to is not free of the guard because it has a proxy's name.
            proxies: proxies(settings).into_iter().filter(|name| *name != origin.host).collect(),
        };
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = finish(builder(settings, &key, host, leg.guard.clone())?)?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

impl super::Client {
    /// A client for a service beside registries (a transparency log, a TUF mirror …) at this address: the same trust, proxies and
    /// patience, no redirects, no credentials, no decoding.
    pub fn service(&self, url: &str) -> Result<reqwest::Client> {
        let settings = &self.0.settings;
        let wrong = || Error::usage(format!("`{}` is not the URL of a service", url.escape_debug()));
        let origin = reqwest::Url::parse(url).ok().and_then(|url| Origin::of(&url)).ok_or_else(wrong)?;
        if settings.offline {
            return Err(Error::remote(format!("`{}` is not asked, because of `--offline`", origin.name())));
        }
        let host = settings.hosts.host(&origin.name()).filter(|_| origin.tls);
        let key = Key {
            tls: origin.tls,
            loopback: is_loopback(&origin.host),
            declared: None,
            guard: None,
            proxies: Vec::new(),
        };
        let patience = &settings.patience;
        // A log answers when it has taken the entry in, which may take long.
        let quiet = patience.connect + patience.idle;
        finish(builder(settings, &key, host, None)?.timeout(patience.answer).read_timeout(quiet))
    }
}

fn builder(
    settings: &Settings,
    key: &Key,
    host: Option<&Host>,
    guard: Option<Vec<Range>>,
) -> Result<reqwest::ClientBuilder> {
    // HTTP/1.1 only: uploads over HTTP/2 stall in some registries' windows. No decoding: digests are of the bytes as sent.
    let mut builder = reqwest::Client::builder()
        .user_agent(&settings.agent)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_gzip()
        .no_deflate()
        .no_brotli()
        .no_zstd()
        .http1_only()
        .http1_max_headers(MOST_HEADERS)
        .pool_max_idle_per_host(MOST_IDLE)
        .connect_timeout(settings.patience.connect)
        .dns_resolver(Arc::new(Lookup { names: settings.names.clone(), guard, proxies: key.proxies.clone() }));
    if key.loopback || !settings.proxies {
        builder = builder.no_proxy();
    }
    if !key.tls {
        // No certificate is ever looked at, so none need be there.
        builder = builder.tls_certs_only([]);
    } else if let Some(host) = host {
        builder = declared(builder, host)?;
    }
    Ok(builder)
}

fn finish(builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
    builder.build().map_err(|cause| {
        let missing = chain(&cause).contains("No CA certificates");
        let error = Error::local("setting up TLS failed").because(cause);
        if missing {
            error.hint("install the system's certificate authorities (`ca-certificates`), or point `SSL_CERT_FILE` at a PEM file")
        } else {
            error
        }
    })
}

fn declared(mut builder: reqwest::ClientBuilder, host: &Host) -> Result<reqwest::ClientBuilder> {
    let read = |path: &std::path::Path| {
        read_bounded(path)?
            .ok_or_else(|| Error::usage(format!("`{}` is not there, but `registries.toml` names it", path.display())))
    };
    if let Some(path) = &host.ca {
        let wrong = |cause| Error::usage(format!("`{}` does not hold PEM certificates", path.display())).because(cause);
        let certificates = Certificate::from_pem_bundle(&read(path)?).map_err(wrong)?;
        if certificates.is_empty() {
            return Err(Error::usage(format!("`{}` does not hold PEM certificates", path.display())));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some((certificate, key)) = &host.client {
        let mut pem = read(key)?;
        pem.push(b'\n');
        pem.extend(read(certificate)?);
        let wrong = || format!("`{}` and `{}` are not a PEM certificate and key", certificate.display(), key.display());
        builder = builder.identity(Identity::from_pem(&pem).map_err(|cause| Error::usage(wrong()).because(cause))?);
    }
    Ok(if host.insecure { builder.tls_danger_accept_invalid_certs(true) } else { builder })
}

/// The hosts of the proxies that the environment names.
fn proxies(settings: &Settings) -> Vec<String> {
    if !settings.proxies {
        return Vec::new();
    }
    let host = |name: &&str| {
        let text = [name.to_string(), name.to_ascii_lowercase()].iter().find_map(|name| std::env::var(name).ok())?;
        let text = if text.contains("://") { text } else { format!("http://{text}") };
        Some(Url::parse(&text).ok()?.host_str()?.to_string())
    };
    ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"].iter().filter_map(host).collect()
}

/// Looks names up; with a guard, a name that leads into a private range does not exist.
struct Lookup {
    names: Names,
    guard: Option<Vec<Range>>,
    proxies: Vec<String>,
}

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard.clone().filter(|_| !self.proxies.iter().any(|proxy| proxy == name.as_str()));
        let names = self.names.clone();
        Box::pin(async move {
            let found = names.resolve(name.as_str()).await?;
            let forbidden = |range: Range| guard.as_ref().is_some_and(|permitted| !permitted.contains(&range));
            if found.iter().filter_map(|(stands, _)| Range::of(*stands)).any(forbidden) {
                return Err("the name leads to a private network, where the registry is not".into());
            }
            Ok(Box::new(found.into_iter().map(|(_, dial)| dial)) as Addrs)
        })
    }
}
