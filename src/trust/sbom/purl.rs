//! Stage 8: package URLs. Type, name and version in, `pkg:…` out (the package-url specification and its PURL-TYPES). Pure.

use crate::oci::{Digest, Repository};

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

#[cfg(test)]
mod tests {
    use super::*;

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
