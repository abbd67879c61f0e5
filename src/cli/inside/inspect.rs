//! Stage 10: `stillframe inspect`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::args::{Inspect, Subject};
use super::super::session::Session;
use super::look::{Look, of_paper, work};
use super::overview::text;
use super::text::Style;
use super::{describe, look};
use crate::error::{Error, Finding, Kind, Report, Result};
use crate::oci::{Descriptor, Digest, Document};
use crate::source::inside::{Inside, recall, verify};
use crate::source::{self, Image, Place};
use crate::trust::about::{About, about};

/// Everything that is said of an image.
pub struct Overview {
    /// As it was named.
    pub name: String,
    /// What names it all.
    pub root: Descriptor,
    /// The remarks on it, if it is an index.
    pub annotations: BTreeMap<String, String>,
    /// One for each platform.
    pub looks: Vec<Look>,
    /// What each layer of each platform holds, as far as it is known.
    pub inside: Vec<Vec<Option<Inside>>>,
    /// The blobs of what is no image.
    pub blobs: Vec<Descriptor>,
    /// What was found beside it.
    pub attached: Vec<About>,
    /// How many digests and diff IDs were derived again, if that was asked for.
    pub verified: Option<usize>,
}

/// Tells what an image is.
pub async fn run(session: &Session<'_>, options: &Inspect) -> Result<u8> {
    if options.raw || options.config {
        return bytes(session, options).await;
    }
    let overview = match &options.reference {
        Subject::Work if options.verify => {
            return Err(Error::usage("`--verify` is for an image that is somewhere; `.` is made anew each time")
                .hint("`stillframe reproduce REF` compares an image with what the manifest makes"));
        }
        Subject::Work => of_work(session, options).await?,
        Subject::At(place) => of_place(session, options, place).await?,
    };
    if session.terminal.json() {
        session.terminal.document(document(&overview), &Report::default())?;
    } else {
        let style = Style { color: session.terminal.colored(), bytes: options.bytes };
        session.terminal.result(&text(&overview, style))?;
    }
    Ok(0)
}

/// Prints a document as it is.
async fn bytes(session: &Session<'_>, options: &Inspect) -> Result<u8> {
    let bytes = match (&options.reference, options.raw) {
        (Subject::Work, true) => {
            let made = work(session, options.platform.as_ref()).await?.made;
            made.artifact.root.bytes
        }
        (Subject::At(place), true) => {
            let image = source::open(&session.ctx, place).await?;
            let image = if options.platform.is_some() { image.only(options.platform.as_ref())? } else { image };
            let root = image.documents.last().ok_or_else(|| Error::bug("an image has no manifest"))?;
            root.bytes.clone()
        }
        (subject, false) => look::open(session, subject, options.platform.as_ref()).await?.bytes,
    };
    // Manifests and configs are JSON, which is UTF-8; what is not was refused.
    let text = String::from_utf8(bytes).map_err(|_| Error::remote("the document is no text"))?;
    session.terminal.result(&text)?;
    Ok(0)
}

async fn of_work(session: &Session<'_>, options: &Inspect) -> Result<Overview> {
    let work = work(session, options.platform.as_ref()).await?;
    let root = &work.made.artifact.root;
    let annotations = match Document::read(&root.bytes, None, "the image that was made")? {
        Document::Index(index) => index.annotations,
        Document::Manifest(_) => BTreeMap::new(),
    };
    let mut inside = Vec::new();
    for look in &work.looks {
        inside.push(look.inside(session).await?.into_iter().map(Some).collect());
    }
    Ok(Overview {
        name: options.reference.to_string(),
        root: root.descriptor.clone(),
        annotations,
        looks: work.looks,
        inside,
        blobs: Vec::new(),
        attached: Vec::new(),
        verified: None,
    })
}

async fn of_place(session: &Session<'_>, options: &Inspect, place: &Place) -> Result<Overview> {
    let whole = source::open(&session.ctx, place).await?;
    let image = if options.platform.is_some() { whole.only(options.platform.as_ref())? } else { whole.clone() };
    let verified = if options.verify { Some(verified(session, &image).await?) } else { None };
    let mut looks = Vec::new();
    let mut inside = Vec::new();
    for (on, paper) in image.runnable() {
        let look = of_paper(session, &image, paper, on.as_ref(), &place.to_string()).await?;
        let read = options.unpacked || options.verify || image.repository().is_none();
        inside.push(if read { all(session, &look).await? } else { known(session, &look).await? });
        looks.push(look);
    }
    let found = if options.no_referrers { Vec::new() } else { source::attached(&session.ctx, place, &image).await? };
    let annotations = match image.documents.last().map(|paper| &paper.document) {
        Some(Document::Index(index)) => index.annotations.clone(),
        _ => BTreeMap::new(),
    };
    let blobs = if looks.is_empty() { image.blobs.clone() } else { Vec::new() };
    Ok(Overview {
        name: place.to_string(),
        root: image.root.clone(),
        annotations,
        looks,
        inside,
        blobs,
        attached: about(&whole, &found),
        verified,
    })
}

/// Derives every digest again; fails with all that is wrong.
async fn verified(session: &Session<'_>, image: &Image) -> Result<usize> {
    let (count, wrong) = verify(&session.ctx, image).await?;
    let mut report = Report::default();
    for wrong in wrong {
        let message = format!("{} is not what it says: {}", wrong.what, wrong.why);
        report.add(Finding::error("digest", message).kind(Kind::Policy));
    }
    report.pass().map(|_| count)
}

/// What the layers hold; nothing of an image whose layers hold no files.
async fn all(session: &Session<'_>, look: &Look) -> Result<Vec<Option<Inside>>> {
    let files = |layer: &Descriptor| crate::oci::media::layer(&layer.media_type).is_some();
    match look.manifest.layers.iter().all(files) {
        true => Ok(look.inside(session).await?.into_iter().map(Some).collect()),
        false => Ok(vec![None; look.manifest.layers.len()]),
    }
}

/// What is remembered of the layers.
async fn known(session: &Session<'_>, look: &Look) -> Result<Vec<Option<Inside>>> {
    let mut all = Vec::new();
    for (at, layer) in look.manifest.layers.iter().enumerate() {
        let diff_id = look.config.rootfs.diff_ids.get(at);
        let found = recall(&session.ctx, layer).await?;
        all.push(found.filter(|inside| diff_id == Some(&inside.diff_id)));
    }
    Ok(all)
}

impl Overview {
    /// The bytes over the wire: all documents, configs and layers of all platforms, each once.
    pub fn wire(&self) -> u64 {
        let mut once: BTreeMap<Digest, u64> = BTreeMap::from([(self.root.digest, self.root.size)]);
        for look in &self.looks {
            once.insert(look.descriptor.digest, look.descriptor.size);
            let blobs = std::iter::once(&look.manifest.config).chain(&look.manifest.layers);
            once.extend(blobs.map(|blob| (blob.digest, blob.size)));
        }
        once.extend(self.blobs.iter().map(|blob| (blob.digest, blob.size)));
        once.values().sum()
    }

    /// The bytes of all files of all layers of one platform, if all are known.
    pub fn unpacked(&self, at: usize) -> Option<u64> {
        self.inside.get(at)?.iter().map(|inside| inside.as_ref().map(Inside::bytes)).sum()
    }
}

fn document(overview: &Overview) -> Value {
    let platform = |(at, look): (usize, &Look)| {
        let inside: Vec<Option<&Inside>> = overview.inside.get(at).into_iter().flatten().map(Option::as_ref).collect();
        json!({
            "platform": look.platform,
            "digest": look.digest(),
            "mediaType": look.descriptor.media_type,
            "wire": look.wire(),
            "unpacked": overview.unpacked(at),
            "config": look.value(),
            "configDigest": look.manifest.config.digest,
            "annotations": look.manifest.annotations,
            "layers": describe::layers(look, &inside),
        })
    };
    let about = |about: &About| {
        json!({
            "kind": about.kind,
            "format": about.format,
            "says": about.says,
            "digest": about.digest,
            "subject": about.subject,
            "tag": about.tag,
            "size": about.size,
        })
    };
    let blob = |blob: &Descriptor| json!({ "mediaType": blob.media_type, "digest": blob.digest, "size": blob.size });
    json!({
        "reference": overview.name,
        "digest": overview.root.digest,
        "mediaType": overview.root.media_type,
        "size": overview.root.size,
        "wire": overview.wire(),
        "annotations": overview.annotations,
        "platforms": overview.looks.iter().enumerate().map(platform).collect::<Vec<_>>(),
        "blobs": overview.blobs.iter().map(blob).collect::<Vec<_>>(),
        "attached": overview.attached.iter().map(about).collect::<Vec<_>>(),
        "verified": overview.verified,
    })
}
