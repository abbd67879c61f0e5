//! Hosts and TLS (checks NET-01 to NET-04, AUT-02).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use stillframe::registry::{Hosts, Names, Which};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::stand::{Stand, noise, tag};
use super::{Guard, Model, Registry, Request, Response, on};

/// A certificate authority, and its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, directory }
    }

    /// A server's certificate for a name; one that ended long ago if `expired`.
    fn acceptor(&self, name: &str, expired: bool) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// The line that trusts it for a host.
    fn trusted(&self, host: &str) -> String {
        format!("[host.\"{host}\"]\nhttp = false\nca = \"{}\"\n", self.directory.path().join("ca.pem").display())
    }
}

async fn reads(stand: &Stand, registry: &Registry) -> Result<(), String> {
    match stand.client.manifest(&registry.repository("app"), Which::Tag(&tag("1"))).await {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test]
async fn net_02_a_registry_on_this_machine_may_be_its_own_token_server() {
    let registry = Registry::start().await;
    registry.image("app", "1");
    registry.bearer("user", "word");
    reads(&Stand::new(), &registry).await.unwrap();
    assert_eq!(registry.count("GET", "/token"), 1);
}

#[tokio::test]
async fn net_01_a_public_registry_does_not_lead_into_this_machine() {
    let (registry, inner) = (Registry::start().await, Registry::start().await);
    let bytes = noise(100);
    let blob = registry.blob("app", &bytes);
    inner.blob("app", &bytes);
    let port = inner.port();
    // Both names are dialled on this machine, but one is taken to stand in the public.
    let entry = |name: &str, stands: &str, port: u16| {
        let dial: SocketAddr = ([127, 0, 0, 1], port).into();
        (name.to_string(), (stands.parse::<IpAddr>().unwrap(), dial))
    };
    let table = BTreeMap::from([
        entry("public.test", "203.0.113.5", registry.port()),
        entry("storage.test", "203.0.113.6", port),
        entry("rebound.test", "127.0.0.1", port),
        entry("corp.test", "10.0.0.9", port),
    ]);
    let repository = format!("public.test:{}/app", registry.port()).parse().unwrap();
    let declared = format!("[host.\"public.test:{}\"]\nhttp = true\n", registry.port());
    let stand = |more: &str| {
        let text = format!("{declared}{more}");
        Stand::with(|settings| {
            settings.names = Names::Fixed(Arc::new(table.clone()));
            settings.hosts = Hosts::read(&text, "x", Path::new("/")).unwrap();
        })
    };
    let lead =
        |to: String| {
            registry.heal();
            registry.fault(on("GET", "/blobs/").edit(move |request: &Request, _| {
                Response::new(307).header("Location", format!("{to}{}", request.path))
            }));
        };
    for host in [
        "127.0.0.1",
        "[::1]",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "[::ffff:127.0.0.1]",
        "localhost",
        "rebound.test",
        "corp.test",
    ] {
        lead(format!("http://{host}:{port}"));
        assert!(stand("").blob(&repository, &blob).await.is_err(), "{host}");
        assert!(inner.log().is_empty(), "{host}");
    }
    lead(format!("http://storage.test:{port}"));
    assert_eq!(stand("").blob(&repository, &blob).await.unwrap(), bytes);
    lead(format!("http://127.0.0.1:{port}"));
    let more = format!("[host.\"127.0.0.1:{port}\"]\n");
    assert_eq!(stand(&more).blob(&repository, &blob).await.unwrap(), bytes, "declared");
}

#[tokio::test]
async fn net_03_certificates_are_checked() {
    let authority = Authority::new();
    let good = Registry::start_tls(authority.acceptor("localhost", false)).await;
    let expired = Registry::start_tls(authority.acceptor("localhost", true)).await;
    let other = Registry::start_tls(authority.acceptor("other.test", false)).await;
    for registry in [&good, &expired, &other] {
        registry.image("app", "1");
    }
    reads(&Stand::hosts(&authority.trusted(&good.name())), &good).await.unwrap();
    let strange = Stand::hosts(&format!("[host.\"{}\"]\nhttp = false", good.name()));
    assert!(reads(&strange, &good).await.unwrap_err().contains("certificate"));
    for (registry, word) in [(&expired, "expired"), (&other, "not valid for name")] {
        let error = reads(&Stand::hosts(&authority.trusted(&registry.name())), registry).await.unwrap_err();
        assert!(error.contains(word), "{error}");
        assert!(registry.log().is_empty());
        let insecure = format!("[host.\"{}\"]\nhttp = false\ninsecure = true\n", registry.name());
        reads(&Stand::hosts(&insecure), registry).await.unwrap();
    }
    // `insecure` is for one host only.
    let text = format!(
        "[host.\"{}\"]\nhttp = false\ninsecure = true\n[host.\"{}\"]\nhttp = false\n",
        good.name(),
        other.name()
    );
    let stand = Stand::hosts(&text);
    reads(&stand, &good).await.unwrap();
    assert!(reads(&stand, &other).await.is_err());
}

#[tokio::test]
async fn net_03_a_plain_port_is_no_tls_port() {
    let registry = Registry::start().await;
    registry.image("app", "1");
    let stand = Stand::hosts(&format!("[host.\"{}\"]\nhttp = false", registry.name()));
    let answer = stand.client.manifest(&registry.repository("app"), Which::Tag(&tag("1"))).await;
    let error = answer.unwrap_err();
    assert!(error.hints().join(" ").contains("`http = true`"), "{error:?} {:?}", error.hints());
    assert!(registry.log().is_empty(), "nothing was said in the clear");
    reads(&Stand::new(), &registry).await.unwrap();
}

#[tokio::test]
async fn net_04_and_aut_02_tls_is_never_lowered() {
    let authority = Authority::new();
    let (registry, plain) =
        (Registry::start_tls(authority.acceptor("localhost", false)).await, Registry::start().await);
    let bytes = noise(100);
    let blob = registry.blob("app", &bytes);
    plain.blob("app", &bytes);
    registry.image("app", "1");
    let stand = || Stand::hosts(&authority.trusted(&registry.name()));
    let repository = registry.repository("app");
    let to = plain.url();
    registry.fault(
        on("GET", "/blobs/")
            .edit(move |request, _| Response::new(307).header("Location", format!("{to}{}", request.path))),
    );
    let error = stand().blob(&repository, &blob).await.unwrap_err();
    assert!(format!("{error:?}").contains("lower https to http"), "{error:?}");
    let realm = format!("{}/token", plain.url());
    registry.set(|model| model.guard = Guard::Bearer { realm, user: String::new(), password: String::new() });
    let error = reads(&stand(), &registry).await.unwrap_err();
    assert!(error.contains("lower https to http"), "{error}");
    assert!(plain.log().is_empty());
    registry.heal();
    registry.bearer("user", "word");
    reads(&stand(), &registry).await.unwrap();
    assert_eq!(Model::new().scheme, "http");
}
