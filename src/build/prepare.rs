//! Between stages 9 and 10: from a request to a plan whose inputs were looked at, and from there to an artifact. Packs layers into the store and
//! asks registries for bases; sends nothing.

use std::sync::Arc;
use std::time::Duration;

use super::Request;
use crate::ctx::Ctx;
use crate::error::{Error, Finding, Kind, Report, Result};
use crate::event::Event;
use crate::image::{self, Artifact, Parts};
use crate::layer::{self, Asked, Contents, Found, Input, Known, Natures, Placed};
use crate::manifest::values::Created;
use crate::manifest::{self, Location, Manifest, Outside, Unpinned};
use crate::oci::Platform;
use crate::plan::{self, Base, ImagePlan, Lock, Plan};
use crate::registry::Which;
use crate::ship::{Blobs, Target};
use crate::source::{self, FileIndex};
use crate::trust::{self, root::RootOptions};

/// How long a registry is asked for something that only helps to mend a mistake.
const FOR_A_HINT: Duration = Duration::from_secs(5);

/// How often a thread that only reads is asked whether to be left alone.
const LOOK: Duration = Duration::from_millis(50);

/// A plan whose inputs were looked at: everything is in place, nothing is packed.
pub struct Prepared {
    /// What the manifest says.
    pub manifest: Arc<Manifest>,
    /// The sources of all items.
    pub found: Arc<Vec<Vec<Found>>>,
    /// What is to be made.
    pub plan: Arc<Plan>,
    /// What each image stands on.
    pub bases: Vec<Arc<source::Base>>,
    /// The files of each base; empty where nothing asks for them.
    pub indexes: Vec<Arc<FileIndex>>,
    /// Where everything of each image goes.
    pub placed: Arc<Vec<Placed>>,
    /// What the own files of each image are.
    pub natures: Arc<Vec<Natures>>,
    /// What is known of the contents of files.
    pub known: Arc<Known>,
    /// What was found and does not end the work.
    pub report: Report,
    /// Who waits for layers while others are packed.
    pub told: Option<layer::Told>,
}

/// Something made.
pub struct Made {
    /// The image or index.
    pub artifact: Artifact,
    /// Where its bytes are.
    pub blobs: Blobs,
    /// What each image stands on.
    pub bases: Vec<Arc<source::Base>>,
    /// Its names.
    pub target: Target,
    /// What was planned.
    pub plan: Arc<Plan>,
    /// The files of each base; empty where nothing asks for them.
    pub indexes: Vec<Arc<FileIndex>>,
    /// Where everything of each image went.
    pub placed: Arc<Vec<Placed>>,
    /// What the own files of each image are.
    pub natures: Arc<Vec<Natures>>,
    /// The own layers of each image, lowest first: the name, and the mode that each entry got, in the order of its tree.
    pub modes: Vec<Vec<(String, Vec<u16>)>>,
    /// What the contents of each image's own files say.
    pub contents: Vec<Contents>,
    /// What the manifest's rules ask beyond that.
    pub asked: Vec<Asked>,
    /// The archives and images that files of each image were taken from, in the order of the plan.
    pub imports: Vec<Vec<Input>>,
    /// What was found on the way.
    pub report: Report,
}

/// Reads the manifest and looks at all inputs; every mistake comes at once.
pub async fn prepare(ctx: &Ctx, request: &Request) -> Result<Prepared> {
    let (asked, task) = (request.clone(), ctx.clone());
    let (manifest, lock, known, found, mut report) = aside(ctx, move || {
        let Planned { manifest, lock, mut report } = planned(&asked)?;
        let known = Known::load(&task, &manifest.directory);
        let found = layer::gather(&task, &manifest, &mut report)?;
        Ok((manifest, lock, Arc::new(known), Arc::new(found), report))
    })
    .await?;
    for image in &manifest.unpinned {
        report.add(unpinned(ctx, request, image).await);
    }
    let plan = Arc::new(Plan::new(&manifest, &lock));
    if report.errors().next().is_some() {
        let (plan, found) = (plan.clone(), found.clone());
        report = aside(ctx, move || Ok(conflicts(&plan, &found, report))).await?;
    }
    let mut report = report.pass()?;
    let bases = bases(ctx, request, &plan).await?;
    let found = layer::bring(ctx, &manifest, &found, &mut report).await?;
    let found = Arc::new(layer::unpack(ctx, &plan, &manifest, found).await?);
    let (placed, indexes) = place_all(ctx, &plan, &bases, &found, &mut report).await?;
    let report = report.pass()?;
    if request.created.is_none() {
        plan.notes.iter().for_each(|note| ctx.note(note.clone()));
    }
    let placed = Arc::new(placed);
    let (task, of_plan, of_placed, before) = (ctx.clone(), plan.clone(), placed.clone(), known.clone());
    let natures = Arc::new(aside(ctx, move || layer::natures(&task, &of_plan, &of_placed, &before)).await?);
    Ok(Prepared {
        manifest: Arc::new(manifest),
        found,
        plan,
        bases,
        indexes,
        placed,
        natures,
        known,
        report,
        told: None,
    })
}

/// A manifest that was read, what its lock pins, and what is wrong with either.
pub(super) struct Planned {
    pub manifest: Manifest,
    pub lock: Lock,
    pub report: Report,
}

/// Reads the manifest that is asked for, and its lock.
pub(super) fn planned(request: &Request) -> Result<Planned> {
    let location = manifest::locate::locate(&request.manifest)?;
    let outside = Outside { sets: &request.set, env: &request.variable };
    let manifest::Read { mut manifest, mut report } = manifest::read(&location, &outside);
    if let Some(only) = &request.platform {
        choose(&mut manifest, only)?;
    }
    if let Some(created) = request.created {
        manifest.created = Created::At(created);
    }
    let lock = locked(&location, &manifest, request.platform.as_ref(), &mut report)?;
    Ok(Planned { manifest, lock, report })
}

/// Places what was found for each image on what its base has.
async fn place_all(
    ctx: &Ctx,
    plan: &Arc<Plan>,
    bases: &[Arc<source::Base>],
    found: &[Vec<Found>],
    report: &mut Report,
) -> Result<(Vec<Placed>, Vec<Arc<FileIndex>>)> {
    let (mut placed, mut indexes) = (Vec::new(), Vec::new());
    for (at, base) in bases.iter().enumerate() {
        let index = Arc::new(files(ctx, plan, &plan.images[at], base).await?);
        indexes.push(index.clone());
        let found = layer::with_base(ctx, &plan.images[at], base, &index, &found[at], report).await?;
        let (plan, base) = (plan.clone(), base.clone());
        let placing = move || {
            let mut report = Report::default();
            let user = &base.image.config.user;
            Ok((layer::place(&plan.images[at], &found, &index, user, &mut report), report))
        };
        let (image, own) = aside(ctx, placing).await?;
        placed.push(image);
        report.join(own);
    }
    Ok((placed, indexes))
}

/// The lock of a manifest that needs one; what it lacks goes into the report.
fn locked(location: &Location, manifest: &Manifest, only: Option<&Platform>, report: &mut Report) -> Result<Lock> {
    if manifest.packages.is_none() {
        return Ok(Lock::default());
    }
    let lock = match manifest::locate::lock(location)? {
        Some(text) => plan::lock::read(&text),
        None => Ok(Lock::default()),
    };
    match lock {
        Ok(lock) => {
            lock.check(manifest, only, report);
            Ok(lock)
        }
        Err(error) => {
            let findings = error.report().cloned().ok_or(error)?;
            report.join(findings);
            Ok(Lock::default())
        }
    }
}

/// Runs work that only reads on a thread of its own. It is left alone once a stop was asked for, whatever it waits for.
pub async fn aside<T: Send + 'static>(ctx: &Ctx, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let mut task = tokio::task::spawn_blocking(work);
    loop {
        tokio::select! {
            done = &mut task => return done.map_err(|cause| Error::bug("a reading thread broke down").because(cause))?,
            () = tokio::time::sleep(LOOK) => ctx.cancel.check()?,
        }
    }
}

/// Adds the conflicts of entries with each other, which need no base: they are told together with all other mistakes.
fn conflicts(plan: &Plan, found: &[Vec<Found>], mut report: Report) -> Report {
    for (image, found) in plan.images.iter().zip(found) {
        let mut own = Report::default();
        layer::place(image, found, &FileIndex::empty(), "", &mut own);
        let conflicts = own.all().iter().filter(|finding| finding.code == "conflict");
        conflicts.for_each(|finding| report.add(finding.clone()));
    }
    report
}

fn choose(manifest: &mut Manifest, only: &Platform) -> Result<()> {
    let all: Vec<String> = manifest.images.iter().map(|image| image.platform.to_string()).collect();
    manifest.images.retain(|image| image.platform == *only);
    if manifest.images.is_empty() {
        return Err(Error::usage(format!("the manifest does not name the platform `{only}`"))
            .hint(format!("it names {}", all.join(", "))));
    }
    Ok(())
}

/// An image without a digest: the line to paste, if the registry can be asked.
async fn unpinned(ctx: &Ctx, request: &Request, Unpinned { key, reference, place }: &Unpinned) -> Finding {
    let what = if *key == "base" { "base" } else { "image" };
    let finding = Finding::error("unpinned-base", format!("the {what} `{reference}` lacks its digest"))
        .at(place, "a tag can move");
    let tag = reference.tag.clone().or_else(|| "latest".parse().ok());
    let asked = match &tag {
        Some(tag) if !request.offline() => {
            let asked = ctx.registries.head(&reference.repository, Which::Tag(tag));
            let late = || Err(Error::remote(format!("no answer within {} s", FOR_A_HINT.as_secs())));
            tokio::time::timeout(FOR_A_HINT, asked).await.unwrap_or_else(|_| late())
        }
        _ => Ok(None),
    };
    match (asked, &tag) {
        (Ok(Some(digest)), Some(tag)) => finding
            .help(format!("write `{key} = \"{}:{tag}@{digest}\"`, which is what the tag is now", reference.repository)),
        (Ok(None), Some(tag)) if !request.offline() => finding.help(format!(
            "the registry has no tag `{tag}` in `{}`; write a tag with its digest",
            reference.repository
        )),
        (Err(error), _) => {
            let why: Vec<String> = [error.message().to_string()].into_iter().chain(error.causes()).collect();
            finding
                .help(format!("write `{reference}@sha256:…`"))
                .help(format!("the registry could not be asked for it: {}", why.join(": ")))
        }
        _ => finding.help(format!("write `{reference}@sha256:…`, with the digest that the registry shows for the tag")),
    }
}

/// The bases of all images.
pub async fn bases(ctx: &Ctx, request: &Request, plan: &Plan) -> Result<Vec<Arc<source::Base>>> {
    let several = plan.images.len() > 1;
    let mut bases = Vec::new();
    for image in &plan.images {
        let (reference, place) = &image.base;
        ctx.say(Event::Detail { text: format!("base {reference} for {}", image.platform) });
        let base = source::base(ctx, reference, &image.platform).await;
        let single =
            |base: &source::Base| base.named.is_some() && base.descriptor.as_ref().map(|it| it.digest) == base.named;
        match base {
            Ok(base) if several && single(&base) && same_base(plan) => {
                let all: Vec<String> = plan.images.iter().map(|image| image.platform.to_string()).collect();
                let (has, all) = (base.image.platform(), all.join(", "));
                let error = Error::usage(format!("the base is one image, for {has}, where {all} are asked for"));
                let error = error.hint("several platforms need the digest of an index, which holds an image for each");
                return Err(with_index(ctx, reference, error).await.placed("base", place));
            }
            Ok(base) => {
                if let Some(asked) = &plan.verify {
                    let roots = RootOptions { trusted: asked.trusted_root.clone(), ..request.roots.clone() };
                    let vouched = trust::base::verify(ctx, asked, &roots, &base).await;
                    vouched.map_err(|error| error.placed("base", &asked.place))?;
                }
                bases.push(Arc::new(base));
            }
            Err(error) if several && error.kind() == Kind::Usage => {
                return Err(with_index(ctx, reference, error).await.placed("base", place));
            }
            Err(error) => return Err(error.placed("base", place)),
        }
    }
    Ok(bases)
}

/// The same error with the digest of the index that was probably meant, if that is known soon.
async fn with_index(ctx: &Ctx, reference: &Base, error: Error) -> Error {
    match tokio::time::timeout(FOR_A_HINT, source::index_of(ctx, reference)).await {
        Ok(Some(index)) => error.hint(format!("write the digest of its index: `{index}`")),
        _ => error,
    }
}

/// Whether all platforms stand on one digest.
fn same_base(plan: &Plan) -> bool {
    plan.images.windows(2).all(|pair| pair[0].base.0 == pair[1].base.0)
}

/// The base's files, where they matter.
async fn files(ctx: &Ctx, plan: &Plan, image: &ImagePlan, base: &source::Base) -> Result<FileIndex> {
    let asks_for_files = plan.checks.place.is_some();
    let numeric = |user: &str| user.split(':').all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let config = &image.config;
    let own = config.user.is_some() || config.entrypoint.is_some() || config.cmd.is_some();
    let idle = image.items.is_empty() && !own && numeric(&base.image.config.user);
    if idle && !asks_for_files {
        return Ok(FileIndex::empty());
    }
    source::files(ctx, base).await.map_err(|error| error.placed("base", &image.base.1))
}

/// Packs the layers and puts the images together.
pub async fn make(ctx: &Ctx, prepared: Prepared) -> Result<Made> {
    let Prepared { plan, found, bases, indexes, placed, natures, known, report, told, .. } = prepared;
    let imports = plan.images.iter().zip(&*found).map(|(image, found)| layer::imports(&image.items, found)).collect();
    let users: Vec<String> = placed.iter().map(|placed| placed.user.clone()).collect();
    let (layers, recipes) = layer::make_all(ctx, &plan, &placed, &known, told).await?;
    let of_layer = |(name, packed): &(String, layer::Packed)| (name.clone(), packed.modes.clone());
    let modes = layers.iter().map(|layers| layers.iter().map(of_layer).collect()).collect();
    let of_image = |layers: &layer::Made| layers.iter().flat_map(|(_, packed)| packed.facts.clone()).collect();
    let contents = layers.iter().map(of_image).collect();
    let (task, at, own) = (ctx.clone(), plan.clone(), placed.clone());
    let asked = aside(ctx, move || {
        let asked = layer::ask(&task, &at, &own, &known)?;
        known.save(&task);
        Ok(asked)
    });
    let asked = asked.await?;
    let parts = bases.iter().zip(users).zip(layers).map(|((base, user), layers)| Parts { base, user, layers });
    let artifact = image::assemble(&plan, parts.collect())?;
    let blobs = Blobs::new(&artifact, &bases).with(recipes);
    let target = Target { names: plan.names.clone(), tags: plan.tags.clone(), ..Target::default() };
    Ok(Made { artifact, blobs, bases, target, plan, indexes, placed, natures, modes, imports, contents, asked, report })
}
