//! Real registries of several makes, each with all that its clients need to reach it: a login, an authority. One way to ask each client.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::peers::{Server, docker_registry, peer, registry, serve};
use crate::project::Project;

/// A user and a password.
pub const LOGIN: (&str, &str) = ("someone", "pass word 4711");
/// The same in base64, as `config.json` has it.
pub const AUTH: &str = "c29tZW9uZTpwYXNzIHdvcmQgNDcxMQ==";

/// A make of registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// `docker-registry` as it is.
    Plain,
    /// The same, which lets nobody delete.
    Kept,
    /// The same, for those who know a password.
    Passwords,
    /// The same, behind TLS.
    Tls,
    /// `ferro-oci-server`, which has the referrers API.
    Ferro,
    /// `crane registry serve`, which has not.
    Crane,
}

/// The makes that the promises name.
pub const ALL: [Make; 5] = [Make::Plain, Make::Passwords, Make::Tls, Make::Ferro, Make::Crane];

/// A registry that runs, and what its clients need.
pub struct Place {
    /// How it is named.
    pub host: String,
    make: Make,
    room: TempDir,
    _servers: Vec<Server>,
    _ferro: Option<Ferro>,
}

/// What a registry answers.
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub body: String,
}

impl Place {
    /// A registry of this make.
    pub fn start(make: Make) -> Place {
        let room = tempfile::tempdir().unwrap();
        let (host, servers, ferro) = match make {
            Make::Plain => one(registry(None)),
            Make::Kept => one(docker_registry(None, false)),
            Make::Crane => one(crane()),
            Make::Ferro => {
                let ferro = Ferro::start();
                (ferro.host.clone(), Vec::new(), Some(ferro))
            }
            Make::Passwords => one(registry(Some(LOGIN))),
            Make::Tls => {
                let authority = Authority::new();
                fs::write(room.path().join("ca.pem"), authority.pem()).unwrap();
                let behind = registry(Some(LOGIN));
                let front = nginx(&authority, &behind.host, None);
                (local(&front), vec![front, behind], None)
            }
        };
        let place = Place { host, make, room, _servers: servers, _ferro: ferro };
        let config = format!(r#"{{"auths":{{"{}":{{"auth":"{AUTH}"}}}}}}"#, place.host);
        fs::write(place.path("config.json"), config).unwrap();
        fs::set_permissions(place.path("config.json"), fs::Permissions::from_mode(0o600)).unwrap();
        let hosts = format!("[host.\"{}\"]\nhttp = {}\n", place.host, !place.tls());
        fs::write(place.path("registries.toml"), hosts).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    fn tls(&self) -> bool {
        self.make == Make::Tls
    }

    /// Asks it directly, with no code of the program.
    pub fn ask(&self, method: &str, path: &str, body: Option<(&str, &str)>) -> Answer {
        let scheme = if self.tls() { "https" } else { "http" };
        let mut builder = reqwest::Client::builder().no_proxy();
        if self.tls() {
            let pem = fs::read(self.path("ca.pem")).unwrap();
            builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()]);
        }
        let method = method.parse::<reqwest::Method>().unwrap();
        let url = if path.starts_with('/') { format!("{scheme}://{}{path}", self.host) } else { path.to_string() };
        let mut request = builder.build().unwrap().request(method, url).basic_auth(LOGIN.0, Some(LOGIN.1));
        request = request
            .header("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json");
        if let Some((kind, text)) = body {
            request = request.header("Content-Type", kind).body(text.to_string());
        }
        Runtime::new().unwrap().block_on(async {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let location = answer.headers().get("location").map(|text| text.to_str().unwrap().to_string());
            Answer { status, location, body: answer.text().await.unwrap() }
        })
    }

    /// A repository.
    pub fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.host)
    }

    /// Puts into the environment what a client needs to be let in.
    pub fn introduce(&self, command: &mut Command) {
        command.env("DOCKER_CONFIG", self.room.path()).env("REGISTRY_AUTH_FILE", self.path("config.json"));
        if self.tls() {
            command.env("SSL_CERT_FILE", self.path("ca.pem"));
        }
    }

    /// The program, to be run in a project.
    pub fn ours(&self, project: &Project, arguments: &[&str]) -> Command {
        let mut command = project.command(arguments);
        command.env("STILLFRAME_REGISTRIES", self.path("registries.toml"));
        self.introduce(&mut command);
        command
    }

    fn client(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = peer(name);
        command.args(arguments);
        self.introduce(&mut command);
        command
    }

    /// crane, which finds out about TLS itself.
    pub fn crane(&self, arguments: &[&str]) -> Command {
        self.client("crane", arguments)
    }

    /// A copy by skopeo, from or to this registry.
    pub fn skopeo_copy(&self, arguments: &[&str]) -> Command {
        let verify = self.tls();
        let flags = [format!("--src-tls-verify={verify}"), format!("--dest-tls-verify={verify}")];
        let mut command = self.client("skopeo", &["copy", "--quiet", "--all"]);
        command.args(flags).args(arguments);
        command
    }

    /// A copy by oras; `side` is where this registry stands: `from` or `to`.
    pub fn oras_copy(&self, side: &str, arguments: &[&str]) -> Command {
        let plain = format!("--{side}-plain-http={}", !self.tls());
        self.client("oras", &[&["copy", "--no-tty", &plain], arguments].concat())
    }

    /// Another command of oras.
    pub fn oras(&self, arguments: &[&str]) -> Command {
        let plain = format!("--plain-http={}", !self.tls());
        let mut command = self.client("oras", arguments);
        command.arg(plain);
        command
    }

    /// The engine.
    pub fn docker(&self, arguments: &[&str]) -> Command {
        self.client("docker", arguments)
    }
}

fn one(server: Server) -> (String, Vec<Server>, Option<Ferro>) {
    (server.host.clone(), vec![server], None)
}

/// A server's address by the name of this machine, which is what its certificate says.
pub fn local(server: &Server) -> String {
    server.host.replace("127.0.0.1", "localhost")
}

/// `crane registry serve`, which forgets everything at its end.
fn crane() -> Server {
    serve("crane registry serve", |host, _| {
        let mut command = peer("crane");
        command.args(["registry", "serve", "--address", host]);
        command
    })
}

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes a certificate for a name and its key: `NAME.pem` and `NAME.key`.
    pub fn sign(&self, name: &str, directory: &Path) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
        // Without a name of its own, OpenSSL takes it for its own issuer.
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let files = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
        fs::write(&files.0, certificate.pem()).unwrap();
        fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }
}

/// nginx before a registry, as `localhost` with TLS; with `clients` only for those whom that authority knows.
pub fn nginx(authority: &Authority, behind: &str, clients: Option<&Authority>) -> Server {
    serve("nginx", |host, room| {
        let (certificate, key) = authority.sign("localhost", room);
        let known = clients.map(|clients| {
            let file = room.join("clients.pem");
            fs::write(&file, clients.pem()).unwrap();
            format!("ssl_client_certificate {}; ssl_verify_client on;", file.display())
        });
        let config = format!(
            r#"
daemon off;
master_process off;
pid {room}/nginx.pid;
error_log {room}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {room}/body;
    proxy_temp_path {room}/proxy;
    fastcgi_temp_path {room}/fastcgi;
    uwsgi_temp_path {room}/uwsgi;
    scgi_temp_path {room}/scgi;
    server {{
        listen {host} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        {known}
        client_max_body_size 0;
        location / {{
            proxy_pass http://{behind};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"#,
            room = room.display(),
            certificate = certificate.display(),
            key = key.display(),
            known = known.unwrap_or_default(),
        );
        let file = room.join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = peer("nginx");
        command.arg("-p").arg(room).arg("-c").arg(file).arg("-e").arg(room.join("error.log"));
        command
    })
}

/// `ferro-oci-server` in a thread of this process.
struct Ferro {
    host: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ferro {
    fn start() -> Ferro {
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let host = format!("127.0.0.1:{port}");
            let config = ferro_oci_server::Config::from_raw(Some(host.clone()), None);
            let (stop, stopped) = oneshot::channel();
            let run = move || {
                Runtime::new().unwrap().block_on(async {
                    tokio::select! {
                        ended = ferro_oci_server::serve(&config) => drop(ended),
                        _ = stopped => {}
                    }
                });
            };
            let thread = std::thread::spawn(run);
            while !thread.is_finished() {
                if std::net::TcpStream::connect(&host).is_ok() {
                    return Ferro { host, stop: Some(stop), thread: Some(thread) };
                }
                std::thread::yield_now();
            }
        }
        panic!("ferro-oci-server does not start")
    }
}

impl Drop for Ferro {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
