//! Between stages 9 and 10: the look for known vulnerabilities before an image goes out. What was made in, findings out.
//!
//! The day that permissions are compared with is that of the image's commit, not today: the same tree is judged in the same way tomorrow.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::prepare::{Made, aside};
use crate::ctx::Ctx;
use crate::error::{Report, Result};
use crate::manifest::values::FIXED;
use crate::manifest::{Created, Manifest, Vulnerabilities};
use crate::oci::Repository;
use crate::source::Base;
use crate::trust::sbom;
use crate::trust::scan::{self as look, Contents, Judged, Policy, Product};

/// An image that is looked at.
pub struct Subject {
    /// Its platform, for messages.
    pub platform: String,
    /// All of its files.
    pub whole: Base,
    /// What it is called.
    pub product: Product,
}

/// What is asked of an image before it goes out: the findings, if the manifest asks for any.
pub async fn gate(ctx: &Ctx, manifest: &Manifest, made_here: &Made) -> Result<Report> {
    let mut report = Report::default();
    let Some(asked) = &manifest.checks.vulnerabilities else { return Ok(report) };
    let mut policy = policy(Some(asked), &[])?;
    policy.today = day(manifest);
    made_here.blobs.make_own(ctx).await?;
    let subjects = subjects(made_here)?;
    for judged in scan(ctx, &subjects, asked.database.clone(), policy).await? {
        judged.findings().into_iter().for_each(|finding| report.add(finding));
    }
    Ok(report)
}

/// The day that an image is of: that of its own time, else of the commit that it was made beside; none where it has neither.
fn day(manifest: &Manifest) -> Option<Date> {
    let own = match manifest.created {
        Created::At(FIXED) | Created::Fallback(_) => None,
        Created::At(seconds) => Some(seconds),
    };
    let seconds = own.or_else(|| manifest.values.git().map(|git| git.commit_time))?;
    Some(Zoned::new(Timestamp::from_second(seconds).ok()?, TimeZone::UTC).date())
}

/// What a scan is judged by: what the manifest asks, and these documents of VEX too.
pub fn policy(asked: Option<&Vulnerabilities>, vex: &[PathBuf]) -> Result<Policy> {
    let declared = asked.iter().flat_map(|asked| asked.vex.iter().map(|(path, _)| path.clone()));
    let documents: Vec<PathBuf> = declared.chain(vex.iter().cloned()).collect();
    let statements = look::statements(&documents)?;
    Ok(match asked {
        None => Policy { statements, ..Policy::default() },
        Some(asked) => Policy {
            severity: Some(asked.severity),
            unknown: asked.unknown,
            allow: asked.allow.clone(),
            statements,
            today: None,
            place: Some(asked.place.clone()),
        },
    })
}

/// The images that were made here.
pub fn subjects(made: &Made) -> Result<Vec<Subject>> {
    let subject = |(image, base): (&crate::image::Image, &Arc<Base>)| {
        Ok(Subject {
            platform: image.platform.to_string(),
            whole: sbom::whole(image, base)?,
            product: Product {
                digests: vec![image.manifest.descriptor.digest, made.artifact.digest()],
                name: made.target.names.first().map(Repository::to_string),
            },
        })
    };
    made.artifact.images.iter().zip(&made.bases).map(subject).collect()
}

/// Scans images, and judges what was found; without a `database` that of the store.
pub async fn scan(ctx: &Ctx, subjects: &[Subject], database: Option<PathBuf>, policy: Policy) -> Result<Vec<Judged>> {
    let mut contents: Vec<Contents> = Vec::new();
    for subject in subjects {
        let name = subject.product.name.as_deref().unwrap_or("image");
        let survey = sbom::survey(ctx, &subject.whole, name).await?;
        contents.push(look::contents(&survey.inventory, &survey.unread));
    }
    let database = database.unwrap_or_else(|| look::home(ctx));
    let task = ctx.clone();
    let scans = aside(ctx, move || look::scan(&task, contents, &database)).await?;
    let pairs = scans.into_iter().zip(subjects);
    Ok(pairs.map(|(found, subject)| look::judge(found, &policy, &subject.product)).collect())
}
