//! Stage 4: what a registry is and what it can do, for `doctor` and `login`. A registry or repository in, answers in words out; never a
//! secret. Nothing is left behind: an upload that is begun is given up again, nothing is deleted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::credentials::Look;
use super::hosts::Endpoint;
use super::manifests::Which;
use super::origin::is_loopback;
use super::scope::Scopes;
use super::wire::{Call, Payload};
use super::{Client, challenge, failure};
use crate::error::{Error, Result};
use crate::oci::{Digest, Document, Registry, Repository, Tag, media};

/// Longest token that is looked into, in bytes.
const MOST_TOKEN: usize = 64 << 10;
/// What is sent into an upload that is given up.
const PIECE: &[u8] = b"stillframe doctor";

/// How a registry is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The URL of its API.
    pub url: String,
    /// `https` or `http`, and why.
    pub transport: String,
    /// Who is asked before it, in order.
    pub mirrors: Vec<String>,
}

/// How a registry answers at its door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// The way in which it asks for a credential, as in `bearer (https://auth.test/token)`; `None` where it asks for none.
    pub challenge: Option<String>,
    /// The status once the credential was shown.
    pub status: u16,
}

/// Whether something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Can {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// That cannot be known.
    Unknown,
}

/// Something a registry may be able to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ability {
    /// What.
    pub name: &'static str,
    /// Whether.
    pub can: Can,
    /// How that is known, or why not.
    pub told: String,
}

/// What a token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// There is no token: the registry asks for none, or for a password each time.
    NoToken,
    /// The token keeps it to itself.
    Opaque,
    /// These rights, as in `repository:acme/app:pull,push`.
    Scopes(Vec<String>),
}

impl Client {
    /// How a registry is reached, and why so.
    pub fn way(&self, registry: &Registry) -> Way {
        let hosts = &self.0.settings.hosts;
        let home = hosts.home(registry);
        let declared = hosts.host(registry.as_str());
        let mut transport = if home.origin.tls { "https" } else { "http" }.to_string();
        transport += match declared.and_then(|host| host.http) {
            Some(_) => ", as `registries.toml` says",
            None if is_loopback(&home.origin.host) => ", because it is on this machine",
            None => ", as always where nothing else is declared",
        };
        if let Some(host) = declared {
            let insecure = host.insecure.then(|| "its certificate is not checked (`insecure`)".to_string());
            let ca = host.ca.as_ref().map(|path| format!("authorities of `{}` too", path.display()));
            let client = host.client.as_ref().map(|(path, _)| format!("with the certificate `{}`", path.display()));
            for more in [insecure, ca, client].into_iter().flatten() {
                transport += &format!("; {more}");
            }
        }
        let scheme = if home.origin.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}:{}/v2/", home.origin.host, home.origin.port);
        let mirror = |(registry, prefix): &(Registry, String)| match prefix.as_str() {
            "" => registry.to_string(),
            prefix => format!("{registry}/{prefix}"),
        };
        Way { url, transport, mirrors: declared.iter().flat_map(|host| host.mirrors.iter().map(mirror)).collect() }
    }

    /// How the credential for a repository is looked for.
    pub async fn trail(&self, registry: &Registry, path: &str) -> Vec<Look> {
        let settings = &self.0.settings;
        settings.credentials.trail(registry, path, settings.patience.helper).await
    }

    /// Knocks at a registry's door, first without a credential and then with it. A credential that is not taken is an error.
    pub async fn ping(&self, registry: &Registry) -> Result<Ping> {
        let home = self.0.settings.hosts.home(registry);
        let scopes = Scopes::default();
        let leg = home.leg("/v2/")?;
        let (headers, payload) = (HeaderMap::new(), Payload::None);
        let call = Call { method: Method::GET, leg, home: &home, path: "", scopes: &scopes, headers, payload };
        let first = self.0.send(&call, &call.leg, None).await.map_err(super::retry::Stop::into_error)?;
        let texts = first.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let asked = challenge::read(texts);
        let wants = first.status == StatusCode::UNAUTHORIZED;
        let shown = asked.first().filter(|_| wants).map(|one| match one.parameter("realm") {
            Some(realm) if one.scheme == "bearer" => format!("bearer ({})", failure::shown(realm)),
            _ => failure::shown(&one.scheme),
        });
        drop(first);
        let reply = self.0.fetch(&call, failure::MOST_BYTES).await?;
        match reply.status {
            StatusCode::OK => Ok(Ping { challenge: shown, status: reply.status.as_u16() }),
            _ => Err(reply.refusal()),
        }
    }

    /// What our token for a repository allows, as far as it says so itself.
    pub async fn granted(&self, repository: &Repository) -> Result<Grant> {
        let endpoint = self.writer(repository);
        let scopes = Scopes::repository(&endpoint.path, "pull,push,delete");
        let call = endpoint.call(Method::GET, "tags/list", &scopes)?;
        let word = self.0.authorization(&call).await.map_err(super::retry::Stop::into_error)?;
        let text = word.as_ref().and_then(|word| word.to_str().ok()).and_then(|text| text.strip_prefix("Bearer "));
        Ok(text.map_or(Grant::NoToken, |token| claims(token).map_or(Grant::Opaque, Grant::Scopes)))
    }

    /// What a repository's registry can do, tried one after the other.
    pub async fn abilities(&self, repository: &Repository, tag: Option<&Tag>) -> Result<Vec<Ability>> {
        let endpoint = self.writer(repository);
        let usual: Tag = "latest".parse()?;
        let tag = tag.unwrap_or(&usual);
        let (head, digest) = self.try_head(&endpoint, tag).await;
        let mut all = vec![head];
        all.push(self.try_referrers(&endpoint, digest.unwrap_or(Digest::of(b""))).await);
        all.push(self.try_upload(&endpoint).await);
        all.push(self.try_mount(&endpoint, repository, tag).await);
        all.push(unknown("immutable tags", "a registry does not say so before a tag is to be moved"));
        all.push(match self.granted(repository).await {
            Ok(Grant::Scopes(scopes))
                if scopes.iter().any(|scope| scope.contains("delete") || scope.ends_with(":*")) =>
            {
                Ability { name: "delete", can: Can::Yes, told: "the token allows it; it was not tried".into() }
            }
            Ok(Grant::Scopes(_)) => {
                Ability { name: "delete", can: Can::No, told: "the token does not allow it".into() }
            }
            _ => unknown("delete", "only deleting something would tell"),
        });
        self.0.cancel.check()?;
        Ok(all)
    }

    async fn try_head(&self, endpoint: &Endpoint, tag: &Tag) -> (Ability, Option<Digest>) {
        let ability = |can, told: String| Ability { name: "manifest HEAD", can, told };
        match self.head_at(endpoint, Which::Tag(tag)).await {
            Ok(Some(Some(digest))) => (ability(Can::Yes, format!("`{tag}` is {digest}")), Some(digest)),
            Ok(Some(None)) => (ability(Can::Yes, format!("there is no tag `{tag}`, or you may not see it")), None),
            Ok(None) => (ability(Can::No, "it names no digest; manifests are fetched to hash them".into()), None),
            Err(error) => (failed("manifest HEAD", &error), None),
        }
    }

    async fn try_referrers(&self, endpoint: &Endpoint, digest: Digest) -> Ability {
        let ability = |can, told: String| Ability { name: "referrers API", can, told };
        let asked = async {
            let scopes = endpoint.pull();
            let mut call = endpoint.call(Method::GET, &format!("referrers/{digest}"), &scopes)?;
            call.headers.insert(ACCEPT, HeaderValue::from_static(media::INDEX));
            self.0.fetch(&call, super::tags::MOST_BYTES).await
        };
        match asked.await {
            Ok(reply) if reply.status == StatusCode::OK => match Document::read(&reply.body, None, "the list") {
                Ok(Document::Index(_)) => ability(Can::Yes, "it answers with a list".into()),
                _ => ability(Can::No, "its answer is no list; the tag scheme is used".into()),
            },
            Ok(reply) => ability(Can::No, format!("it answers {}; the tag scheme is used", reply.status.as_u16())),
            Err(error) => failed("referrers API", &error),
        }
    }

    /// Opens an upload, sends a few bytes and gives it up.
    async fn try_upload(&self, endpoint: &Endpoint) -> Ability {
        let name = "chunked upload";
        let tried = async {
            let scopes = endpoint.push();
            let begin = endpoint.call(Method::POST, "blobs/uploads/", &scopes)?;
            let reply = self.0.fetch(&begin, failure::MOST_BYTES).await?;
            if reply.status != StatusCode::ACCEPTED {
                return Err(reply.refusal());
            }
            let mut call = Call { method: Method::PATCH, leg: self.located(endpoint, &reply).await?, ..begin.clone() };
            call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            let range = HeaderValue::from_str(&format!("0-{}", PIECE.len() - 1));
            call.headers.insert(CONTENT_RANGE, range.map_err(|_| Error::bug("a range cannot be sent"))?);
            call.payload = Payload::Bytes(Bytes::from_static(PIECE));
            let sent = self.0.fetch(&call, failure::MOST_BYTES).await;
            let last = sent.as_ref().ok().filter(|sent| sent.header("location").is_some()).unwrap_or(&reply);
            self.give_up(endpoint, &begin, last).await;
            sent
        };
        match tried.await {
            Ok(reply) if reply.status.is_success() => {
                Ability { name, can: Can::Yes, told: "a piece was taken and given up again".into() }
            }
            Ok(reply) => failed(name, &reply.refusal()),
            Err(error) => failed(name, &error),
        }
    }

    /// Mounts a blob of the repository from the repository itself, which changes nothing.
    async fn try_mount(&self, endpoint: &Endpoint, repository: &Repository, tag: &Tag) -> Ability {
        let name = "mount";
        let found = match self.manifest_at(endpoint, Which::Tag(tag)).await {
            Ok(Some(found)) => found,
            _ => return unknown(name, "there is nothing in the repository to try it with"),
        };
        let blob = match Document::read(&found.bytes, found.media_type.as_deref(), "the manifest") {
            Ok(Document::Manifest(manifest)) => Some(manifest.config.digest),
            Ok(Document::Index(index)) => match index.manifests.first() {
                Some(child) => self.config_of(endpoint, &child.digest).await,
                None => None,
            },
            Err(_) => None,
        };
        let Some(blob) = blob else { return unknown(name, "there is no blob in the repository to try it with") };
        match self.mount_at(endpoint, &blob, repository).await {
            Ok(true) => Ability { name, can: Can::Yes, told: "a blob was mounted from the repository itself".into() },
            Ok(false) => Ability { name, can: Can::No, told: "an upload was opened instead; layers are sent".into() },
            Err(error) => failed(name, &error),
        }
    }

    async fn config_of(&self, endpoint: &Endpoint, child: &Digest) -> Option<Digest> {
        let found = self.manifest_at(endpoint, Which::Digest(child)).await.ok()??;
        match Document::read(&found.bytes, found.media_type.as_deref(), "the manifest").ok()? {
            Document::Manifest(manifest) => Some(manifest.config.digest),
            Document::Index(_) => None,
        }
    }
}

fn unknown(name: &'static str, told: &str) -> Ability {
    Ability { name, can: Can::Unknown, told: told.to_string() }
}

fn failed(name: &'static str, error: &Error) -> Ability {
    Ability {
        name,
        can: Can::No,
        told: std::iter::once(error.message().to_string()).chain(error.causes()).collect::<Vec<_>>().join(": "),
    }
}

/// The scopes that a token names in its claims (distribution, "Token Authentication Implementation", `access`); `None` where it is no JWT.
fn claims(token: &str) -> Option<Vec<String>> {
    let payload = token.split('.').nth(1).filter(|payload| payload.len() <= MOST_TOKEN)?;
    let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()?;
    let scope = |one: &Value| {
        let text = |key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default();
        let actions: Vec<&str> = one.get("actions")?.as_array()?.iter().filter_map(Value::as_str).collect();
        Some(failure::shown(&format!("{}:{}:{}", text("type"), text("name"), actions.join(","))))
    };
    Some(value.get("access")?.as_array()?.iter().filter_map(scope).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_its_scopes_and_nothing_else() {
        let payload = r#"{"sub":"canary","access":[{"type":"repository","name":"a/b","actions":["pull","push"]}]}"#;
        let token = format!("x.{}.y", URL_SAFE_NO_PAD.encode(payload));
        assert_eq!(claims(&token), Some(vec!["repository:a/b:pull,push".to_string()]));
        for opaque in ["", "opaque", "a.b.c", "x.e30.y"] {
            assert_eq!(claims(opaque), None, "{opaque}");
        }
    }
}
