//! Stage 10: `stillframe reproduce`.

use serde_json::json;

use super::prepare::{make, prepare_at};
use super::session::Session;
use crate::error::{Error, Report, Result};
use crate::manifest::values::parse_time;
use crate::oci::{self, Document, Platform};
use crate::source::{self, Image, Place};
use crate::trust::compare::{compare, config};

/// Builds from the work tree with the image's own time, and compares.
pub async fn run(session: &Session<'_>, place: &Place) -> Result<u8> {
    let theirs = source::open(&session.ctx, place).await?;
    let facts = facts(session, &theirs).await.map_err(|error| error.context(format!("reading `{place}`")))?;
    let prepared = prepare_at(session, facts.only.as_ref(), facts.created).await?;
    session.terminal.report(&prepared.report);
    let made = make(session, prepared).await?;
    if let Some(found) = compare(&session.ctx, &theirs, &made.artifact).await? {
        let error = Error::policy(format!("`{place}` was not reproduced: {found}"));
        return Err(error.hint("the work tree, its built programs and `--set` must be as they were when it was made"));
    }
    let digest = theirs.digest();
    if session.terminal.json() {
        session.terminal.document(json!({ "digest": digest, "reproduced": true }), &Report::default())?;
    } else {
        let name = theirs.repository().map(|name| format!("{name}@")).unwrap_or_default();
        session.terminal.result(&format!("{name}{digest}\n"))?;
    }
    Ok(0)
}

/// What an image says of itself that the work tree does not.
struct Facts {
    /// Its time, in seconds since 1970.
    created: Option<i64>,
    /// Its platform, if it is for one only.
    only: Option<Platform>,
}

async fn facts(session: &Session<'_>, image: &Image) -> Result<Facts> {
    let all = image.runnable();
    let Some((_, paper)) = all.first() else {
        return Err(Error::usage("there is no image in it that could run, only artifacts"));
    };
    let Document::Manifest(manifest) = &paper.document else {
        return Err(Error::bug("an index was taken for an image"));
    };
    let bytes = config(&session.ctx, image, manifest).await?;
    let config: oci::Image = oci::json::read(&bytes, "the config of the image")?;
    let alone = paper.descriptor.digest == image.digest();
    Ok(Facts {
        created: config.created.as_deref().and_then(parse_time),
        only: config.platform().to_string().parse().ok().filter(|_| alone),
    })
}
