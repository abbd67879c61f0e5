//! Stage 4: lists that go over pages. A repository in, its tags out, sorted; pages and bytes are bounded.

use std::collections::BTreeSet;

use reqwest::header::LINK;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use super::Client;
use super::failure::header;
use super::hosts::Endpoint;
use super::origin::{Leg, Via};
use super::wire::{Reply, Wire};
use crate::error::{Error, Result};
use crate::oci::{Repository, Tag};

/// Largest page of a list, in bytes.
pub(super) const MOST_BYTES: u64 = 16 << 20;
/// Most pages of a list.
pub(super) const MOST_PAGES: usize = 1000;
/// Most tags of a repository.
const MOST_TAGS: usize = 200_000;

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<Value>>,
}

impl Client {
    /// All tags of a repository, sorted, without doubles. What is no tag by the grammar is left out.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>> {
        let context = |cause: Error| cause.context(format!("listing the tags of `{repository}`"));
        let endpoint = self.writer(repository);
        self.tags_at(&endpoint).await.map_err(context)
    }

    async fn tags_at(&self, endpoint: &Endpoint) -> Result<Vec<Tag>> {
        let scopes = endpoint.pull();
        let mut call = endpoint.call(Method::GET, "tags/list", &scopes)?;
        let mut tags = BTreeSet::new();
        let mut pages = Pages::default();
        loop {
            let reply = self.0.fetch(&call, MOST_BYTES).await?;
            match reply.status {
                StatusCode::OK => {}
                // A repository without tags is unknown to some registries. A page that was named to us is not.
                StatusCode::NOT_FOUND if pages.0.is_empty() => return Ok(Vec::new()),
                _ => return Err(reply.refusal()),
            }
            let page: Page = serde_json::from_slice(&reply.body)
                .map_err(|cause| Error::remote("the list of tags is not what it should be").because(cause))?;
            let written = page.tags.unwrap_or_default();
            tags.extend(written.iter().filter_map(Value::as_str).filter_map(|text| text.parse::<Tag>().ok()));
            if tags.len() > MOST_TAGS {
                return Err(Error::remote(format!("there are over {MOST_TAGS} tags, which is the limit")));
            }
            match pages.next(&self.0, endpoint, &reply).await? {
                Some(leg) => call.leg = leg,
                None => return Ok(tags.into_iter().collect()),
            }
        }
    }
}

/// The pages of a list that were seen.
#[derive(Default)]
pub(super) struct Pages(BTreeSet<Url>);

impl Pages {
    /// Where the next page is, if there is one.
    pub async fn next(&mut self, wire: &Wire, endpoint: &Endpoint, reply: &Reply) -> Result<Option<Leg>> {
        self.0.insert(reply.leg.url.clone());
        let Some(target) = header(&reply.headers, LINK.as_str()).and_then(next) else { return Ok(None) };
        let settings = &wire.settings;
        let leg = endpoint.home.follow(&reply.leg.url, target, Via::Link, &settings.hosts, &settings.names).await?;
        if self.0.contains(&leg.url) {
            return Err(Error::remote("the list goes in circles: its next page is one that came before"));
        }
        if self.0.len() >= MOST_PAGES {
            return Err(Error::remote(format!("the list has over {MOST_PAGES} pages, which is the limit")));
        }
        Ok(Some(leg))
    }
}

/// The target of the first link with `rel=next` (RFC 8288).
pub(super) fn next(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let end = after.find('<').unwrap_or(after.len());
        let (parameters, following) = after.split_at(end);
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or_default();
            key.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = following;
    }
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn links_are_read_in_all_their_forms() {
        for (text, expected) in [
            ("</v2/x/tags/list?last=a&n=2>; rel=\"next\"", Some("/v2/x/tags/list?last=a&n=2")),
            ("<a>; rel=prev, <b>; rel=next", Some("b")),
            ("<a>; title=\"x\"; REL=\"last Next\"", Some("a")),
            ("<a>; rel=prev", None),
            ("<a; rel=next", None),
            ("a; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next(text), expected, "{text}");
        }
    }
}
