//! Stage 4: what `registries.toml` declares about hosts. Text in, checked declarations out, unknown keys refused with their place.
//! May read that file and the environment variables that name it, and the certificates it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::origin::{Home, Origin, is_loopback};
use crate::error::{Error, Result};
use crate::oci::{Registry, Repository};

/// Largest `registries.toml` and largest certificate file, in bytes.
const MOST_BYTES: u64 = 1 << 20;
/// Most mirrors of one host.
const MOST_MIRRORS: usize = 10;

/// The declared hosts.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    declared: BTreeMap<String, Host>,
}

/// What is declared about one host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Whether plain http is spoken; `None` where nothing is said (then loopback does, others do not).
    pub http: Option<bool>,
    /// Whether the TLS certificate is not checked.
    pub insecure: bool,
    /// Whom to ask first, in order: a registry, maybe with a path in front of all repositories.
    pub mirrors: Vec<(Registry, String)>,
    /// A PEM file with more certificate authorities.
    pub ca: Option<PathBuf>,
    /// PEM files with our own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    #[serde(default)]
    host: BTreeMap<String, WrittenHost>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenHost {
    http: Option<bool>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    mirrors: Vec<String>,
    ca: Option<PathBuf>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
}

/// Somewhere a repository can be asked for.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// The host.
    pub home: Home,
    /// The repository's path there.
    pub path: String,
    /// Whether it stands in for another registry.
    pub mirror: bool,
}

impl Hosts {
    /// Reads `$STILLFRAME_REGISTRIES`, else `registries.toml` in `$XDG_CONFIG_HOME/stillframe` or `~/.config/stillframe`;
    /// only a file that the variable names must exist.
    pub fn from_environment() -> Result<Hosts> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = set("STILLFRAME_REGISTRIES") {
            return Hosts::read_file(&path)?.ok_or_else(|| {
                Error::usage(format!("`{}` is not there, but `STILLFRAME_REGISTRIES` names it", path.display()))
            });
        }
        let Some(path) = Hosts::place() else { return Ok(Hosts::default()) };
        Ok(Hosts::read_file(&path)?.unwrap_or_default())
    }

    /// Where the file is looked for; `None` where there is no home.
    pub fn place() -> Option<PathBuf> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = || set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
        set("STILLFRAME_REGISTRIES").or_else(|| Some(base()?.join("stillframe/registries.toml")))
    }

    fn read_file(path: &Path) -> Result<Option<Hosts>> {
        let Some(bytes) = read_bounded(path)? else { return Ok(None) };
        let text = String::from_utf8(bytes)
            .map_err(|cause| Error::usage(format!("`{}` is not UTF-8", path.display())).because(cause))?;
        let base = path.parent().unwrap_or(Path::new("."));
        Hosts::read(&text, &path.display().to_string(), base).map(Some)
    }

    /// Reads the text of a `registries.toml`; `name` is for messages, relative paths in it begin at `base`.
    pub fn read(text: &str, name: &str, base: &Path) -> Result<Hosts> {
        let file: WrittenFile = toml::from_str(text).map_err(|cause| place(text, name, &cause))?;
        let mut declared = BTreeMap::new();
        for (key, written) in file.host {
            let within =
                |cause: Error| cause.context(format!("reading `[host.\"{}\"]` in `{name}`", key.escape_debug()));
            let registry: Registry = key.parse().map_err(within)?;
            declared.insert(registry.as_str().to_string(), meant(written, base).map_err(within)?);
        }
        Ok(Hosts { declared })
    }

    /// Whether a host (with its port, if it is not the usual one) is declared.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.declared.contains_key(name)
    }

    /// What is declared about a host.
    pub(super) fn host(&self, name: &str) -> Option<&Host> {
        self.declared.get(name)
    }

    /// The registry itself, as an endpoint without repository.
    pub(super) fn home(&self, registry: &Registry) -> Home {
        let host = match registry.host() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            host => host,
        };
        let loopback = is_loopback(host);
        let plain = self.host(registry.as_str()).and_then(|host| host.http).unwrap_or(loopback);
        let port = registry.port().unwrap_or(if plain { 80 } else { 443 });
        let origin = Origin { tls: !plain, host: host.to_string(), port };
        Home { name: registry.to_string(), origin, anonymous: false }
    }

    /// Where a repository can be read, mirrors first, the registry itself last.
    pub(super) fn readers(&self, repository: &Repository) -> Vec<Endpoint> {
        let mirrors = self.host(repository.registry.as_str()).map(|host| host.mirrors.as_slice()).unwrap_or_default();
        let mirror = |(registry, prefix): &(Registry, String)| Endpoint {
            home: self.home(registry),
            path: if prefix.is_empty() { repository.path.clone() } else { format!("{prefix}/{}", repository.path) },
            mirror: true,
        };
        mirrors.iter().map(mirror).chain([self.writer(repository)]).collect()
    }

    /// Where a repository is written: the registry itself.
    pub(super) fn writer(&self, repository: &Repository) -> Endpoint {
        Endpoint { home: self.home(&repository.registry), path: repository.path.clone(), mirror: false }
    }
}

fn meant(written: WrittenHost, base: &Path) -> Result<Host> {
    let client = match (written.client_cert, written.client_key) {
        (Some(certificate), Some(key)) => Some((base.join(certificate), base.join(key))),
        (None, None) => None,
        _ => return Err(Error::usage("`client-cert` and `client-key` go together")),
    };
    if written.http == Some(true) && (written.insecure || written.ca.is_some() || client.is_some()) {
        return Err(Error::usage("`http = true` excludes `insecure`, `ca` and `client-cert`: there is no TLS"));
    }
    if written.mirrors.len() > MOST_MIRRORS {
        return Err(Error::usage(format!("there are {} mirrors, {MOST_MIRRORS} are allowed", written.mirrors.len())));
    }
    let mirrors = written.mirrors.iter().map(|text| mirror(text)).collect::<Result<_>>()?;
    Ok(Host {
        http: written.http,
        insecure: written.insecure,
        mirrors,
        ca: written.ca.map(|path| base.join(path)),
        client,
    })
}

fn mirror(text: &str) -> Result<(Registry, String)> {
    let wrong = |cause: Error| cause.context(format!("reading the mirror `{}`", text.escape_debug()));
    let (host, prefix) = text.split_once('/').unwrap_or((text, ""));
    let registry: Registry = host.parse().map_err(wrong)?;
    if !prefix.is_empty() {
        format!("mirror.invalid/{prefix}").parse::<Repository>().map_err(wrong)?;
    }
    Ok((registry, prefix.to_string()))
}

fn place(text: &str, name: &str, cause: &toml::de::Error) -> Error {
    let at = cause.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Error::usage(format!("{name}:{line}:{column}: {}", cause.message()))
        .hint("a host is written `[host.\"registry.test:5000\"]` with `http`, `insecure`, `mirrors`, `ca`, `client-cert`, `client-key`")
}

/// All bytes of a small file; `None` where there is none.
pub(super) fn read_bounded(path: &Path) -> Result<Option<Vec<u8>>> {
    use std::io::Read;
    let doing = || format!("reading `{}`", path.display());
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(cause) if matches!(cause.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(cause) => return Err(Error::io(doing(), cause)),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|cause| Error::io(doing(), cause))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::local(format!("`{}` has over {MOST_BYTES} bytes, which is the limit", path.display())));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Hosts> {
        Hosts::read(text, "registries.toml", Path::new("/etc/x"))
    }

    #[test]
    fn what_is_declared_is_what_is_meant() {
        let text = "[host.\"docker.io\"]\nmirrors = [\"m.test:5000/hub\"]\n[host.\"corp.test:5000\"]\nhttp = true\n";
        let hosts = read(text).unwrap();
        let readers = hosts.readers(&"docker.io/library/nginx".parse().unwrap());
        let shown: Vec<String> =
            readers.iter().map(|reader| format!("{} {}", reader.home.origin.name(), reader.path)).collect();
        assert_eq!(shown, ["m.test:5000 hub/library/nginx", "registry-1.docker.io library/nginx"]);
        assert!(!hosts.home(&"corp.test:5000".parse().unwrap()).origin.tls);
        assert!(hosts.home(&"corp.test:5001".parse().unwrap()).origin.tls);
        let file = read("[host.\"a.test\"]\nca = \"ca.pem\"").unwrap();
        assert_eq!(file.host("a.test").unwrap().ca.as_deref(), Some(Path::new("/etc/x/ca.pem")));
    }

    #[test]
    fn loopback_speaks_http_unless_told_otherwise() {
        for (name, tls) in [
            ("localhost:5000", false),
            ("127.0.0.1:5000", false),
            ("127.9.9.9:5000", false),
            ("[::1]:5000", false),
            ("localhost.evil.test", true),
            ("127.0.0.1.evil.test", true),
            ("10.0.0.1:5000", true),
        ] {
            assert_eq!(Hosts::default().home(&name.parse().unwrap()).origin.tls, tls, "{name}");
        }
        let hosts = read("[host.\"localhost:5000\"]\nhttp = false").unwrap();
        assert!(hosts.home(&"localhost:5000".parse().unwrap()).origin.tls);
    }

    #[test]
    fn mistakes_have_a_place() {
        let error = read("[host.\"a.test\"]\nhtpp = true\n").unwrap_err();
        assert!(error.message().starts_with("registries.toml:2:1: unknown field `htpp`"), "{error}");
        for text in [
            "[host.\"a b\"]",
            "[host.\"a.test\"]\nclient-cert = \"x\"",
            "[host.\"a.test\"]\nhttp = true\ninsecure = true",
            "[host.\"a.test\"]\nmirrors = [\"m.test/UPPER\"]",
            "[hosts]",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
