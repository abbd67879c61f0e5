//! Stage 1: what `[[archive]]`, `[[copy]]`, `[trust-store]` and `[skeleton]` mean. Written tables in, checked values out; mistakes go into
//! the report. Pure.

use super::base::Base;
use super::config;
use super::grammar::nearest;
use super::items::source;
use super::meant::Source;
use super::read::Meaning;
use super::words;
use super::written::{Spot, View};
use crate::error::{Error, Finding, Place, Result, printable};
use crate::oci::platform::KNOWN;
use crate::oci::{Digest, Platform};

/// What is taken of an archive or of a directory of another image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pick {
    /// Only these globs; empty for all.
    pub include: Vec<(String, Place)>,
    /// Not these globs.
    pub exclude: Vec<(String, Place)>,
    /// The mode of the directories, if declared.
    pub dir_mode: Option<u16>,
}

/// An archive whose contents are put into the image.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Where it is.
    pub location: Location,
    /// How many leading parts of each path are dropped.
    pub strip: usize,
    /// What is taken of it.
    pub pick: Pick,
}

/// Where an archive is.
#[derive(Clone, Debug)]
pub enum Location {
    /// In the context; the digest is that which it must have, if one is said.
    File(Source, Option<Digest>),
    /// On the web, and what it must be.
    Web {
        /// The URL.
        url: String,
        /// Where that stands.
        place: Place,
        /// The digest of the whole file.
        digest: Digest,
    },
}

impl Location {
    /// As it is written.
    pub fn written(&self) -> &str {
        match self {
            Location::File(source, _) => &source.written,
            Location::Web { url, .. } => url,
        }
    }

    /// Where that stands.
    pub fn place(&self) -> &Place {
        match self {
            Location::File(source, _) => &source.place,
            Location::Web { place, .. } => place,
        }
    }
}

/// Files out of another image.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The image, pinned; never scratch.
    pub from: Base,
    /// Where that stands.
    pub place: Place,
    /// Of an index, the image for this platform.
    pub platform: Platform,
    /// A file or directory in it, absolute.
    pub path: String,
    /// What is taken of a directory.
    pub pick: Pick,
}

/// Certificates that are trusted.
#[derive(Clone, Debug)]
pub struct TrustStore {
    /// PEM files.
    pub files: Vec<Source>,
    /// Whether those of the base are trusted too.
    pub keep: bool,
}

/// What any system has; each part is only made where nothing else is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skeleton {
    /// `/tmp` and `/var/tmp`.
    pub tmp: bool,
    /// `/etc/passwd` and `/etc/group`.
    pub accounts: bool,
    /// The homes of declared users.
    pub homes: bool,
    /// `/etc/nsswitch.conf`.
    pub nsswitch: bool,
    /// `/etc/os-release`.
    pub os_release: bool,
}

pub(super) fn archive(meaning: &mut Meaning, view: &View) -> Option<Archive> {
    let strip = view.number("strip").and_then(|spot| usize::try_from(spot.value).ok()).unwrap_or(0);
    let (location, pick) = (location(meaning, view), pick(meaning, view));
    // One for other platforms is looked at, but makes nothing here.
    for_this_platform(meaning, view).then_some(Archive { location: location?, strip, pick })
}

fn for_this_platform(meaning: &mut Meaning, view: &View) -> bool {
    let Some(list) = view.list("platforms") else { return true };
    let spots = list.value.clone();
    let platforms: Vec<Platform> = spots.iter().filter_map(|spot| meaning.parsed(spot, "platform", platform)).collect();
    meaning.scope.platform.as_ref().is_none_or(|own| platforms.contains(own))
}

fn location(meaning: &mut Meaning, view: &View) -> Option<Location> {
    let sum = view.text("sha256").map(|spot| meaning.parsed(spot, "digest", sum));
    match (view.text("src"), view.text("url")) {
        (Some(src), Some(url)) => {
            let finding = Finding::error("conflict", "`src` and `url` stand in one `[[archive]]`");
            let finding = finding.at(&url.place, "the URL is here").and(&src.place, "and the file is here");
            meaning.report.add(finding.help("keep one of them"));
            None
        }
        (None, None) => {
            let finding = Finding::error("missing-key", "an `[[archive]]` needs `src` or `url`").at(&view.place, "");
            meaning.report.add(finding.help("add `src = \"path\"`, or `url = \"https://…\"` and `sha256 = \"…\"`"));
            None
        }
        (Some(src), None) => {
            let source = source(meaning, src)?;
            match sum {
                Some(digest) => Some(Location::File(source, Some(digest?))),
                None => Some(Location::File(source, None)),
            }
        }
        (None, Some(spot)) => {
            let url = meaning.parsed(spot, "url", url);
            if sum.is_none() {
                let finding = Finding::error("missing-key", "what is fetched needs `sha256`").at(&spot.place, "");
                meaning.report.add(finding.help(
                    "what stands at a URL can change; add `sha256 = \"…\"`, which whoever publishes the file may tell, \
                     or `sha256sum` does",
                ));
            }
            Some(Location::Web { url: url?, place: spot.place.clone(), digest: sum?? })
        }
    }
}

/// A SHA-256 in hex digits, with or without the algorithm in front.
fn sum(text: &str) -> Result<Digest> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let digest = format!("sha256:{}", hex.to_ascii_lowercase()).parse();
    digest.map_err(|_| Error::usage(format!("`{}` is no SHA-256, which has 64 hex digits", printable(text))))
}

/// A platform; a misspelt one is told with that which was probably meant.
fn platform(text: &str) -> Result<Platform> {
    text.parse().map_err(|error: Error| match nearest(text, KNOWN.iter().map(|(name, _)| *name)) {
        Some(near) => error.hint(format!("did you mean \"{near}\"?")),
        None => error,
    })
}

/// A URL that can be fetched: http or https, without credentials; a fragment names no file.
fn url(text: &str) -> Result<String> {
    let wrong = |why: &str| Err(Error::usage(format!("`{}` cannot be fetched: {why}", printable(text))));
    let Some((scheme, rest)) = text.split_once("://") else { return wrong("it is no URL") };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match scheme {
        _ if authority.is_empty() => wrong("it names no host"),
        "http" | "https" if authority.contains('@') => wrong("it holds a user or a password"),
        "http" | "https" if !text.bytes().all(|byte| byte.is_ascii_graphic()) => wrong("it holds what no URL holds"),
        "http" | "https" if text.contains('#') => wrong("a part behind `#` names no file"),
        "http" | "https" => Ok(text.to_string()),
        _ => wrong("it is neither http nor https"),
    }
}

fn pick(meaning: &mut Meaning, view: &View) -> Pick {
    Pick {
        include: meaning.list(view, "include").unwrap_or_default(),
        exclude: meaning.list(view, "exclude").unwrap_or_default(),
        dir_mode: view.mode("dir-mode").map(|mode| mode.value),
    }
}

pub(super) fn taken(meaning: &mut Meaning, view: &View) -> Option<Taken> {
    let from = view.text("from").and_then(|spot| {
        let place = spot.place.clone();
        config::reference(meaning, spot, "from").map(|from| (from, place))
    });
    let path = view.text("src").and_then(|spot| meaning.parsed(spot, "path", words::absolute));
    let own = meaning.scope.platform.clone();
    let platform = match view.text("platform") {
        Some(spot) => meaning.parsed(spot, "platform", platform),
        None => own,
    };
    let pick = pick(meaning, view);
    let (from, place) = from?;
    Some(Taken { from, place, platform: platform?, path: path?, pick })
}

pub(super) fn trust_store(meaning: &mut Meaning, view: &View) -> Option<TrustStore> {
    let spots: Vec<Spot<String>> = match (view.text("src"), view.list("src")) {
        (Some(spot), _) => vec![spot.clone()],
        (None, Some(list)) => list.value.clone(),
        (None, None) => return None,
    };
    let files = spots.iter().filter_map(|spot| source(meaning, spot)).collect();
    Some(TrustStore { files, keep: view.text("base").is_none_or(|spot| spot.value != "replace") })
}

pub(super) fn skeleton(view: &View) -> Skeleton {
    let part = |key: &str| view.flag(key).unwrap_or(true);
    Skeleton {
        tmp: part("tmp"),
        accounts: part("accounts"),
        homes: part("homes"),
        nsswitch: part("nsswitch"),
        os_release: part("os-release"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_sums() {
        for fine in ["https://a.test/x.tar.gz", "http://127.0.0.1:8080/x?y=z", "https://[::1]/x"] {
            assert_eq!(url(fine).unwrap(), fine);
        }
        for wrong in [
            "",
            "x.tar",
            "ftp://a/x",
            "https://",
            "https:///x",
            "https://u@a/x",
            "https://u:p@a/x",
            "https://a/x y",
            "https://a/ü",
            "https://a/x#y",
            "file:///x",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
        let hex = "0aF".repeat(21) + "0";
        assert_eq!(sum(&hex).unwrap().hex(), hex.to_lowercase());
        assert_eq!(sum(&format!("sha256:{hex}")).unwrap().hex(), hex.to_lowercase());
        for wrong in ["", "sha256:", "sha512:00", &hex[1..], "g".repeat(64).as_str()] {
            assert!(sum(wrong).is_err(), "{wrong}");
        }
    }
}
