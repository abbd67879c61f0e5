//! Proxies, as the environment names them: who is reached through one, and who is not. Names that only the proxy knows are looked up by it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::net::Authority;
use super::{Registry, Response, on};
use crate::support::Project;

/// A proxy that leads names to ports of this machine, and notes whom it was asked for.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(table: &[(&str, u16)]) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let table: BTreeMap<String, u16> = table.iter().map(|(name, port)| (name.to_string(), *port)).collect();
        let (noted, table) = (Arc::clone(&asked), Arc::new(table));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(lead(stream, Arc::clone(&noted), Arc::clone(&table)));
            }
        });
        Proxy { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.dedup();
        asked
    }
}

/// The next head; `None` at the end.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// One connection: `CONNECT host:port`, or requests of plain http without bodies, with whole URLs, all for one host.
async fn lead(mut stream: TcpStream, noted: Arc<Mutex<Vec<String>>>, table: Arc<BTreeMap<String, u16>>) {
    let Some(first) = head(&mut stream).await else { return };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let host = target.trim_start_matches("http://").split('/').next().unwrap();
    noted.lock().unwrap().push(format!("{} {host}", if method == "CONNECT" { method } else { "plain" }));
    let Some(port) = table.get(host) else {
        let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        return;
    };
    let mut inner = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], *port))).await.unwrap();
    if method == "CONNECT" {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut inner).await;
        return;
    }
    let ((mut from, mut to), (mut answers, mut asks)) = (stream.into_split(), inner.into_split());
    tokio::spawn(async move { copy(&mut answers, &mut to).await });
    let mut next = Some(first.clone());
    while let Some(head) = next {
        let head = head.replacen(&format!("http://{host}"), "", 1);
        if asks.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        next = self::head(&mut from).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_reached_through_the_proxy_of_the_environment() {
    let authority = Authority::new();
    let registry = Registry::start_tls(authority.acceptor("registry.test", false)).await;
    let digest = registry.image("acme/app", "1");
    for host in ["127.0.0.1", "localhost"] {
        let proxy = Proxy::start(&[("registry.test:443", registry.port())]).await;
        let project = Project::new();
        let pull = || {
            let run = project.run(["pull", "registry.test/acme/app:1"]);
            run.env("SSL_CERT_FILE", authority.file()).env("HTTPS_PROXY", format!("http://{host}:{}", proxy.port))
        };
        assert_eq!(pull().success().digest(), digest.to_string());
        assert_eq!(proxy.asked()[0], "CONNECT registry.test:443");
        // Who is not to be reached through it is looked for directly; that name leads nowhere.
        let before = proxy.asked().len();
        pull().env("NO_PROXY", "registry.test").fails(3);
        assert_eq!(proxy.asked().len(), before, "{:?}", proxy.asked());
        pull().env("NO_PROXY", "other.test").success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_followed_through_the_proxy_too() {
    let authority = Authority::new();
    let registry = Registry::start_tls(authority.acceptor("registry.test", false)).await;
    let storage = Registry::start_tls(authority.acceptor("storage.test", false)).await;
    let digest = registry.image("acme/app", "1");
    storage.image("acme/app", "1");
    registry.fault(
        on("GET", "/blobs/")
            .edit(|request, _| Response::new(307).header("Location", format!("https://storage.test{}", request.path))),
    );
    let table = [("registry.test:443", registry.port()), ("storage.test:443", storage.port())];
    for host in ["127.0.0.1", "localhost"] {
        let proxy = Proxy::start(&table).await;
        let project = Project::new();
        let pull = project.run(["pull", "registry.test/acme/app:1"]).env("SSL_CERT_FILE", authority.file());
        let pull = pull.env("HTTPS_PROXY", format!("http://{host}:{}", proxy.port));
        assert_eq!(pull.success().digest(), digest.to_string(), "{host}");
        assert_eq!(proxy.asked(), ["CONNECT registry.test:443", "CONNECT storage.test:443"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_goes_through_its_own_proxy_and_this_machine_through_none() {
    let registry = Registry::start().await;
    let digest = registry.image("acme/app", "1");
    let name = format!("registry.test:{}", registry.port());
    let proxy = Proxy::start(&[(name.as_str(), registry.port())]).await;
    let declared = format!("[host.\"{name}\"]\nhttp = true\n");
    let project = Project::new().file("registries.toml", declared);
    let pull = |reference: String| {
        let run = project
            .run(["--no-cache", "pull", &reference])
            .env("STILLFRAME_REGISTRIES", project.path("registries.toml"));
        run.env("HTTP_PROXY", format!("http://127.0.0.1:{}", proxy.port))
    };
    assert_eq!(pull(format!("{name}/acme/app:1")).success().digest(), digest.to_string());
    assert_eq!(proxy.asked(), [format!("plain {name}")]);
    assert_eq!(pull(format!("{}/acme/app:1", registry.name())).success().digest(), digest.to_string());
    assert_eq!(proxy.asked().len(), 1, "{:?}", proxy.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn net_01_a_proxy_is_no_way_into_this_machine() {
    let authority = Authority::new();
    let registry = Registry::start_tls(authority.acceptor("registry.test", false)).await;
    let inner = Registry::start_tls(authority.acceptor("localhost", false)).await;
    registry.image("acme/app", "1");
    inner.image("acme/app", "1");
    let proxy = Proxy::start(&[("registry.test:443", registry.port())]).await;
    let project = Project::new();
    // The proxy's own name is as private as it was, unless the proxy is what is dialled.
    for host in ["localhost", "127.0.0.1"] {
        let to = format!("https://{host}:{}", inner.port());
        registry.heal();
        registry.fault(
            on("GET", "/blobs/")
                .edit(move |request, _| Response::new(307).header("Location", format!("{to}{}", request.path))),
        );
        let pull = project.run(["pull", "registry.test/acme/app:1"]).env("SSL_CERT_FILE", authority.file());
        let refused = pull.env("HTTPS_PROXY", format!("http://localhost:{}", proxy.port)).fails(3);
        assert!(inner.log().is_empty(), "{}", refused.stderr);
    }
}
