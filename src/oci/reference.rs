//! Stage 0: names of images. `host/path:tag@digest` in, checked parts out, or the rule that was broken. Pure.
//!
//! The grammar is that of the distribution spec (spec.md, "Pulling manifests") with Docker's short names for Docker Hub.

use std::fmt;
use std::str::FromStr;

use super::digest::Digest;
use crate::error::{Error, Result};

/// A registry's host with its port, as the user names it (`docker.io`, `localhost:5000`, `[::1]:5000`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Registry(String);

impl Registry {
    /// The name as written, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without the port.
    pub fn host(&self) -> &str {
        split_port(&self.0).0
    }

    /// The port, if one was named.
    pub fn port(&self) -> Option<u16> {
        split_port(&self.0).1.and_then(|port| port.parse().ok())
    }
}

impl FromStr for Registry {
    type Err = Error;

    fn from_str(text: &str) -> Result<Registry> {
        let wrong = |rule: &str| Error::usage(format!("`{}` is not a registry: {rule}", text.escape_debug()));
        let (host, port) = split_port(text);
        if let Some(port) = port {
            let digits = !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || !matches!(port.parse::<u32>(), Ok(1..=65535)) {
                return Err(wrong("the port must be a number from 1 to 65535"));
            }
        }
        if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            inner.parse::<std::net::Ipv6Addr>().map_err(|_| wrong("the brackets must hold an IPv6 address"))?;
            return Ok(Registry(text.to_ascii_lowercase()));
        }
        let label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if host.len() > 253 || !host.split('.').all(label) {
            return Err(wrong("a host is made of letters, digits and `-`, in parts joined by `.`"));
        }
        Ok(Registry(text.to_ascii_lowercase()))
    }
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    if text.starts_with('[') {
        return match text.split_once("]:") {
            Some((host, port)) => (&text[..host.len() + 1], Some(port)),
            None => (text, None),
        };
    }
    text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository: a registry and a path in it, without tag and digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    /// The registry.
    pub registry: Registry,
    /// The path, `library/nginx` for Docker Hub's `nginx`.
    pub path: String,
}

impl Repository {
    /// The last part of the path.
    pub fn last(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl FromStr for Repository {
    type Err = Error;

    fn from_str(text: &str) -> Result<Repository> {
        let reference: Reference = text.parse()?;
        if reference.tag.is_some() || reference.digest.is_some() {
            return Err(Error::usage(format!("`{text}` must be a name without tag and digest"))
                .hint(format!("write `{}`", reference.repository)));
        }
        Ok(reference.repository)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// A tag: a letter, digit or `_`, then up to 127 of letters, digits, `.`, `_`, `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Tag> {
        let first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let rule = if text.is_empty() {
            "it is empty".to_string()
        } else if text.len() > 128 {
            format!("it has {} characters, 128 are allowed", text.len())
        } else if !first(text.as_bytes()[0]) {
            "it must begin with a letter, a digit or `_`".to_string()
        } else if !text.bytes().all(|byte| first(byte) || byte == b'.' || byte == b'-') {
            "only letters, digits, `_`, `.` and `-` are allowed".to_string()
        } else {
            return Ok(Tag(text.to_string()));
        };
        let shown: String = text.chars().take(140).collect();
        Err(Error::usage(format!("`{}` is not a tag: {rule}", shown.escape_debug())))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An image's name as a person writes it: a repository with a tag, a digest, both or neither.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Where it is.
    pub repository: Repository,
    /// The tag, if written.
    pub tag: Option<Tag>,
    /// The digest, if written.
    pub digest: Option<Digest>,
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Reference> {
        let wrong = |rule: String| {
            let shown: String = text.chars().take(300).collect();
            Error::usage(format!("`{}` is not an image reference: {rule}", shown.escape_debug()))
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse::<Digest>().map_err(|cause| wrong(cause.message().into()))?))
            }
            None => (text, None),
        };
        let (name, tag) = match rest.rfind(':') {
            Some(at) if !rest[at..].contains('/') => (&rest[..at], Some(&rest[at + 1..])),
            _ => (rest, None),
        };
        let tag = tag.map(str::parse::<Tag>).transpose().map_err(|cause| wrong(cause.message().into()))?;
        let (registry, path) = split_name(name);
        let registry = registry.parse::<Registry>().map_err(|cause| wrong(cause.message().into()))?;
        check_path(&path).map_err(wrong)?;
        if registry.as_str().len() + 1 + path.len() > 255 {
            return Err(wrong("a name may have 255 characters".into()));
        }
        Ok(Reference { repository: Repository { registry, path }, tag, digest })
    }
}

/// Docker's rule: the first part is a host if it holds `.` or `:`, begins with `[` or is `localhost`; else Docker Hub is meant.
fn split_name(name: &str) -> (&str, String) {
    match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':', '[']) && !first.starts_with('.') || first == "localhost" => {
            match (first.to_ascii_lowercase().as_str(), rest.contains('/')) {
                ("docker.io" | "index.docker.io", false) => ("docker.io", format!("library/{rest}")),
                ("index.docker.io", true) => ("docker.io", rest.to_string()),
                _ => (first, rest.to_string()),
            }
        }
        Some(_) => ("docker.io", name.to_string()),
        None => ("docker.io", format!("library/{name}")),
    }
}

fn check_path(path: &str) -> Result<(), String> {
    for part in path.split('/') {
        if part.is_empty() {
            return Err("a part of its path is empty".into());
        }
        if part.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("its path must be lower case, unlike `{part}`"));
        }
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let mut separators = part.split(|character: char| character.is_ascii() && is_word(character as u8));
        let joined = separators.all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|byte| byte == b'-'));
        let ends = is_word(part.as_bytes()[0]) && is_word(part.as_bytes()[part.len() - 1]);
        if !joined || !ends {
            return Err(format!(
                "`{}` must be made of a-z and 0-9, joined by `.`, `_`, `__` or `-`",
                part.escape_debug()
            ));
        }
    }
    Ok(())
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// A reference that cannot move: it always has a digest. The tag is for people and for `update`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pinned {
    /// Where it is.
    pub repository: Repository,
    /// The tag it was pinned from.
    pub tag: Option<Tag>,
    /// What it is.
    pub digest: Digest,
}

impl Reference {
    /// The pinned form, if a digest is there.
    pub fn pinned(self) -> Option<Pinned> {
        let Reference { repository, tag, digest } = self;
        digest.map(|digest| Pinned { repository, tag, digest })
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        write!(f, "@{}", self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_pass() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, shown) in [
            ("nginx", "docker.io/library/nginx".to_string()),
            ("acme/app:1", "docker.io/acme/app:1".into()),
            ("docker.io/nginx", "docker.io/library/nginx".into()),
            ("index.docker.io/acme/x", "docker.io/acme/x".into()),
            ("Docker.io/nginx", "docker.io/library/nginx".into()),
            ("INDEX.docker.io/acme/x", "docker.io/acme/x".into()),
            ("Host.test/x", "host.test/x".into()),
            ("localhost/x", "localhost/x".into()),
            ("localhost:5000/x/y:T_1.2-3", "localhost:5000/x/y:T_1.2-3".into()),
            ("[::1]:5000/x", "[::1]:5000/x".into()),
            ("127.0.0.1:5000/a--b/c__d", "127.0.0.1:5000/a--b/c__d".into()),
            (&format!("gcr.io/a/b:t@{digest}"), format!("gcr.io/a/b:t@{digest}")),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn references_that_are_refused() {
        let long_tag = format!("host.test/x:{}", "t".repeat(129));
        let long_name = format!("host.test/{}", "x".repeat(250));
        for text in [
            "",
            "../x",
            "a//b",
            "UPPER/x",
            "%2e%2e/x",
            &long_tag,
            &long_name,
            "host:99999/x",
            "host:0/x",
            "x/",
            "/x",
            "host.test/x/",
            "x@sha256:12",
            "x:",
            "x:-a",
            "a___b",
            "a..b",
            "-a/x",
            "host.test/-x",
            "host.test/x-",
            "x y",
            "x\n",
            "é/x",
            "[::1/x",
            "[zz]:1/x",
            "host..test/x",
            "a.b:5000",
        ] {
            let parsed = text.parse::<Reference>();
            let fine = text == "a.b:5000"; // a short name with a tag, as docker reads it
            assert_eq!(parsed.is_ok(), fine, "{text:?} {parsed:?}");
        }
    }
}
