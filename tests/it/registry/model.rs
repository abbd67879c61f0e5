//! The fault registry's memory: what a registry that follows the distribution spec would answer.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stillframe::oci::{Digest, media};

use crate::http::{Request, Response, pairs};

/// How a registry wants to be convinced.
#[derive(Clone, Debug, Default)]
pub enum Guard {
    #[default]
    Open,
    /// User and password.
    Basic(String, String),
    /// Tokens from `realm` (empty: our own `/token`), for this user and password, or for anybody who pulls.
    Bearer { realm: String, user: String, password: String },
}

/// One repository.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    pub blobs: BTreeMap<String, Vec<u8>>,
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub tags: BTreeMap<String, String>,
}

/// All that a registry knows.
#[derive(Debug, Default)]
pub struct Model {
    pub shelves: BTreeMap<String, Shelf>,
    pub uploads: BTreeMap<String, Vec<u8>>,
    pub guard: Guard,
    pub name: String,
    pub scheme: &'static str,
    /// Whether there is a referrers API.
    pub referrers: bool,
    /// Whether mounts work.
    pub mounts: bool,
    /// Whether all tags are immutable.
    pub immutable: bool,
    /// Tags on one page.
    pub page: usize,
    /// The largest body of a PUT or PATCH, and the status for larger ones.
    pub most: Option<(usize, u16)>,
    /// The smallest PATCH but the last.
    pub least: Option<usize>,
    pub tokens: BTreeMap<String, BTreeSet<String>>,
    pub issued: usize,
    pub sessions: usize,
}

impl Model {
    pub fn new() -> Model {
        Model { referrers: true, mounts: true, page: 1000, scheme: "http", ..Model::default() }
    }

    pub fn shelf(&mut self, repository: &str) -> &mut Shelf {
        self.shelves.entry(repository.to_string()).or_default()
    }

    pub fn answer(&mut self, request: &Request) -> Response {
        if request.path == "/token" {
            return self.token(request);
        }
        if request.path == "/v2/" {
            return self.refuse(request, "").unwrap_or_else(|| Response::new(200).body("{}"));
        }
        let Some((repository, kind, rest)) = split(&request.path) else {
            return Response::error(404, "NAME_UNKNOWN");
        };
        if let Some(refusal) = self.refuse(request, &repository) {
            return refusal;
        }
        match (kind, request.method.as_str()) {
            ("manifests", "GET" | "HEAD") => self.get_manifest(&repository, &rest),
            ("manifests", "PUT") => self.put_manifest(&repository, &rest, request),
            ("manifests", "DELETE") => self.delete_manifest(&repository, &rest),
            ("uploads", "POST") => self.begin(&repository, request),
            ("uploads", "GET") => self.status(&repository, &rest),
            ("uploads", "PATCH") => self.patch(&repository, &rest, request),
            ("uploads", "PUT") => self.finish(&repository, &rest, request),
            ("uploads", "DELETE") => {
                self.uploads.remove(&rest);
                Response::new(204)
            }
            ("blobs", "GET" | "HEAD") => self.get_blob(&repository, &rest, request),
            ("tags", "GET") => self.tags(&repository, request),
            ("referrers", "GET") if self.referrers => self.list_referrers(&repository, &rest),
            _ => Response::error(404, "UNSUPPORTED"),
        }
    }

    /// The right that a request needs.
    fn needs(&self, request: &Request, repository: &str) -> BTreeSet<String> {
        if repository.is_empty() {
            return BTreeSet::new();
        }
        let action = match request.method.as_str() {
            "GET" | "HEAD" => "pull",
            "DELETE" if request.path.contains("/manifests/") => "delete",
            _ => "push",
        };
        BTreeSet::from([format!("repository:{repository}:{action}")])
    }

    fn refuse(&self, request: &Request, repository: &str) -> Option<Response> {
        let authorization = request.header("authorization").unwrap_or_default();
        let refusal =
            |challenge: String| Some(Response::error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge));
        match &self.guard {
            Guard::Open => None,
            Guard::Basic(user, password) => {
                let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                if authorization == wanted { None } else { refusal("Basic realm=\"fault registry\"".into()) }
            }
            Guard::Bearer { realm, .. } => {
                let needed = self.needs(request, repository);
                let known = authorization.strip_prefix("Bearer ").and_then(|token| self.tokens.get(token));
                if known.is_some_and(|granted| needed.is_subset(granted)) {
                    return None;
                }
                let realm =
                    if realm.is_empty() { format!("{}://{}/token", self.scheme, self.name) } else { realm.clone() };
                let scope = match needed.iter().next() {
                    Some(scope) if scope.ends_with(":push") => scope.replace(":push", ":pull,push"),
                    Some(scope) => scope.clone(),
                    None => String::new(),
                };
                let error = if known.is_some() { ",error=\"insufficient_scope\"" } else { "" };
                refusal(format!("Bearer realm=\"{realm}\",service=\"fault\",scope=\"{scope}\"{error}"))
            }
        }
    }

    fn token(&mut self, request: &Request) -> Response {
        let Guard::Bearer { user, password, .. } = &self.guard else { return Response::error(404, "UNSUPPORTED") };
        let form = pairs(&String::from_utf8_lossy(&request.body));
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let (scopes, trusted) = if request.method == "POST" {
            let scopes = field("scope").unwrap_or_default().split(' ').map(str::to_string).collect();
            (scopes, field("refresh_token").as_deref() == Some(password))
        } else {
            if request.header("authorization").is_some_and(|given| given != basic) {
                return Response::error(401, "UNAUTHORIZED");
            }
            (request.all("scope"), request.header("authorization") == Some(&*basic))
        };
        if request.method == "POST" && !trusted {
            return Response::error(401, "UNAUTHORIZED");
        }
        let mut granted = BTreeSet::new();
        for scope in &scopes {
            let Some((resource, actions)) = scope.rsplit_once(':') else { continue };
            let actions = actions.split(',').filter(|action| trusted || *action == "pull");
            granted.extend(actions.map(|action| format!("{resource}:{action}")));
        }
        self.issued += 1;
        let token = format!("CANARY-token-{}", self.issued);
        self.tokens.insert(token.clone(), granted);
        Response::new(200)
            .header("Content-Type", "application/json")
            .body(json!({ "token": token, "expires_in": 300 }).to_string())
    }

    fn get_manifest(&mut self, repository: &str, name: &str) -> Response {
        let shelf = self.shelf(repository);
        let digest = shelf.tags.get(name).map(String::as_str).unwrap_or(name).to_string();
        match shelf.manifests.get(&digest) {
            Some((kind, bytes)) => Response::new(200)
                .header("Content-Type", kind)
                .header("Docker-Content-Digest", digest)
                .body(bytes.clone()),
            None => Response::error(404, "MANIFEST_UNKNOWN"),
        }
    }

    fn put_manifest(&mut self, repository: &str, name: &str, request: &Request) -> Response {
        let digest = Digest::of(&request.body).to_string();
        let Ok(value) = serde_json::from_slice::<Value>(&request.body) else {
            return Response::error(400, "MANIFEST_INVALID");
        };
        if name.starts_with("sha256:") && name != digest {
            return Response::error(400, "DIGEST_INVALID");
        }
        let (immutable, referrers) = (self.immutable, self.referrers);
        let location = format!("/v2/{repository}/manifests/{digest}");
        let shelf = self.shelf(repository);
        let digest_of = |value: &Value| value["digest"].as_str().unwrap_or_default().to_string();
        let list = |key: &str| value[key].as_array().cloned().unwrap_or_default();
        let blobs = list("layers").into_iter().chain([value["config"].clone()].into_iter().filter(Value::is_object));
        let missing = blobs
            .map(|blob| digest_of(&blob))
            .find(|digest| !shelf.blobs.contains_key(digest))
            .or_else(|| list("manifests").iter().map(digest_of).find(|digest| !shelf.manifests.contains_key(digest)));
        // A list under a referrers tag may name what is gone.
        if let Some(missing) = missing.filter(|_| !name.starts_with("sha256-")) {
            let body = json!({"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown","detail":{"digest":missing}}]});
            return Response::new(404).body(body.to_string());
        }
        if !name.starts_with("sha256:") {
            if immutable && shelf.tags.contains_key(name) {
                return Response::new(400).body(
                    r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag already exists and is immutable"}]}"#,
                );
            }
            shelf.tags.insert(name.to_string(), digest.clone());
        }
        let kind = request.header("content-type").unwrap_or_default().to_string();
        shelf.manifests.insert(digest.clone(), (kind, request.body.clone()));
        let response = Response::new(201).header("Location", location).header("Docker-Content-Digest", digest);
        match value["subject"]["digest"].as_str().filter(|_| referrers) {
            Some(subject) => response.header("OCI-Subject", subject),
            None => response,
        }
    }

    fn delete_manifest(&mut self, repository: &str, name: &str) -> Response {
        let shelf = self.shelf(repository);
        if shelf.tags.remove(name).is_some() {
            return Response::new(202);
        }
        shelf.tags.retain(|_, digest| digest != name);
        match shelf.manifests.remove(name) {
            Some(_) => Response::new(202),
            None => Response::error(404, "MANIFEST_UNKNOWN"),
        }
    }

    fn get_blob(&mut self, repository: &str, digest: &str, request: &Request) -> Response {
        let Some(bytes) = self.shelf(repository).blobs.get(digest).cloned() else {
            return Response::error(404, "BLOB_UNKNOWN");
        };
        let response = Response::new(200)
            .header("Content-Type", "application/octet-stream")
            .header("Docker-Content-Digest", digest);
        let from =
            request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        match from {
            Some(from) if from < bytes.len() => {
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                let body = bytes[from..].to_vec();
                Response { status: 206, ..response.header("Content-Range", range).body(body) }
            }
            Some(_) => Response::error(416, "RANGE_INVALID"),
            None => response.body(bytes),
        }
    }

    fn begin(&mut self, repository: &str, request: &Request) -> Response {
        if let (Some(digest), Some(from), true) = (request.parameter("mount"), request.parameter("from"), self.mounts) {
            let blob = self.shelf(&from).blobs.get(&digest).cloned();
            let scope = format!("repository:{from}:pull");
            let token = request.header("authorization").and_then(|word| word.strip_prefix("Bearer "));
            let guarded = matches!(self.guard, Guard::Bearer { .. });
            let granted = token.and_then(|token| self.tokens.get(token)).is_some_and(|scopes| scopes.contains(&scope));
            if let Some(blob) = blob.filter(|_| granted || !guarded) {
                self.shelf(repository).blobs.insert(digest.clone(), blob);
                return Response::new(201).header("Docker-Content-Digest", digest);
            }
        }
        self.sessions += 1;
        let session = format!("session-{}", self.sessions);
        self.uploads.insert(session.clone(), Vec::new());
        let response = self.located(202, repository, &session);
        match self.least {
            Some(least) => response.header("OCI-Chunk-Min-Length", least),
            None => response,
        }
    }

    fn located(&self, status: u16, repository: &str, session: &str) -> Response {
        let count = self.uploads.get(session).map_or(0, Vec::len);
        Response::new(status)
            .header("Location", format!("/v2/{repository}/blobs/uploads/{session}?_state=CANARY-state-{count}"))
            .header("Range", format!("0-{}", count.max(1) - 1))
            .header("Docker-Upload-UUID", session)
    }

    fn status(&mut self, repository: &str, session: &str) -> Response {
        match self.uploads.contains_key(session) {
            true => self.located(204, repository, session),
            false => Response::error(404, "BLOB_UPLOAD_UNKNOWN"),
        }
    }

    /// Whether a body is too large, by its head alone.
    pub fn too_large(&self, request: &Request) -> Option<Response> {
        let length: usize = request.header("content-length")?.parse().ok()?;
        let (most, status) = self.most?;
        let sends = matches!(request.method.as_str(), "PUT" | "PATCH") && request.path.contains("/blobs/uploads/");
        (sends && length > most).then(|| Response::error(status, "SIZE_INVALID"))
    }

    fn patch(&mut self, repository: &str, session: &str, request: &Request) -> Response {
        let Some(bytes) = self.uploads.get_mut(session) else { return Response::error(404, "BLOB_UPLOAD_UNKNOWN") };
        if let Some(range) = request.header("content-range") {
            let from = range.split('-').next().and_then(|from| from.parse::<usize>().ok());
            if from != Some(bytes.len()) {
                return Response { status: 416, ..self.located(416, repository, session) };
            }
        }
        bytes.extend_from_slice(&request.body);
        self.located(202, repository, session)
    }

    fn finish(&mut self, repository: &str, session: &str, request: &Request) -> Response {
        let Some(mut bytes) = self.uploads.get(session).cloned() else {
            return Response::error(404, "BLOB_UPLOAD_UNKNOWN");
        };
        bytes.extend_from_slice(&request.body);
        let digest = request.parameter("digest").unwrap_or_default();
        if Digest::of(&bytes).to_string() != digest {
            return Response::error(400, "DIGEST_INVALID");
        }
        self.uploads.remove(session);
        self.shelf(repository).blobs.insert(digest.clone(), bytes);
        Response::new(201)
            .header("Location", format!("/v2/{repository}/blobs/{digest}"))
            .header("Docker-Content-Digest", digest)
    }

    fn tags(&mut self, repository: &str, request: &Request) -> Response {
        let page = request.parameter("n").and_then(|n| n.parse().ok()).unwrap_or(self.page);
        let last = request.parameter("last").unwrap_or_default();
        let shelf = self.shelf(repository);
        let rest: Vec<String> = shelf.tags.keys().filter(|tag| **tag > last).cloned().collect();
        let shown: Vec<String> = rest.iter().take(page).cloned().collect();
        let response = Response::new(200).header("Content-Type", "application/json");
        let response = match shown.last().filter(|_| rest.len() > page) {
            Some(last) => response.header("Link", format!("</v2/{repository}/tags/list?last={last}>; rel=\"next\"")),
            None => response,
        };
        response.body(json!({ "name": repository, "tags": shown }).to_string())
    }

    fn list_referrers(&mut self, repository: &str, subject: &str) -> Response {
        let mut found = Vec::new();
        for (digest, (kind, bytes)) in &self.shelf(repository).manifests {
            let Ok(value) = serde_json::from_slice::<Value>(bytes) else { continue };
            if value["subject"]["digest"] != subject {
                continue;
            }
            let artifact = value.get("artifactType").unwrap_or(&value["config"]["mediaType"]);
            found.push(json!({"mediaType": kind, "digest": digest, "size": bytes.len(), "artifactType": artifact, "annotations": value["annotations"]}));
        }
        Response::new(200)
            .header("Content-Type", media::INDEX)
            .body(json!({"schemaVersion": 2, "mediaType": media::INDEX, "manifests": found}).to_string())
    }
}

/// Repository, kind of request and the rest of a path.
fn split(path: &str) -> Option<(String, &'static str, String)> {
    let path = path.strip_prefix("/v2/")?;
    for (mark, kind) in [
        ("/blobs/uploads/", "uploads"),
        ("/blobs/", "blobs"),
        ("/manifests/", "manifests"),
        ("/tags/", "tags"),
        ("/referrers/", "referrers"),
    ] {
        if let Some((repository, rest)) = path.split_once(mark) {
            return Some((repository.to_string(), kind, rest.to_string()));
        }
    }
    None
}
