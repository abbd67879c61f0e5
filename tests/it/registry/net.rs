//! Hosts and TLS (checks NET-01 to NET-04, AUT-02, AUT-03).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use stillframe::error::Result;
use stillframe::oci::{Descriptor, Repository, media};
use stillframe::registry::{Hosts, Names, Which};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::stand::{Stand, noise, tag};
use super::{Guard, Model, Registry, Request, Response, on};

/// A certificate authority, and its certificate in a file.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, directory }
    }

    /// A server's certificate for a name; one that ended long ago if `expired`.
    pub fn acceptor(&self, name: &str, expired: bool) -> TlsAcceptor {
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

    /// Its certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The line that trusts it for a host.
    fn trusted(&self, host: &str) -> String {
        format!("[host.\"{host}\"]\nhttp = false\nca = \"{}\"\n", self.file().display())
    }
}

async fn reads(stand: &Stand, registry: &Registry) -> std::result::Result<(), String> {
    match stand.client.manifest(&registry.repository("app"), Which::Tag(&tag("1"))).await {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test]
async fn net_02_a_registry_on_this_machine_may_be_its_own_token_server() {
    let registry = Registry::start().await;
    registry.image("app", "1");
    registry.bearer("user", "CANARY-word");
    reads(&Stand::new(), &registry).await.unwrap();
    assert_eq!(registry.count("GET", "/token"), 1);
}

/// Addresses of this machine and of private networks, however they are written.
const INSIDE: [&str; 12] = [
    "127.0.0.1",
    "[::1]",
    "0.0.0.0",
    "10.0.0.1",
    "169.254.169.254",
    "[::ffff:127.0.0.1]",
    "2130706433",
    "0x7f.1",
    "localhost",
    "localhost.",
    "rebound.test",
    "corp.test",
];

/// A registry that is taken to stand in the public, though it is dialled on this machine, and a server inside.
struct Street {
    registry: Registry,
    inner: Registry,
    names: Arc<BTreeMap<String, (IpAddr, SocketAddr)>>,
    bytes: Vec<u8>,
    blob: Descriptor,
}

impl Street {
    async fn new() -> Street {
        let (registry, inner) = (Registry::start().await, Registry::start().await);
        let bytes = noise(100);
        let blob = registry.blob("app", &bytes);
        inner.blob("app", &bytes);
        let port = inner.port();
        let entry = |name: &str, stands: &str, port: u16| {
            let dial: SocketAddr = ([127, 0, 0, 1], port).into();
            (name.to_string(), (stands.parse::<IpAddr>().unwrap(), dial))
        };
        let names = Arc::new(BTreeMap::from([
            entry("public.test", "203.0.113.5", registry.port()),
            entry("inhouse.test", "10.0.0.8", registry.port()),
            entry("storage.test", "203.0.113.6", port),
            entry("rebound.test", "127.0.0.1", port),
            entry("localhost.", "127.0.0.1", port),
            entry("localhost", "127.0.0.1", port),
            entry("corp.test", "10.0.0.9", port),
        ]));
        Street { registry, inner, names, bytes, blob }
    }

    /// A client for which these are declared, too.
    fn stand(&self, more: &str) -> Stand {
        let host = |name: &str| format!("[host.\"{name}:{}\"]\nhttp = true\n", self.registry.port());
        let text = format!("{}{}{more}", host("public.test"), host("inhouse.test"));
        Stand::with(|settings| {
            settings.names = Names::Fixed(self.names.clone());
            settings.hosts = Hosts::read(&text, "x", Path::new("/")).unwrap();
        })
    }

    /// The repository of the registry under this name.
    fn at(&self, name: &str) -> Repository {
        format!("{name}:{}/app", self.registry.port()).parse().unwrap()
    }

    /// The same path on a host inside.
    fn inside(&self, host: &str) -> String {
        format!("http://{host}:{}", self.inner.port())
    }

    /// Refused, and nobody inside was asked.
    fn refused<T>(&self, answer: Result<T>, what: &str) {
        let Err(error) = answer else { panic!("{what} was followed") };
        assert!(self.inner.log().is_empty(), "{what}: {:?}", self.inner.told());
        assert_eq!(error.kind().exit_code(), 3, "{what}: {error:?}");
    }
}

#[tokio::test]
async fn net_01_a_redirect_does_not_lead_inside() {
    let street = Street::new().await;
    let lead =
        |to: String| {
            street.registry.heal();
            street.registry.fault(on("GET", "/blobs/").edit(move |request: &Request, _| {
                Response::new(307).header("Location", format!("{to}{}", request.path))
            }));
        };
    let read = async |stand: Stand, name: &str| stand.blob(&street.at(name), &street.blob).await;
    for host in INSIDE {
        lead(street.inside(host));
        street.refused(read(street.stand(""), "public.test").await, host);
    }
    lead(street.inside("storage.test"));
    assert_eq!(read(street.stand(""), "public.test").await.unwrap(), street.bytes);
    lead(street.inside("127.0.0.1"));
    let more = format!("[host.\"127.0.0.1:{}\"]\n", street.inner.port());
    assert_eq!(read(street.stand(&more), "public.test").await.unwrap(), street.bytes, "declared");
    lead(street.inside("corp.test"));
    assert_eq!(read(street.stand(""), "inhouse.test").await.unwrap(), street.bytes, "in the same range");
    lead(street.inside("127.0.0.1"));
    assert!(read(street.stand(""), "inhouse.test").await.is_err(), "in another range");
}

#[tokio::test]
async fn net_01_an_upload_does_not_lead_inside() {
    let street = Street::new().await;
    let bytes = noise(50);
    let blob = Descriptor::of("x", &bytes);
    let agreed = Response::new(201).header("Docker-Content-Digest", blob.digest);
    let lead = |to: String| {
        street.registry.heal();
        street.registry.fault(
            on("POST", "/uploads/").edit(move |_, response| response.header("Location", format!("{to}/elsewhere"))),
        );
    };
    let body = Bytes::from(bytes);
    let push = async |stand: Stand, name: &str| stand.client.push_blob(&street.at(name), &blob, &body, &[]).await;
    for host in INSIDE {
        lead(street.inside(host));
        street.refused(push(street.stand(""), "public.test").await, host);
    }
    street.inner.fault(on("PUT", "/elsewhere").reply(agreed));
    lead(street.inside("storage.test"));
    assert!(push(street.stand(""), "public.test").await.is_ok());
    lead(street.inside("10.0.0.9"));
    assert!(push(street.stand(""), "public.test").await.is_err());
    lead(street.inside("corp.test"));
    assert!(push(street.stand(""), "inhouse.test").await.is_ok(), "in the same range");
    lead(street.inside("127.0.0.1"));
    let more = format!("[host.\"127.0.0.1:{}\"]\n", street.inner.port());
    assert!(push(street.stand(&more), "public.test").await.is_ok(), "declared");
}

#[tokio::test]
async fn net_01_a_realm_does_not_lead_inside() {
    let street = Street::new().await;
    street.registry.image("app", "1");
    let lead = |to: String| {
        let realm = format!("{to}/token");
        let (user, password) = ("user".to_string(), "CANARY-word".to_string());
        street.registry.set(|model| model.guard = Guard::Bearer { realm, user, password });
    };
    let (one, token) = (tag("1"), Response::new(200).body(r#"{"token":"CANARY-token"}"#));
    let read =
        async |stand: Stand, name: &str| stand.client.manifest(&street.at(name), Which::Tag(&one)).await.map(drop);
    for host in INSIDE {
        lead(street.inside(host));
        street.refused(read(street.stand(""), "public.test").await, host);
    }
    street.inner.fault(on("GET", "/token").reply(token));
    street.registry.set(|model| {
        model.tokens.insert("CANARY-token".into(), BTreeSet::from(["repository:app:pull".to_string()]));
    });
    lead(street.inside("storage.test"));
    read(street.stand(""), "public.test").await.unwrap();
    lead(street.inside("corp.test"));
    read(street.stand(""), "inhouse.test").await.unwrap();
    lead(street.inside("127.0.0.1"));
    let more = format!("[host.\"127.0.0.1:{}\"]\n", street.inner.port());
    read(street.stand(&more), "public.test").await.unwrap();
    assert_eq!(street.inner.count("GET", "/token"), 3);
}

#[tokio::test]
async fn net_01_a_list_and_a_foreign_layer_do_not_lead_inside() {
    let street = Street::new().await;
    street.registry.image("app", "1");
    let lead =
        |to: String| {
            street.registry.heal();
            street.registry.fault(on("GET", "/tags/").times(1).edit(move |_, response| {
                response.header("Link", format!("<{to}/v2/app/tags/list?last=1>; rel=\"next\""))
            }));
        };
    let list = async |stand: Stand| stand.client.tags(&street.at("public.test")).await;
    for host in INSIDE {
        lead(street.inside(host));
        street.refused(list(street.stand("")).await, host);
        let mut foreign = Descriptor::of(media::LAYER_GZIP, b"foreign");
        foreign.rest.insert("urls".into(), serde_json::json!([format!("{}/layer", street.inside(host))]));
        street.refused(street.stand("").blob(&street.at("public.test"), &foreign).await, host);
    }
    for to in [String::new(), format!("http://public.test:{}", street.registry.port())] {
        lead(to);
        assert_eq!(list(street.stand("")).await.unwrap(), [tag("1")]);
    }
}

#[tokio::test]
async fn aut_03_the_usual_port_spelled_out_is_the_same_host() {
    let street = Street::new().await;
    street.registry.basic("user", "CANARY-word");
    let bytes = noise(50);
    let blob = Descriptor::of("x", &bytes);
    let body = Bytes::from(bytes);
    let hosts = "[host.\"public.test\"]\nhttp = true\n";
    for (place, own) in [
        ("http://public.test:80", true),
        ("http://PUBLIC.test", true),
        ("http://public.test:8080", false),
        ("http://public.test.:80", false),
        ("http://storage.test:80", false),
    ] {
        street.registry.heal();
        street.registry.set(|model| model.shelves.clear());
        street.registry.fault(on("POST", "/uploads/").edit(move |_, response| match response.get("location") {
            Some(path) => {
                let location = format!("{place}{path}");
                response.header("Location", location)
            }
            None => response,
        }));
        let stand = Stand::with(|settings| {
            settings.names = Names::Fixed(street.names.clone());
            settings.hosts = Hosts::read(hosts, "x", Path::new("/")).unwrap();
            settings.credentials = super::stand::password_for("public.test", "user", "CANARY-word");
        });
        let pushed = stand.client.push_blob(&"public.test/app".parse().unwrap(), &blob, &body, &[]).await;
        assert_eq!(pushed.is_ok(), own, "{place}: {pushed:?}");
        let put = [&street.registry, &street.inner].map(|it| it.log().into_iter().rfind(|it| it.method == "PUT"));
        let shown = put.iter().flatten().any(|put| put.header("authorization").is_some());
        assert_eq!(shown, own, "{place}");
        street.registry.forget();
    }
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
    registry.bearer("user", "CANARY-word");
    reads(&stand(), &registry).await.unwrap();
    assert_eq!(Model::new().scheme, "http");
}
