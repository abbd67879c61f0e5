//! Stage 8: package URLs. Type, name and version in, `pkg:…` out, and back (the package-url specification and its PURL-TYPES). Pure.

use std::collections::BTreeMap;

use crate::oci::{Digest, Repository};

/// A package URL that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purl {
    /// Its type: `deb`, `apk`, `cargo`, `golang`, `oci` …
    pub kind: String,
    /// What stands before the name, joined by `/`; may be empty.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The version, if it has one.
    pub version: Option<String>,
    /// What else it says.
    pub qualifiers: BTreeMap<String, String>,
}

impl Purl {
    /// Reads a package URL; `None` where it is none. A part behind `#` is passed over.
    pub fn read(text: &str) -> Option<Purl> {
        let rest = text.trim().strip_prefix("pkg:")?.trim_start_matches('/');
        let rest = rest.split('#').next()?;
        let (rest, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, rest) = rest.split_once('/')?;
        // A version's own `@` is written `%40`, a namespace's may stand as it is.
        let (path, version) = match rest.rsplit_once('@') {
            Some((path, version)) if !version.contains('/') && !path.is_empty() => (path, Some(version)),
            _ => (rest, None),
        };
        let mut parts = Vec::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            parts.push(decoded(part)?);
        }
        let kind = kind.to_ascii_lowercase();
        let name = parts.pop()?;
        let version = match version {
            Some(version) => Some(decoded(version)?),
            None => None,
        };
        let pairs = qualifiers.split('&').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(key, value)| Some((key.to_ascii_lowercase(), decoded(value)?)));
        Some(Purl { namespace: parts.join("/"), version, qualifiers: pairs.collect::<Option<_>>()?, kind, name })
    }

    /// Whether what is asked for is this: what the asked one does not say does not matter.
    pub fn fits(&self, other: &Purl) -> bool {
        let text = |text: &str| if self.kind == "golang" { text.to_lowercase() } else { text.to_string() };
        let version = |text: &str| text.strip_prefix('v').filter(|_| self.kind == "golang").unwrap_or(text).to_string();
        let said = |asked: &Option<String>, has: &Option<String>| {
            asked.as_deref().is_none_or(|asked| has.as_deref().map(version) == Some(version(asked)))
        };
        let qualified = |(key, value): (&String, &String)| other.qualifiers.get(key) == Some(value);
        self.kind == other.kind
            && text(&self.namespace) == text(&other.namespace)
            && text(&self.name) == text(&other.name)
            && said(&self.version, &other.version)
            && self.qualifiers.iter().all(qualified)
    }

    /// The source package that a package was built from.
    pub fn source(&self, name: &str, version: &str) -> Purl {
        let mut source = Purl { name: name.to_string(), version: Some(version.to_string()), ..self.clone() };
        source.qualifiers.insert("arch".to_string(), "source".to_string());
        source
    }
}

/// `pkg:KIND/NAMESPACE/NAME@VERSION?QUALIFIERS`; parts that are empty are left out. The qualifiers are sorted by their names.
pub fn purl(kind: &str, path: &[&str], version: Option<&str>, qualifiers: &[(&str, Option<&str>)]) -> String {
    let parts = path.iter().flat_map(|part| part.split('/')).filter(|part| !part.is_empty()).map(encoded);
    let mut text = format!("pkg:{kind}/{}", parts.collect::<Vec<_>>().join("/"));
    if let Some(version) = version.filter(|version| !version.is_empty()) {
        text += &format!("@{}", encoded(version));
    }
    let mut known: Vec<String> = qualifiers
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", encoded(value.filter(|value| !value.is_empty())?))))
        .collect();
    known.sort();
    if known.is_empty() { text } else { format!("{text}?{}", known.join("&")) }
}

/// The package URL of an image in a registry.
pub fn image(repository: &Repository, digest: &Digest, tag: Option<&str>, arch: Option<&str>) -> String {
    let name = repository.last().to_lowercase();
    let place = repository.to_string();
    let qualifiers = [("arch", arch), ("repository_url", Some(place.as_str())), ("tag", tag)];
    purl("oci", &[&name], Some(&digest.to_string()), &qualifiers)
}

/// Percent-encodes all but what the specification leaves as it is; the colon stays too.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte);
    let show = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(show).collect()
}

/// Undoes what [`encoded`] does; `None` where that is no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => u8::try_from(hex(rest.next())? << 4 | hex(rest.next())?).ok()?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_are_read_and_asked_for() {
        let read = |text: &str| Purl::read(text).unwrap();
        let libssl = read("pkg:deb/debian/libssl3@1:3.0.11-1~deb12u2%2Bb1?arch=amd64&distro=debian-12");
        assert_eq!(
            (libssl.kind.as_str(), libssl.namespace.as_str(), libssl.name.as_str()),
            ("deb", "debian", "libssl3")
        );
        assert_eq!(libssl.version.as_deref(), Some("1:3.0.11-1~deb12u2+b1"));
        let fits = |asked: &str, expect: bool| assert_eq!(read(asked).fits(&libssl), expect, "{asked}");
        fits("pkg:deb/debian/libssl3", true);
        fits("pkg:deb/debian/libssl3?distro=debian-12", true);
        fits("pkg:deb/debian/libssl3@1:3.0.11-1~deb12u2%2Bb1", true);
        fits("pkg:deb/debian/libssl3@3", false);
        fits("pkg:deb/debian/libssl3?distro=debian-11", false);
        fits("pkg:deb/ubuntu/libssl3", false);
        fits("pkg:apk/debian/libssl3", false);
        let source = libssl.source("openssl", "3.0.11-1");
        assert!(read("pkg:deb/debian/openssl@3.0.11-1?arch=source").fits(&source));
        let go = read("pkg:golang/github.com/acme/lib@v1.2.3");
        assert_eq!((go.namespace.as_str(), go.name.as_str()), ("github.com/acme", "lib"));
        assert!(read("pkg:golang/github.com/Acme/Lib@1.2.3#sub/path").fits(&go));
        assert_eq!(read("pkg:npm/@acme/x").namespace, "@acme");
        for wrong in ["", "pkg:", "pkg:deb", "pkg:deb/", "http://x", "pkg:deb/%zz", "pkg:deb/%ff"] {
            assert_eq!(Purl::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn package_urls_are_written_as_specified() {
        let check = |text: String, expect: &str| assert_eq!(text, expect);
        let distro = [("distro", Some("debian-12")), ("arch", Some("amd64"))];
        check(
            purl("deb", &["debian", "g++"], Some("1:2.3+b1~x"), &distro),
            "pkg:deb/debian/g%2B%2B@1:2.3%2Bb1~x?arch=amd64&distro=debian-12",
        );
        check(purl("golang", &["github.com/a/b"], None, &[("x", None)]), "pkg:golang/github.com/a/b");
        check(purl("cargo", &["ü"], Some(""), &[]), "pkg:cargo/%C3%BC");
        let digest = Digest::of(b"");
        let repository = "example.com:5000/acme/App".replace("App", "app").parse().unwrap();
        let place = "repository_url=example.com:5000%2Facme%2Fapp";
        check(image(&repository, &digest, Some("1"), None), &format!("pkg:oci/app@{digest}?{place}&tag=1"));
    }
}
