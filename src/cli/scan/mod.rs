//! Stage 10: `stillframe scan`. It compares permissions with today's date, because it writes no byte of an image; the same look before an
//! image goes out does not (`build/gate.rs`).

mod attach;
mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Value, json};

use super::args::{Scan, Unknown as Word};
use super::prepare::{make, prepare};
use super::session::{Session, outside};
use crate::build::{self, Subject};
use crate::error::{Error, Finding, Kind, Place, Report, Result, Severity, Text};
use crate::manifest::{self, Unknown, Vulnerabilities};
use crate::oci::{Platform, Repository};
use crate::source::{self, Image, Place as At};
use crate::trust::scan::{self, Judged, Product};

/// Looks for known vulnerabilities in an image; 4 where it is refused for them.
pub async fn run(session: &Session<'_>, options: &Scan) -> Result<u8> {
    if let (Some(report), Some(place)) = (&options.attach, &options.reference) {
        return attach::run(session, place, report, options.scanner.as_deref(), &options.with).await;
    }
    if options.with.asks() {
        return Err(Error::usage("a scan signs nothing, so there is nothing to do with a key")
            .hint("`--attach REPORT` signs a report; a scan's own is written by `--format json scan`"));
    }
    let asked = asked(session, options.reference.is_some())?;
    let mut policy = build::policy(asked.as_ref(), &options.vex)?;
    policy.severity = options.severity.or(policy.severity);
    policy.unknown =
        options.unknown.map_or(policy.unknown, |word| if word == Word::Warn { Unknown::Warn } else { Unknown::Deny });
    policy.today = Some(options.today.unwrap_or_else(|| Zoned::new(Timestamp::now(), TimeZone::UTC).date()));
    let database = options.db.clone().or_else(|| asked.and_then(|asked| asked.database));
    let subjects = match &options.reference {
        Some(place) => opened(session, place, options.platform.as_ref()).await?,
        None => {
            let made_here = make(session, prepare(session, options.platform.as_ref()).await?).await?;
            made_here.blobs.make_own(&session.ctx).await?;
            build::subjects(&made_here)?
        }
    };
    let judged = build::scan(&session.ctx, &subjects, database, policy).await?;
    tell(session, &subjects, &judged)
}

/// What the manifest asks, if there is one. Where an image is named, a directory without a manifest is as good.
fn asked(session: &Session<'_>, named: bool) -> Result<Option<Vulnerabilities>> {
    let location = match manifest::locate::locate(&session.options.file) {
        Ok(location) => location,
        Err(_) if named => return Ok(None),
        Err(error) => return Err(error),
    };
    let manifest::Read { manifest, report } = manifest::read(&location, &outside(&session.options.set));
    report.pass()?;
    Ok(manifest.checks.vulnerabilities)
}

/// The images of a place: one for each platform, or for the one that is wanted.
async fn opened(session: &Session<'_>, place: &At, only: Option<&Platform>) -> Result<Vec<Subject>> {
    let image = source::open(&session.ctx, place).await?;
    let parts = match only {
        Some(platform) => vec![(Some(platform.clone()), image.only(Some(platform))?)],
        None => image.each(),
    };
    if parts.is_empty() {
        return Err(Error::usage(format!("`{place}` holds no image that could run, only artifacts")));
    }
    let mut subjects = Vec::new();
    for (platform, part) in parts {
        let whole =
            source::whole(&session.ctx, &part).await.map_err(|error| error.context(format!("reading `{place}`")))?;
        let platform = platform.unwrap_or_else(|| whole.platform.clone()).to_string();
        let product = Product { digests: vec![part.digest(), image.digest()], name: name(&image) };
        subjects.push(Subject { platform, whole, product });
    }
    Ok(subjects)
}

fn name(image: &Image) -> Option<String> {
    let known = image.names.first().map(|name| &name.repository);
    image.repository().or(known).map(Repository::to_string)
}

fn tell(session: &Session<'_>, subjects: &[Subject], judged: &[Judged]) -> Result<u8> {
    let refused = judged.iter().any(Judged::denies);
    let mut report = Report::default();
    let every = judged.iter().flat_map(Judged::findings);
    if session.terminal.sarif() {
        return sarif(session, subjects, judged, refused);
    }
    if session.terminal.json() {
        every.for_each(|finding| report.add(finding));
        let one = |(subject, judged): (&Subject, &Judged)| -> Value {
            let mut told = scan::document(judged);
            told["platform"] = json!(subject.platform);
            told["name"] = json!(subject.product.name);
            told["digest"] = json!(subject.product.digests.first());
            told
        };
        let images: Vec<Value> = subjects.iter().zip(judged).map(one).collect();
        session.terminal.document(json!({ "images": images, "refused": refused }), &report)?;
        return Ok(if refused { Kind::Policy.exit_code() } else { 0 });
    }
    // The table says what was found; what is left is what is wrong with permissions.
    let rest = every.filter(|finding| finding.severity != Severity::Error && finding.allowed.is_none());
    rest.filter(|finding| finding.place.is_some()).for_each(|finding| report.add(finding));
    session.terminal.report(&report);
    let several = subjects.len() > 1;
    let part = |(subject, judged): (&Subject, &Judged)| {
        let head = if several { format!("{}\n", subject.platform) } else { String::new() };
        head + &text::text(judged)
    };
    session.terminal.result(&subjects.iter().zip(judged).map(part).collect::<Vec<_>>().join("\n"))?;
    if refused {
        return Err(Error::policy("the image is refused for what is known, or not known, about it")
            .hint("the lines marked `deny` are why; let one through with `[[check.vulnerabilities.allow]]` or an OpenVEX document"));
    }
    Ok(0)
}

/// Every vulnerability as a result. One without a place in a manifest is said to be in the image, because services ask for a place.
fn sarif(session: &Session<'_>, subjects: &[Subject], judged: &[Judged], refused: bool) -> Result<u8> {
    let (mut all, mut known) = (Vec::new(), BTreeSet::new());
    for (subject, judged) in subjects.iter().zip(judged) {
        let path = subject.product.name.clone().unwrap_or_else(|| subject.whole.reference.to_string());
        let place = Place { text: Arc::new(Text { path, text: String::new() }), span: 0..0 };
        for finding in judged.everything() {
            let finding: Finding = if finding.place.is_some() { finding } else { finding.at(&place, "") };
            // Platforms have most of it in common.
            let key = finding.place.as_ref().map(|(place, _)| (place.to_string(), finding.message.clone()));
            if known.insert(key) {
                all.push(finding);
            }
        }
    }
    // However many they are: a service that got only some would take the others for mended.
    let report = Report { findings: all };
    if refused {
        return Err(Error::findings(report));
    }
    session.terminal.document(json!({}), &report)?;
    Ok(0)
}
