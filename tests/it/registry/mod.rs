//! The fault registry: a real registry in this process, on a port of its own, that can be told to stumble, cut, stall and lie.

mod auth;
mod bounds;
mod canaries;
mod environment;
mod grammar;
mod lists;
mod mirrors;
mod model;
mod net;
mod proxies;
mod pull;
mod push;
mod retry;
mod serve;
mod stand;
mod stop;
mod upload;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stillframe::oci::{Descriptor, Digest, Registry as Name, Repository, media};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub use crate::faults::{On, on};
pub use crate::http::{How, Request, Response};
pub use model::{Guard, Model, Shelf};
pub use stand::{Stand, noise};

use crate::faults::{Rule, Rules};
use crate::http;

struct Shared {
    model: Model,
    rules: Rules,
    log: Vec<Request>,
}

/// A registry that runs. It ends with the test's runtime.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Mutex<Shared>>,
    address: SocketAddr,
}

impl Registry {
    /// A registry without faults on a port of its own.
    pub async fn start() -> Registry {
        Registry::listen("127.0.0.1:0", Model::new(), None).await
    }

    /// A registry behind TLS, reached as `localhost`.
    pub async fn start_tls(acceptor: TlsAcceptor) -> Registry {
        Registry::listen("127.0.0.1:0", Model { scheme: "https", ..Model::new() }, Some(acceptor)).await
    }

    /// A registry at an address.
    pub async fn listen(address: &str, mut model: Model, acceptor: Option<TlsAcceptor>) -> Registry {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        model.name = match acceptor {
            Some(_) => format!("localhost:{}", address.port()),
            None => address.to_string(),
        };
        let shared = Arc::new(Mutex::new(Shared { model, rules: Rules::default(), log: Vec::new() }));
        let registry = Registry { shared, address };
        tokio::spawn(accept(registry.clone(), listener, acceptor));
        registry
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Host and port as a user writes them.
    pub fn name(&self) -> String {
        self.lock().model.name.clone()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The scheme and host for redirects and realms.
    pub fn url(&self) -> String {
        let scheme = self.lock().model.scheme;
        format!("{scheme}://{}", self.name())
    }

    pub fn registry(&self) -> Name {
        self.name().parse().unwrap()
    }

    pub fn repository(&self, path: &str) -> Repository {
        Repository { registry: self.registry(), path: path.to_string() }
    }

    /// Changes what the registry knows or how it is set up.
    pub fn set(&self, change: impl FnOnce(&mut Model)) -> &Registry {
        change(&mut self.lock().model);
        self
    }

    /// Wants tokens; anybody may pull with one, `user` with `password` may do all.
    pub fn bearer(&self, user: &str, password: &str) -> &Registry {
        let (user, password) = (user.to_string(), password.to_string());
        self.set(|model| model.guard = Guard::Bearer { realm: String::new(), user, password })
    }

    pub fn basic(&self, user: &str, password: &str) -> &Registry {
        self.set(|model| model.guard = Guard::Basic(user.to_string(), password.to_string()))
    }

    /// Adds a fault; the first one that fits a request counts.
    pub fn fault(&self, on: On) -> &Registry {
        self.lock().rules.add(on);
        self
    }

    pub fn heal(&self) {
        self.lock().rules.clear();
    }

    /// Puts a blob there.
    pub fn blob(&self, repository: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of("application/octet-stream", bytes);
        self.lock().model.shelf(repository).blobs.insert(descriptor.digest.to_string(), bytes.to_vec());
        descriptor
    }

    /// Puts a manifest there, under a tag.
    pub fn manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let mut shared = self.lock();
        let shelf = shared.model.shelf(repository);
        shelf.manifests.insert(digest.to_string(), (media_type.to_string(), bytes.to_vec()));
        shelf.tags.insert(tag.to_string(), digest.to_string());
        digest
    }

    /// Puts a small image there, under a tag.
    pub fn image(&self, repository: &str, tag: &str) -> Digest {
        let config = self.blob(repository, b"{}");
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":2}},"layers":[]}}"#,
            media::MANIFEST,
            media::CONFIG,
            config.digest
        );
        self.manifest(repository, tag, media::MANIFEST, text.as_bytes())
    }

    /// What a repository holds.
    pub fn shelf(&self, repository: &str) -> Shelf {
        self.lock().model.shelf(repository).clone()
    }

    /// All requests so far.
    pub fn log(&self) -> Vec<Request> {
        self.lock().log.clone()
    }

    /// All requests so far in a few words, without the session's name and state.
    pub fn told(&self) -> Vec<String> {
        self.log().iter().map(|request| format!("{} {}", request.method, short(&request.path))).collect()
    }

    /// How many requests of this method contain this text.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let fits = |request: &&Request| {
            request.method == method && format!("{}?{}", request.path, request.query).contains(path)
        };
        self.log().iter().filter(fits).count()
    }

    pub fn forget(&self) {
        self.lock().log.clear();
    }

    /// Waits until so many requests of this method that contain this text came.
    pub async fn saw(&self, count: usize, method: &str, path: &str) {
        let all = async {
            while self.count(method, path) < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(60), all).await;
        assert!(came.is_ok(), "{method} {path} did not come {count} times: {:?}", self.told());
    }

    /// Makes all tokens useless.
    pub fn revoke(&self) {
        self.lock().model.tokens.clear();
    }
}

/// A path without digests and session names.
fn short(path: &str) -> String {
    let part = |part: &str| match part {
        _ if part.starts_with("sha256:") => "DIGEST".to_string(),
        _ if part.starts_with("session-") => "SESSION".to_string(),
        _ => part.to_string(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

async fn accept(registry: Registry, listener: TcpListener, acceptor: Option<TlsAcceptor>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let _ = stream.set_nodelay(true);
        let (registry, acceptor) = (registry.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => connection(registry, stream).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        connection(registry, stream).await;
                    }
                }
            }
        });
    }
}

async fn connection(registry: Registry, mut line: impl http::Line) {
    let mut buffer = Vec::new();
    while let Ok(Some(mut request)) = http::read_head(&mut line, &mut buffer).await {
        let refused = registry.lock().model.too_large(&request);
        let rule = registry.lock().rules.take(&request);
        if let Some(refused) = refused {
            registry.lock().log.push(request);
            let _ = http::write(&mut line, &refused.header("Connection", "close"), false).await;
            return;
        }
        if http::read_body(&mut line, &mut buffer, &mut request, rule.cut_body).await.is_err() {
            return;
        }
        if rule.cut_body.is_some() {
            registry.stumble(request);
            if rule.held {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            line.reset();
            return;
        }
        let gate = rule.gate.clone();
        let response = registry.work(request.clone(), rule);
        if let Some(gate) = gate {
            gate.notified().await;
        }
        let head_only = request.method == "HEAD";
        match http::write(&mut line, &response, head_only).await {
            Ok(true) if response.get("connection").is_none() => {}
            _ => return,
        }
    }
}

impl Registry {
    fn work(&self, mut request: Request, rule: Rule) -> Response {
        let mut shared = self.lock();
        shared.log.push(request.clone());
        if let Some(count) = rule.keep_body {
            request.body.truncate(count);
        }
        let response = match rule.reply {
            Some(response) => response,
            None => shared.model.answer(&request),
        };
        shared.rules.edit(rule.index, &request, response)
    }

    /// A request that broke off in its body: what came is in the session.
    fn stumble(&self, request: Request) {
        let mut shared = self.lock();
        let session = request.path.rsplit('/').next().unwrap_or_default().to_string();
        if let Some(bytes) = shared.model.uploads.get_mut(&session) {
            bytes.extend_from_slice(&request.body);
        }
        shared.log.push(request);
    }
}

/// A connection that was accepted and is never answered.
pub async fn mute() -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handle = tokio::spawn(async move {
        let mut kept: Vec<TcpStream> = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    (address, handle)
}
