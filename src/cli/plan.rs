//! Stage 10: `stillframe plan`.

use serde_json::{Value, json};

use super::build::images;
use super::prepare::{Made, judged, prepare};
use super::session::Session;
use crate::error::{Result, printable};
use crate::layer::Placed;
use crate::layer::tree::{Body, Entry, Tree};
use crate::manifest::Inherited;
use crate::oci::{Digest, Repository};
use crate::plan::{Decision, Fate, Known};
use crate::registry::Which;
use crate::ship;

/// The exit code of a plan that changes nothing.
const NOTHING_TO_DO: u8 = 10;

/// How one tag stands.
struct TagPlan {
    reference: String,
    from: Option<Digest>,
    what: &'static str,
    why: String,
    help: Option<String>,
}

/// Shows what would be made, and how that differs from what is there.
pub async fn run(session: &Session<'_>) -> Result<u8> {
    let prepared = prepare(session, None).await?;
    let inherited = prepared.manifest.shared.iter().flat_map(|shared| shared.inherited.clone()).collect::<Vec<_>>();
    let made = judged(session, prepared).await?;
    let entries = entries(&made);
    let tags = tags(session, &made).await?;
    let upload = upload(session, &made).await?;
    let there = there(session, &made).await?;
    let changed = !there || tags.iter().any(|tag| ["created", "moved"].contains(&tag.what));
    if session.terminal.json() {
        let document = json!({
            "digest": made.artifact.digest(),
            "changed": changed,
            "images": images(&made.artifact),
            "entries": by_platform(&made, &entries),
            "tags": tags.iter().map(TagPlan::to_json).collect::<Vec<_>>(),
            "upload": upload,
            "inherited": inherited.iter().map(origin).collect::<Vec<_>>(),
        });
        session.terminal.document(document, &made.report)?;
    } else {
        session.terminal.result(&(text(&made, &entries) + &ahead(&made, &inherited, &tags, upload, changed)))?;
    }
    Ok(if changed { 0 } else { NOTHING_TO_DO })
}

impl TagPlan {
    fn to_json(&self) -> Value {
        json!({ "reference": self.reference, "from": self.from, "what": self.what, "why": self.why, "help": self.help })
    }

    fn of(name: &Repository, decision: Decision, digest: &Digest, offline: bool) -> TagPlan {
        let what = match &decision.what {
            Fate::Skipped | Fate::Refused(_) => decision.what.word(),
            _ if offline => "unknown (offline)",
            fate => fate.word(),
        };
        let reference = format!("{name}:{}", decision.name);
        match decision.what {
            Fate::Moved(_, from) => TagPlan { reference, from: Some(from), what, why: decision.why, help: None },
            Fate::Refused(refusal) => {
                TagPlan { reference, from: None, what, why: decision.why, help: Some(refusal.help) }
            }
            Fate::Same(_) => TagPlan { reference, from: Some(*digest), what, why: decision.why, help: None },
            _ if offline && what != "skipped" => {
                TagPlan { reference, from: None, what, why: String::new(), help: None }
            }
            _ => TagPlan { reference, from: None, what, why: decision.why, help: None },
        }
    }

    fn line(&self) -> String {
        let from = self.from.map(|from| format!(" from {from}")).unwrap_or_default();
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        let help = self.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("tag {} {}{from}{why}{help}\n", self.reference, self.what)
    }
}

/// The entries of all own layers as they stand in the tars: for each image in the order of the plan, lowest layer first.
fn entries(made: &Made) -> Vec<Vec<Value>> {
    let layer = |((name, modes), tree): (&(String, Vec<u16>), &Tree)| {
        let entries = tree.iter().zip(modes).map(|((path, entry), mode)| one(path, entry, *mode));
        json!({ "name": name, "entries": entries.collect::<Vec<_>>() })
    };
    let image = |(layers, placed): (&Vec<(String, Vec<u16>)>, &Placed)| {
        layers.iter().zip(placed.trees.iter().filter(|tree| !tree.is_empty())).map(layer).collect()
    };
    made.modes.iter().zip(&*made.placed).map(image).collect()
}

fn one(path: &str, entry: &Entry, mode: u16) -> Value {
    let (kind, size, target) = match &entry.body {
        Body::Directory => ("directory", None, None),
        Body::Link(target) => ("link", None, Some(target)),
        Body::Whiteout => ("whiteout", None, None),
        Body::File(content) => ("file", Some(content.size()), None),
    };
    json!({ "path": path, "kind": kind, "size": size, "target": target, "mode": format!("{mode:04o}"),
            "uid": entry.uid, "gid": entry.gid })
}

/// The same for machines: a map from the platform.
fn by_platform(made: &Made, entries: &[Vec<Value>]) -> Value {
    made.plan
        .images
        .iter()
        .map(|image| image.platform.to_string())
        .zip(entries.iter().map(|layers| json!(layers)))
        .collect()
}

async fn tags(session: &Session<'_>, made: &Made) -> Result<Vec<TagPlan>> {
    let mut tags = Vec::new();
    let digest = made.artifact.digest();
    let offline = session.options.offline;
    for name in &made.target.names {
        let decisions = match offline {
            true => made.target.tags.decide(&Known::default(), &digest, made.target.leave),
            false => ship::judge(&session.ctx, &made.target, name, &digest).await?,
        };
        tags.extend(decisions.into_iter().map(|decision| TagPlan::of(name, decision, &digest, offline)));
    }
    made.target.tags.notes.iter().for_each(|note| session.ctx.note(note.clone()));
    Ok(tags)
}

/// Whether the result is where it belongs already: in every repository, or without a name in the local store.
async fn there(session: &Session<'_>, made: &Made) -> Result<bool> {
    let digest = made.artifact.digest();
    if made.target.names.is_empty() || session.options.offline {
        return Ok(session.ctx.store.has_image(&digest));
    }
    for name in &made.target.names {
        if session.ctx.registries.head(name, Which::Digest(&digest)).await? != Some(digest) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Bytes that would be uploaded, over all repositories; unknown when offline.
async fn upload(session: &Session<'_>, made: &Made) -> Result<Option<u64>> {
    if made.target.names.is_empty() || session.options.offline {
        return Ok(None);
    }
    let mut bytes = 0;
    for name in &made.target.names {
        for blob in ship::all(&made.artifact) {
            let descriptor = &blob.descriptor;
            let is_manifest = descriptor.media_type.ends_with("+json")
                && blob.bytes.is_some()
                && !descriptor.media_type.contains("config");
            let known = if is_manifest {
                session.ctx.registries.head(name, Which::Digest(&descriptor.digest)).await?.is_some()
            } else {
                session.ctx.registries.has_blob(name, &descriptor.digest).await?
            };
            bytes += if known { 0 } else { descriptor.size };
        }
    }
    Ok(Some(bytes))
}

fn text(made: &Made, entries: &[Vec<Value>]) -> String {
    let mut text = String::new();
    for (image, layers) in made.artifact.images.iter().zip(entries) {
        text += &format!("{} {}\n", image.platform, image.manifest.descriptor.digest);
        let base = image.layers.iter().filter(|layer| layer.name.is_none()).count();
        if base > 0 {
            text += &format!("  {base} {} of the base\n", if base == 1 { "layer" } else { "layers" });
        }
        for (layer, listed) in image.layers.iter().filter(|layer| layer.name.is_some()).zip(layers) {
            let name = layer.name.as_deref().unwrap_or_default();
            text += &format!("  layer {name} {} ({} bytes)\n", layer.descriptor.digest, layer.descriptor.size);
            for entry in listed["entries"].as_array().into_iter().flatten() {
                text += &line(entry);
            }
        }
    }
    text
}

/// Where values come from that do not stand in the manifest, and what sending would do.
fn ahead(made: &Made, inherited: &[Inherited], tags: &[TagPlan], upload: Option<u64>, changed: bool) -> String {
    let from = |one: &Inherited| format!("default {} of {}\n", printable(&one.key), one.place);
    let mut text: String = inherited.iter().map(from).collect();
    text.extend(tags.iter().map(TagPlan::line));
    if let Some(bytes) = upload {
        text += &format!("{bytes} bytes to upload\n");
    }
    text + &format!("{} {}\n", made.artifact.digest(), if changed { "is new" } else { "is there already" })
}

/// The place of a value that the manifest takes from its workspace.
fn origin(one: &Inherited) -> Value {
    let (line, column) = one.place.line_column();
    json!({ "key": one.key, "file": one.place.text.path, "line": line, "column": column })
}

fn line(entry: &Value) -> String {
    let word = |key: &str| entry[key].as_str().unwrap_or_default();
    let owner = format!("{}:{}", entry["uid"], entry["gid"]);
    let mut line = format!("    {:12} {owner:11} /{}", word("mode"), printable(word("path")));
    match word("kind") {
        "directory" => line.push('/'),
        "link" => line += &format!(" -> {}", printable(word("target"))),
        "whiteout" => line += " (removed)",
        _ => line += &format!(" ({} bytes)", entry["size"]),
    }
    line + "\n"
}
