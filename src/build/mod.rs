//! Between stages 9 and 10: a build as a whole, the same for the command line and for programs that use this crate. A [`Request`] in, something
//! [`Made`] out, judged and ready to be sent. Puts layers into the store and asks registries for bases.

mod gate;
mod judge;
mod prepare;

use std::ffi::OsString;
use std::path::PathBuf;

pub use gate::{Subject, policy, scan, subjects};
pub use judge::{judged, looked, scanned};
pub use prepare::{Made, Prepared, aside, bases, make, prepare};

use crate::ctx::Ctx;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::oci::{Digest, Platform};
use crate::plan::Plan;
use crate::ship::{self, Cargo, Destination, Pushed};
use crate::trust::root::RootOptions;

/// What is to be built, and all that a build may learn from outside of it.
///
/// Nothing else decides a byte of the image: not the environment, unless `variable` hands it in.
#[derive(Clone, Debug)]
pub struct Request {
    /// The manifest, or a directory that has one.
    pub manifest: PathBuf,
    /// Values of declared variables, as `--set NAME=VALUE` gives them.
    pub set: Vec<(String, String)>,
    /// Looks up a variable of the environment, for `[vars]` with `from = "env:…"` and for `SOURCE_DATE_EPOCH`.
    pub variable: fn(&str) -> Option<OsString>,
    /// The one platform that is wanted; without it all that the manifest names.
    pub platform: Option<Platform>,
    /// When the image was made, in seconds since 1970, in place of what the manifest says. For a build that repeats another one.
    pub created: Option<i64>,
    /// Whom the signatures of bases are trusted by, where `[base.verify]` asks for any.
    pub roots: RootOptions,
}

impl Request {
    /// A request for what this manifest says, with no value from outside.
    pub fn new(manifest: impl Into<PathBuf>) -> Request {
        Request {
            manifest: manifest.into(),
            set: Vec::new(),
            variable: |_| None,
            platform: None,
            created: None,
            roots: RootOptions::default(),
        }
    }

    /// Whether no network may be used.
    fn offline(&self) -> bool {
        self.roots.offline
    }

    /// Reads the manifest and its lock. Every mistake of both is in the one error.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("image.toml");
    /// std::fs::write(&path, "schema = 1\n[image]\nbase = \"scratch\"\nuser = 1000\nports = [\"http\"]\n")?;
    /// let error = stillframe::Request::new(&path).manifest().unwrap_err();
    /// let codes: Vec<&str> = error.report().unwrap().all().iter().map(|finding| finding.code).collect();
    /// assert_eq!(codes, ["type", "port"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn manifest(&self) -> Result<Manifest> {
        let prepare::Planned { manifest, report, .. } = prepare::planned(self)?;
        report.pass()?;
        Ok(manifest)
    }

    /// What would be made: a function of the manifest, the lock and the values from outside. Nothing is asked and nothing is written.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("image.toml");
    /// std::fs::write(&path, "schema = 1\n[image]\nbase = \"scratch\"\nuser = \"1000\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n")?;
    /// let plan = stillframe::Request::new(&path).plan()?;
    /// let platforms: Vec<String> = plan.images.iter().map(|image| image.platform.to_string()).collect();
    /// assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn plan(&self) -> Result<Plan> {
        let prepare::Planned { manifest, lock, report } = prepare::planned(self)?;
        report.pass()?;
        Ok(Plan::new(&manifest, &lock))
    }
}

impl Made {
    /// What names it: the digest of its manifest, or of its index where it has several platforms.
    pub fn digest(&self) -> Digest {
        self.artifact.digest()
    }
}

/// Makes an image: reads the manifest, looks at all inputs, judges them, packs what is not packed yet, and judges the whole. The layers lie in
/// the store afterwards; [`ship`](ship()) sends them. What was found and is no reason to refuse it is in [`Made::report`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let room = directory.path();
/// use stillframe::{Ctx, Request, build, event, registry, ship};
///
/// std::fs::write(room.join("greeting"), "hello\n")?;
/// std::fs::write(
///     room.join("image.toml"),
///     r#"
///     schema = 1
///     [image]
///     base = "scratch"
///     user = "1000"
///     created = "fixed"
///     [[file]]
///     src = "greeting"
///     dest = "/greeting"
///     "#,
/// )?;
/// let settings = registry::Settings { offline: true, ..registry::Settings::default() };
/// let ctx = Ctx::new(&room.join("store"), settings, event::nowhere())?;
/// let runtime = tokio::runtime::Runtime::new()?;
/// runtime.block_on(async {
///     let made = build(&ctx, &Request::new(room)).await?;
///     ship(&ctx, &made, &format!("oci:{}", room.join("out").display()).parse()?).await?;
///     // Whoever builds it, wherever: the same digest.
///     let again = build(&ctx, &Request::new(room.join("image.toml"))).await?;
///     assert_eq!(made.digest(), again.digest());
///     Ok::<(), stillframe::Error>(())
/// })?;
/// assert!(room.join("out/index.json").is_file());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Kind::Usage`](crate::error::Kind) for what is wrong with the manifest, all of it at once; `Remote` for what a registry did not give;
/// `Policy` for an image that its own rules refuse; `Local` for what this machine did not do. See [`crate::error`].
pub async fn build(ctx: &Ctx, request: &Request) -> Result<Made> {
    judged(ctx, prepare(ctx, request).await?, &|_| ()).await
}

/// Sends what was made to a destination: a layout, an archive, an engine, the store, or the registries that the manifest names. Content goes
/// first and names last, so that a failure leaves every name where it was. What registries took is given back.
pub async fn ship(ctx: &Ctx, made: &Made, destination: &Destination) -> Result<Vec<Pushed>> {
    let cargo = Cargo { artifact: &made.artifact, blobs: &made.blobs, target: &made.target, ahead: None };
    let sent = ship::send(ctx, &cargo, destination).await;
    sent.map_err(|error| error.context(format!("sending the image to `{destination}`")))
}
