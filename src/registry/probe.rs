//! Stage 4: what a registry is and what it can do, for `doctor` and `login`. A registry or repository in, answers in words out; never a
//! secret. Nothing is left behind: an upload that is begun is given up again, and only what is not there is deleted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::credentials::Look;
use super::hosts::Endpoint;
use super::manifests::Which;
use super::mount::Mount;
use super::origin::is_loopback;
use super::referrers::lacks_api;
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
    /// What to do about it, where something can be done.
    pub next: Vec<String>,
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
        all.push(self.try_delete(&endpoint, repository).await);
        self.0.cancel.check()?;
        Ok(all)
    }

    async fn try_head(&self, endpoint: &Endpoint, tag: &Tag) -> (Ability, Option<Digest>) {
        let ability = |can, told: String| Ability { name: "manifest HEAD", can, told, next: Vec::new() };
        match self.head_at(endpoint, Which::Tag(tag)).await {
            Ok(Some(Some(digest))) => (ability(Can::Yes, format!("`{tag}` is {digest}")), Some(digest)),
            Ok(Some(None)) => (ability(Can::Yes, format!("there is no tag `{tag}`, or you may not see it")), None),
            Ok(None) => (ability(Can::No, "it names no digest; manifests are fetched to hash them".into()), None),
            Err(error) => (unsure("manifest HEAD", &error), None),
        }
    }

    async fn try_referrers(&self, endpoint: &Endpoint, digest: Digest) -> Ability {
        let name = "referrers API";
        let asked = async {
            let scopes = endpoint.pull();
            let mut call = endpoint.call(Method::GET, &format!("referrers/{digest}"), &scopes)?;
            call.headers.insert(ACCEPT, HeaderValue::from_static(media::INDEX));
            self.0.fetch(&call, super::tags::MOST_BYTES).await
        };
        let reply = match asked.await {
            Ok(reply) => reply,
            Err(error) => return unsure(name, &error),
        };
        let answers = format!("it answers {}", reply.status.as_u16());
        if lacks_api(&reply) {
            return ability(name, Can::No, &format!("{answers}; the tag scheme is used"));
        }
        if reply.status != StatusCode::OK {
            return unsure(name, &reply.refusal());
        }
        match Document::read(&reply.body, None, "the list of referrers") {
            Ok(Document::Index(_)) => ability(name, Can::Yes, "it answers with a list"),
            _ => ability(name, Can::Unknown, &format!("{answers}, but not with a list")),
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
                return Ok(reply);
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
            Ok(reply) if reply.status.is_success() => ability(name, Can::Yes, "a piece was taken and given up again"),
            Ok(reply) => refused(name, &reply.refusal()),
            Err(error) => unsure(name, &error),
        }
    }

    /// Deletes a manifest that is not there: a registry that lets nobody delete says so before it looks.
    async fn try_delete(&self, endpoint: &Endpoint, repository: &Repository) -> Ability {
        let name = "delete";
        if let Ok(Grant::Scopes(scopes)) = self.granted(repository).await {
            let may = |scope: &String| scope.contains("delete") || scope.ends_with(":*");
            return match scopes.iter().any(may) {
                true => ability(name, Can::Yes, "the token allows it; it was not tried"),
                false => ability(name, Can::No, "the token does not allow it"),
            };
        }
        let tried = async {
            let scopes = Scopes::repository(&endpoint.path, "pull,push,delete");
            let call = endpoint.call(Method::DELETE, &format!("manifests/{}", Digest::of(PIECE)), &scopes)?;
            self.0.fetch(&call, failure::MOST_BYTES).await
        };
        let reply = match tried.await {
            Ok(reply) => reply,
            Err(error) => return unsure(name, &error),
        };
        let looked = failure::said(&reply.body).iter().any(|said| said.code == "MANIFEST_UNKNOWN");
        match reply.status {
            StatusCode::NOT_FOUND if looked => ability(name, Can::Yes, "it looked for a manifest that is not there"),
            StatusCode::ACCEPTED => ability(name, Can::Yes, "it accepted that for a manifest that is not there"),
            StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => refused(name, &reply.refusal()),
            _ => unsure(name, &reply.refusal()),
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
            Ok(Mount::Done) => ability(name, Can::Yes, "a blob was mounted from the repository itself"),
            Ok(Mount::Opened) => ability(name, Can::No, "an upload was opened instead; layers are sent"),
            Ok(Mount::Refused(error)) => refused(name, &error),
            Err(error) => unsure(name, &error),
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

fn ability(name: &'static str, can: Can, told: &str) -> Ability {
    Ability { name, can, told: told.to_string(), next: Vec::new() }
}

fn unknown(name: &'static str, told: &str) -> Ability {
    ability(name, Can::Unknown, told)
}

/// The registry said no.
fn refused(name: &'static str, error: &Error) -> Ability {
    failed(name, Can::No, error)
}

/// It could not be found out, which is never the same as no.
fn unsure(name: &'static str, error: &Error) -> Ability {
    failed(name, Can::Unknown, error)
}

fn failed(name: &'static str, can: Can, error: &Error) -> Ability {
    let told: Vec<String> = std::iter::once(error.message().to_string()).chain(error.causes()).collect();
    Ability { name, can, told: told.join(": "), next: error.hints().to_vec() }
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
