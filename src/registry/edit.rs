//! Stage 4: a tag that several writers change at the same time: lists of referrers, legacy signatures. A tag and a change in; the tag,
//! changed, out. There is no lock: what was written is read again, and written again where somebody else overwrote it.

use std::time::Duration;

use super::Client;
use super::manifests::{Fetched, Which};
use super::retry::unless_cancelled;
use crate::error::{Error, Result};
use crate::oci::{Repository, Tag};

/// How often a tag is written again because somebody else wrote it at the same time.
const MOST_ROUNDS: u32 = 10;

/// The rounds of one change of a tag.
pub struct Edit<'a> {
    client: &'a Client,
    repository: &'a Repository,
    tag: &'a Tag,
    round: u32,
}

impl Client {
    /// Begins to change a tag that others may change too: [`Edit::read`], then [`Edit::write`] what it shall say, until what is read
    /// is content.
    pub fn edit_tag<'a>(&'a self, repository: &'a Repository, tag: &'a Tag) -> Edit<'a> {
        Edit { client: self, repository, tag, round: 0 }
    }

    /// Waits, but not longer than until a stop is asked for.
    pub async fn pause(&self, length: Duration) -> Result<()> {
        unless_cancelled(&self.0.cancel, (self.0.settings.clock.pause)(length)).await
    }
}

impl Edit<'_> {
    /// What the tag says now.
    pub async fn read(&self) -> Result<Option<Fetched>> {
        self.client.manifest_at(&self.client.writer(self.repository), Which::Tag(self.tag)).await
    }

    /// Makes the tag say this, and waits for [`super::Patience::settle`]: it has to be read again.
    pub async fn write(&mut self, media_type: &str, bytes: &[u8]) -> Result<()> {
        if self.round == MOST_ROUNDS {
            let what = format!("others kept changing the tag `{}` for {MOST_ROUNDS} rounds", self.tag);
            return Err(Error::remote(what).hint("run again when fewer are at work"));
        }
        self.client.push_manifest(self.repository, Which::Tag(self.tag), media_type, bytes).await?;
        // Whoever read the tag before we wrote it writes it without us within this time. Later rounds wait differently long.
        let settle = self.client.0.settings.patience.settle;
        let pause = settle + settle.mul_f64(0.3 * f64::from(self.round));
        self.round += 1;
        self.client.pause(pause).await
    }
}
