//! Stage 4: the one choke point for addresses that a server names. A URL and how it came in, a leg that may be walked out, and whether our
//! credentials may go along. Pure but for the name look-up of [`Home::standing`].
//!
//! Redirects, upload locations, token realms and links all pass [`Home::follow`]: credentials belong to scheme, host and port;
//! TLS is never lowered; ranges that are private to a machine or a network are not entered from outside (NET-01).

use std::net::IpAddr;

use reqwest::Url;

use super::hosts::Hosts;
use super::settings::Names;
use crate::error::{Error, Result};

/// Scheme, host and port: what a credential belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The host in lower case, IPv6 in brackets.
    pub host: String,
    /// The port, spelled out.
    pub port: u16,
}

impl Origin {
    /// The origin of an http or https URL.
    pub fn of(url: &Url) -> Option<Origin> {
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Origin { tls, host: url.host_str()?.to_ascii_lowercase(), port: url.port_or_known_default()? })
    }

    /// The name that `registries.toml` and people use: without the port that goes without saying.
    pub fn name(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// How a server named an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// A 3xx answer.
    Redirect,
    /// The `Location` of an upload.
    Upload,
    /// The `realm` of a challenge.
    Realm,
    /// The next page of a list.
    Link,
}

impl Via {
    fn name(self) -> &'static str {
        match self {
            Via::Redirect => "redirect",
            Via::Upload => "`Location` header",
            Via::Realm => "token `realm`",
            Via::Link => "`Link` header",
        }
    }
}

/// An address that may be asked.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    /// Where to.
    pub url: Url,
    /// Whether it is the registry itself, so that its credentials may go along.
    pub own: bool,
    /// The private ranges that a name there may lead into; `None` where it may be anywhere.
    pub guard: Option<Vec<Range>>,
}

/// A registry (or mirror, or place on the web) as the user named it: the root of all trust in addresses.
#[derive(Clone, Debug)]
pub(super) struct Home {
    /// The registry's name for people and for credentials.
    pub name: String,
    /// Where its API is.
    pub origin: Origin,
    /// Whether it is only a place on the web, where no credential of a registry belongs.
    pub anonymous: bool,
}

impl Home {
    /// A leg to the registry itself.
    pub fn leg(&self, path_and_query: &str) -> Result<Leg> {
        let scheme = if self.origin.tls { "https" } else { "http" };
        let text = format!("{scheme}://{}:{}{path_and_query}", self.origin.host, self.origin.port);
        let url = Url::parse(&text)
            .map_err(|cause| Error::usage(format!("`{}` is not a registry", self.name)).because(cause))?;
        Ok(Leg { url, own: true, guard: None })
    }

    /// Judges an address that came from a server.
    pub async fn follow(&self, from: &Url, text: &str, via: Via, hosts: &Hosts, names: &Names) -> Result<Leg> {
        let url = from.join(text).map_err(|cause| {
            Error::remote(format!("`{}` sent a {} that is not a URL", self.name, via.name())).because(cause)
        })?;
        let Some(origin) = Origin::of(&url) else {
            return Err(self.refuse(via, &url, "it is neither http nor https"));
        };
        if origin == self.origin {
            return Ok(Leg { url: bare(url), own: !self.anonymous, guard: None });
        }
        if via == Via::Link {
            return Err(self.refuse(via, &url, "a list goes on at the registry itself only"));
        }
        if self.origin.tls && !origin.tls {
            return Err(self.refuse(via, &url, "it would lower https to http"));
        }
        if hosts.declares(&origin.name()) {
            return Ok(Leg { url: bare(url), own: false, guard: None });
        }
        let standing = self.standing(names).await;
        if let Some(range) = literal(&origin.host).and_then(Range::of)
            && !standing.contains(&range)
        {
            return Err(self
                .refuse(via, &url, &format!("it leads to {}", range.name()))
                .hint(format!("if that is meant, declare `[host.\"{}\"]` in `registries.toml`", origin.name())));
        }
        Ok(Leg { url: bare(url), own: false, guard: literal(&origin.host).is_none().then_some(standing) })
    }

    fn refuse(&self, via: Via, url: &Url, why: &str) -> Error {
        Error::remote(format!("`{}` sent a {} to `{}`, which is refused: {why}", self.name, via.name(), redacted(url)))
    }

    /// The private ranges that the registry itself stands in; none for one that is in the public.
    async fn standing(&self, names: &Names) -> Vec<Range> {
        if let Some(address) = literal(&self.origin.host) {
            return Range::of(address).into_iter().collect();
        }
        let host = self.origin.host.trim_end_matches('.');
        if host == "localhost" {
            return vec![Range::Loopback];
        }
        let found = names.resolve(host).await.unwrap_or_default();
        found.into_iter().filter_map(|(stands, _)| Range::of(stands)).collect()
    }
}

/// A URL without user and fragment.
fn bare(mut url: Url) -> Url {
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url
}

/// A URL as it may be shown: without user, query and fragment, and not too long.
pub(super) fn redacted(url: &Url) -> String {
    let mut url = bare(url.clone());
    let hidden = url.query().is_some();
    url.set_query(None);
    let mut text: String = url.as_str().chars().take(300).collect();
    if hidden {
        text.push_str("?…");
    }
    text
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether a host (without port) is this machine by its name alone.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || literal(host).and_then(Range::of) == Some(Range::Loopback)
}

/// Addresses that mean something else for each machine or network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    Loopback,
    LinkLocal,
    Private,
    Unspecified,
}

impl Range {
    /// The range that an address is in; `None` for one that is public.
    pub fn of(address: IpAddr) -> Option<Range> {
        let address = match address {
            IpAddr::V6(six) => embedded(six).map_or(address, IpAddr::V4),
            four => four,
        };
        match address {
            IpAddr::V4(four) if four.is_loopback() => Some(Range::Loopback),
            IpAddr::V4(four) if four.is_link_local() => Some(Range::LinkLocal),
            IpAddr::V4(four) if four.octets()[0] == 0 || four.is_multicast() || four.is_broadcast() => {
                Some(Range::Unspecified)
            }
            IpAddr::V4(four) if four.is_private() || (four.octets()[0] == 100 && four.octets()[1] & 0xc0 == 64) => {
                Some(Range::Private)
            }
            IpAddr::V6(six) if six.is_loopback() => Some(Range::Loopback),
            IpAddr::V6(six) if six.is_unspecified() || six.is_multicast() => Some(Range::Unspecified),
            IpAddr::V6(six) if six.is_unicast_link_local() => Some(Range::LinkLocal),
            IpAddr::V6(six) if six.is_unique_local() => Some(Range::Private),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Range::Loopback => "this machine",
            Range::LinkLocal => "a link-local address",
            Range::Private => "a private network",
            Range::Unspecified => "no address of a host",
        }
    }
}

/// The IPv4 address that an IPv6 address stands for (mapped, compatible, NAT64 or 6to4).
fn embedded(six: std::net::Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let [a, b, .., y, z] = six.segments();
    let last = || std::net::Ipv4Addr::from((u32::from(y) << 16) | u32::from(z));
    if let Some(mapped) = six.to_ipv4_mapped() {
        return Some(mapped);
    }
    match (a, b) {
        (0x64, 0xff9b) => Some(last()),
        (0x2002, high) => Some(std::net::Ipv4Addr::from((u32::from(high) << 16) | u32::from(six.segments()[2]))),
        (0, 0) if six.segments()[..6].iter().all(|part| *part == 0) && y != 0 => Some(last()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    fn home(url: &str) -> Home {
        let origin = Origin::of(&Url::parse(url).unwrap()).unwrap();
        Home { name: origin.name(), origin, anonymous: false }
    }

    fn names() -> Names {
        let entry = |name: &str, address: &str| {
            let address: IpAddr = address.parse().unwrap();
            (name.to_string(), (address, (address, 0).into()))
        };
        Names::Fixed(Arc::new(BTreeMap::from([
            entry("public.test", "203.0.113.9"),
            entry("corp.test", "10.1.2.3"),
            entry("storage.test", "203.0.113.10"),
        ])))
    }

    async fn follow(from: &str, to: &str, via: Via) -> Result<Leg> {
        let home = home(from);
        home.follow(&Url::parse(from).unwrap(), to, via, &Hosts::default(), &names()).await
    }

    #[tokio::test]
    async fn net_01_private_ranges_are_not_entered_from_outside() {
        for to in [
            "https://169.254.169.254/latest",
            "https://127.0.0.1/x",
            "https://[::1]/x",
            "https://0.0.0.0/x",
            "https://10.0.0.1/x",
            "https://100.64.0.1/x",
            "https://[::ffff:127.0.0.1]/x",
            "https://[::127.0.0.1]/x",
            "https://[64:ff9b::7f00:1]/x",
            "https://[2002:7f00:1::]/x",
            "https://2130706433/x",
            "https://0x7f.1/x",
        ] {
            for via in [Via::Redirect, Via::Upload, Via::Realm, Via::Link] {
                assert!(follow("https://public.test/v2/", to, via).await.is_err(), "{to}");
            }
        }
        let fine = follow("https://public.test/v2/", "https://storage.test/x", Via::Redirect).await.unwrap();
        assert!(!fine.own && fine.guard == Some(Vec::new()));
        assert!(follow("https://public.test/v2/", "https://203.0.113.7/x", Via::Redirect).await.is_ok());
        assert!(follow("https://corp.test/v2/", "https://10.0.0.1/x", Via::Redirect).await.is_ok(), "same range");
        assert!(follow("https://corp.test/v2/", "https://127.0.0.1/x", Via::Redirect).await.is_err());
        assert!(follow("http://127.0.0.1:5000/v2/", "http://169.254.169.254/", Via::Redirect).await.is_err());
        assert!(follow("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5001/", Via::Redirect).await.is_ok());
    }

    #[tokio::test]
    async fn aut_02_credentials_belong_to_scheme_host_and_port() {
        for (to, own) in [
            ("/v2/x", Some(true)),
            ("https://public.test:443/v2/x", Some(true)),
            ("https://PUBLIC.test/v2/x", Some(true)),
            ("https://user:word@public.test/v2/x", Some(true)),
            ("https://public.test:444/v2/x", Some(false)),
            ("https://storage.test/x", Some(false)),
            ("http://public.test/v2/x", None),
            ("http://public.test:443/v2/x", None),
            ("ftp://public.test/v2/x", None),
            ("https://", None),
        ] {
            let leg = follow("https://public.test/v2/", to, Via::Redirect).await.ok();
            assert_eq!(leg.as_ref().map(|leg| leg.own), own, "{to}");
            assert!(leg.is_none_or(|leg| leg.url.username().is_empty()));
        }
    }

    #[test]
    fn aut_15_urls_are_shown_without_what_may_be_secret() {
        let url = Url::parse("https://user:word@host.test/path?token=x#y").unwrap();
        assert_eq!(redacted(&url), "https://host.test/path?…");
    }
}
