//! The mock sigstore: an identity provider, Fulcio with its certificate transparency log, both generations of Rekor, a time stamp
//! authority and a TUF repository, in this process, on one loopback port, with keys of its own. It can be told to stumble and to
//! lie. The real cosign accepts what it makes (`tests/interop/sigstore.rs`), so it is a judge of ours.

mod der;
mod documents;
mod flaws;
mod fulcio;
mod keys;
mod oidc;
mod rekor;
mod tiles;
mod tree;
mod tsa;
mod tuf;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::PublicKeyData;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::faults::Rules;
use crate::http::{Request, Response, read_body, read_head, write};

pub use documents::Rekor;
pub use flaws::{Fault, Flaw, Flaws};

/// All services.
pub struct Model {
    pub url: String,
    pub issuer: oidc::Issuer,
    pub authority: fulcio::Authority,
    log: rekor::Log,
    tiles: tiles::Tiles,
    stamps: tsa::Stamps,
    tuf: tuf::Tuf,
    /// What TUF's signing config says.
    pub served: (Rekor, bool),
}

struct Shared {
    model: Model,
    flaws: Flaws,
    rules: Rules,
    log: Vec<Request>,
}

type State = Arc<Mutex<Shared>>;

/// A sigstore that runs, with or without a runtime in the test. It ends with this value.
pub struct Sigstore {
    shared: State,
    url: String,
    _stop: oneshot::Sender<()>,
}

/// Where `Sigstore::write` put things.
pub struct Files {
    pub trusted_root: PathBuf,
    /// Of the log and stamps that were asked for.
    pub signing_config: PathBuf,
    pub trust_config: PathBuf,
    /// The authority's certificates, and keys and certificates for cosign's variables.
    pub authority: PathBuf,
    pub rekor: PathBuf,
    pub ct: PathBuf,
    pub stamps: PathBuf,
    /// TUF's first root.
    pub tuf: PathBuf,
}

impl Sigstore {
    /// All services without faults, on one port of their own.
    pub fn start() -> Sigstore {
        Sigstore::listen("127.0.0.1:0")
    }

    /// All services at an address.
    pub fn listen(address: &str) -> Sigstore {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        let model = Model {
            issuer: oidc::Issuer::new(&url),
            authority: fulcio::Authority::new(),
            log: rekor::Log::new(&address.to_string()),
            tiles: tiles::Tiles::new(&address.ip().to_string()),
            stamps: tsa::Stamps::new(),
            tuf: tuf::Tuf::new(),
            url: url.clone(),
            served: (Rekor::V1, true),
        };
        let shared = Shared { model, flaws: Flaws::default(), rules: Rules::default(), log: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let (stop, stopped) = oneshot::channel();
        thread::spawn({
            let shared = shared.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                    tokio::select! {
                        () = accept(shared, listener) => {}
                        _ = stopped => {}
                    }
                });
            }
        });
        Sigstore { shared, url, _stop: stop }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of all services and the name of the issuer. Time stamps: `/api/v1/timestamp` below it; TUF: `/tuf`.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn tsa_url(&self) -> String {
        format!("{}/api/v1/timestamp", self.url)
    }

    pub fn tuf_url(&self) -> String {
        format!("{}/tuf", self.url)
    }

    /// Adds something that goes wrong: `Flaw::WrongSct`, or `on("POST", "/api/v2/signingCert").times(2).status(503)`.
    pub fn fault(&self, fault: impl Into<Fault>) -> &Sigstore {
        match fault.into() {
            Fault::On(on) => self.lock().rules.add(on),
            Fault::Flaw(flaw) => self.lock().flaws.add(flaw),
        }
        self
    }

    /// Takes all faults back.
    pub fn heal(&self) -> &Sigstore {
        let mut shared = self.lock();
        shared.rules.clear();
        shared.flaws = Flaws::default();
        drop(shared);
        self
    }

    /// Changes how the services are set up.
    pub fn set(&self, change: impl FnOnce(&mut Model)) -> &Sigstore {
        change(&mut self.lock().model);
        self
    }

    /// A token for a person (`dev@example.com`), a workflow
    /// (`https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main`) or any other machine.
    pub fn token(&self, identity: &str) -> String {
        self.lock().model.issuer.token(identity, json!({}))
    }

    /// A token with other claims, as `{"exp": 1}` or `{"aud": "elsewhere"}`.
    pub fn odd_token(&self, identity: &str, claims: Value) -> String {
        self.lock().model.issuer.token(identity, claims)
    }

    /// The environment of a job on GitHub that gets tokens for this identity.
    pub fn env(&self, identity: &str) -> Vec<(&'static str, String)> {
        let identity: String = identity.bytes().map(|byte| format!("%{byte:02X}")).collect();
        vec![
            ("GITHUB_ACTIONS", "true".into()),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/oidc/github?identity={identity}", self.url)),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", oidc::RUNNER.into()),
        ]
    }

    pub fn trusted_root(&self) -> String {
        documents::trusted_root(&self.lock().model).to_string()
    }

    pub fn signing_config(&self, rekor: Rekor, stamps: bool) -> String {
        documents::signing_config(&self.url, rekor, stamps).to_string()
    }

    /// TUF's first root, for `cosign initialize --root` and its like.
    pub fn tuf_root(&self) -> Vec<u8> {
        self.lock().model.tuf.root()
    }

    /// Writes all documents into a directory.
    pub fn write(&self, directory: &Path, rekor: Rekor, stamps: bool) -> Files {
        let shared = self.lock();
        let model = &shared.model;
        let put = |name: &str, text: &[u8]| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let json = |name: &str, value: &Value| put(name, value.to_string().as_bytes());
        let root = documents::trusted_root(model);
        let config = documents::signing_config(&self.url, rekor, stamps);
        let chain = |chain: [&[u8]; 2]| chain.map(|der| keys::pem("CERTIFICATE", der)).concat();
        let key = |key: &rcgen::KeyPair| keys::pem("PUBLIC KEY", &key.subject_public_key_info());
        Files {
            trusted_root: json("trusted_root.json", &root),
            signing_config: json("signing_config.json", &config),
            trust_config: json("trust_config.json", &documents::trust_config(&root, &config)),
            authority: put("authority.pem", chain(model.authority.chain()).as_bytes()),
            rekor: put("rekor.pub", key(&model.log.key).as_bytes()),
            ct: put("ct.pub", key(&model.authority.ct).as_bytes()),
            stamps: put("stamps.pem", chain(model.stamps.chain()).as_bytes()),
            tuf: put("tuf_root.json", &model.tuf.root()),
        }
    }

    /// How many entries the logs took: the older and the newer one.
    pub fn entries(&self) -> (usize, usize) {
        let shared = self.lock();
        (shared.model.log.made(), shared.model.tiles.made())
    }

    /// All requests so far.
    pub fn log(&self) -> Vec<Request> {
        self.lock().log.clone()
    }

    /// How many requests of this method contain this text.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let fits = |request: &&Request| {
            request.method == method && format!("{}?{}", request.path, request.query).contains(path)
        };
        self.log().iter().filter(fits).count()
    }
}

impl Files {
    /// The variables that make cosign 2 trust the mock without TUF.
    pub fn env(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("SIGSTORE_ROOT_FILE", self.authority.clone()),
            ("SIGSTORE_REKOR_PUBLIC_KEY", self.rekor.clone()),
            ("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", self.ct.clone()),
            ("SIGSTORE_TSA_CERTIFICATE_FILE", self.stamps.clone()),
        ]
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// JSON in the one form that is signed. RFC 8785.
fn canonical(value: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap()
}

async fn accept(shared: State, listener: tokio::net::TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(connection(shared.clone(), stream));
    }
}

async fn connection(shared: State, mut line: TcpStream) {
    let mut buffer = Vec::new();
    while let Ok(Some(mut request)) = read_head(&mut line, &mut buffer).await {
        if read_body(&mut line, &mut buffer, &mut request, None).await.is_err() {
            return;
        }
        let response = shared.lock().unwrap_or_else(PoisonError::into_inner).work(&request);
        match write(&mut line, &response, request.method == "HEAD").await {
            Ok(true) => {}
            _ => return,
        }
    }
}

impl Shared {
    fn work(&mut self, request: &Request) -> Response {
        self.log.push(request.clone());
        let rule = self.rules.take(request);
        let response = match rule.reply {
            Some(response) => response,
            None => self.model.answer(request, &self.flaws),
        };
        self.rules.edit(rule.index, request, response)
    }
}

impl Model {
    fn answer(&mut self, request: &Request, flaws: &Flaws) -> Response {
        let body = || serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/.well-known/openid-configuration") => self.issuer.metadata(),
            ("GET", "/oidc/keys") => self.issuer.keys(),
            ("GET", "/oidc/github") => self.issuer.github(request),
            ("GET", "/oidc/auth") => self.issuer.authorize(request),
            ("POST", "/oidc/device") => self.issuer.device(),
            ("POST", "/oidc/token") => self.issuer.exchange(request),
            ("POST", path @ ("/api/v1/signingCert" | "/api/v2/signingCert")) => {
                let body = body();
                let claims = fulcio::token(request, &body).and_then(|token| self.issuer.check(&token));
                match path {
                    "/api/v1/signingCert" => self.authority.v1(claims, &body, flaws),
                    _ => self.authority.v2(claims, &body, flaws),
                }
            }
            ("GET", "/api/v2/trustBundle") => self.authority.bundle(),
            ("POST", "/api/v1/log/entries") => self.log.post(request, flaws),
            ("GET", "/api/v1/log/entries") => self.log.at(&request.parameter("logIndex").unwrap_or_default(), flaws),
            ("GET", "/api/v1/log") => self.log.state(flaws),
            ("GET", "/api/v1/log/publicKey") => self.log.public_key(),
            ("POST", "/api/v2/log/entries") => self.tiles.post(request, flaws),
            ("GET", "/api/v2/checkpoint") => Response::new(200).body(self.tiles.checkpoint(flaws)),
            ("POST", "/api/v1/timestamp") => self.stamps.post(request, flaws),
            ("GET", path) => match (path.strip_prefix("/api/v1/log/entries/"), path.strip_prefix("/tuf/")) {
                (Some(id), _) => self.log.get(id, flaws),
                (_, Some(path)) => self.tuf.answer(path, &self.targets(), flaws),
                _ => Response::new(404),
            },
            _ => Response::new(404),
        }
    }

    /// What TUF hands out.
    fn targets(&self) -> [(&'static str, Vec<u8>); 2] {
        let (rekor, stamps) = self.served;
        let config = documents::signing_config(&self.url, rekor, stamps);
        [
            ("trusted_root.json", documents::trusted_root(self).to_string().into_bytes()),
            ("signing_config.v0.2.json", config.to_string().into_bytes()),
        ]
    }
}
