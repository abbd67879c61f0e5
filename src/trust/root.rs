//! Stage 8: whom we trust. Options in, the keys of certificate authorities, logs and timestamp authorities out (sigstore's trusted
//! root), and which services sign (its signing config). May read the files that the options name, ask a TUF mirror, and keep what
//! it said below the store.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use sigstore_trust_root::tuf::fetch_trust_material;
use sigstore_trust_root::{SigningConfig, SigstoreInstance, TrustedRoot, TufBootstrap, TufConfig};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::Digest;

/// Largest file of keys or roots that is read.
const MOST_BYTES: u64 = 4 << 20;

/// Where trust comes from; all `None`: the public-good instance of sigstore.
#[derive(Clone, Debug, Default)]
pub struct RootOptions {
    /// A trusted root, or a client trust config, which holds a signing config too.
    pub trusted: Option<PathBuf>,
    /// A signing config.
    pub signing: Option<PathBuf>,
    /// The URL of a TUF mirror (`TUF_MIRROR`).
    pub mirror: Option<String>,
    /// The TUF root that the mirror is trusted by (`TUF_ROOT_JSON`: a path).
    pub mirror_root: Option<PathBuf>,
    /// Whether the network may not be used.
    pub offline: bool,
    /// Whether the signing config is wanted too; only who signs needs it.
    pub services: bool,
}

/// Whom we trust.
#[derive(Clone, Debug)]
pub struct Roots {
    /// The keys of certificate authorities, logs and timestamp authorities.
    pub trusted: TrustedRoot,
    /// The services that sign, if they were wanted or came along.
    pub signing: Option<SigningConfig>,
    /// Where it came from, for messages.
    pub from: String,
}

/// What a client trust config holds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Both {
    trusted_root: Value,
    #[serde(default)]
    signing_config: Option<Value>,
}

/// Reads or asks for the trusted root, and for the signing config where it is wanted.
pub async fn load(ctx: &Ctx, options: &RootOptions) -> Result<Roots> {
    let mut roots = match &options.trusted {
        Some(path) => of_file(path)?,
        None => {
            of_mirror(ctx, options).await.map_err(|error| error.context("asking for the trusted root of sigstore"))?
        }
    };
    if let Some(path) = &options.signing {
        let text = read(path)?;
        let signing = SigningConfig::from_json(&text).map_err(|cause| not_a(path, "signing config").because(cause))?;
        roots.signing = Some(signing);
    }
    Ok(roots)
}

impl Roots {
    /// The trusted root in a text.
    pub fn read(text: &str, from: &str) -> Result<Roots> {
        let wrong = || Error::usage(format!("`{from}` is not a trusted root of sigstore"));
        let (trusted, signing) = match serde_json::from_str::<Both>(text) {
            Ok(both) => (both.trusted_root.to_string(), both.signing_config.map(|signing| signing.to_string())),
            Err(_) => (text.to_string(), None),
        };
        let trusted = TrustedRoot::from_json(&trusted).map_err(|cause| wrong().because(cause))?;
        let signing = signing.map(|text| SigningConfig::from_json(&text)).transpose();
        Ok(Roots { trusted, signing: signing.map_err(|cause| wrong().because(cause))?, from: from.to_string() })
    }

    /// What came with this program: the public-good instance as it was when the program was made.
    pub fn embedded() -> Result<Roots> {
        let broken = |cause| Error::bug("the trusted root that we carry cannot be read").because(cause);
        let instance = SigstoreInstance::PublicGood;
        let trusted = instance.embedded_trusted_root().map_err(broken)?;
        let signing = instance.embedded_signing_config().map_err(broken)?;
        Ok(Roots { trusted, signing, from: "the trusted root of this program".to_string() })
    }
}

fn of_file(path: &Path) -> Result<Roots> {
    Roots::read(&read(path)?, &path.display().to_string())
}

/// A text file of keys or roots; `what` it should be stands in the messages.
pub(super) fn read(path: &Path) -> Result<String> {
    read_within(path, MOST_BYTES)
}

/// A text file of at most so many bytes.
pub fn read_within(path: &Path, most: u64) -> Result<String> {
    let doing = || format!("reading `{}`", path.display());
    let file = File::open(path).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::NotFound => Error::usage(format!("there is no file `{}`", path.display())),
        _ => Error::io(doing(), cause),
    })?;
    let mut text = String::new();
    let read = file.take(most + 1).read_to_string(&mut text).map_err(|cause| Error::io(doing(), cause))?;
    if read as u64 > most {
        return Err(Error::usage(format!("`{}` has more than {most} bytes", path.display())));
    }
    Ok(text)
}

fn not_a(path: &Path, what: &str) -> Error {
    Error::usage(format!("`{}` is not a {what} of sigstore", path.display()))
}

/// What a TUF mirror says. What it said before counts while it has not expired; for the public-good instance, what this program
/// carries counts when the network may not be used.
async fn of_mirror(ctx: &Ctx, options: &RootOptions) -> Result<Roots> {
    let (url, config) = config(ctx, options)?;
    // Services that a file names need not be asked for.
    let services = options.services && options.signing.is_none();
    if options.offline {
        return match fetch(config.offline(), &url, services).await {
            Ok(roots) => Ok(roots),
            Err(_) if options.mirror.is_none() => Roots::embedded(),
            Err(error) => {
                Err(error.hint("name the trusted root with `--trusted-root`, or run once without `--offline`"))
            }
        };
    }
    let online = config.clone().with_http_client(ctx.registries.service(&url)?);
    match fetch(online, &url, services).await {
        Ok(roots) => Ok(roots),
        Err(error) => {
            ctx.cancel.check()?;
            let Ok(roots) = fetch(config.offline(), &url, services).await else {
                return Err(error.hint("name the trusted root with `--trusted-root FILE`"));
            };
            let why = error.causes().join(": ");
            ctx.note(format!(
                "`{url}` gives no root that holds ({why}); what it said before is taken, which has not expired"
            ));
            Ok(roots)
        }
    }
}

/// The mirror's URL, and how it is asked.
fn config(ctx: &Ctx, options: &RootOptions) -> Result<(String, TufConfig)> {
    let (url, bootstrap) = match (&options.mirror, &options.mirror_root) {
        (None, _) => {
            let instance = SigstoreInstance::PublicGood;
            (instance.tuf_url().to_string(), TufBootstrap::trusted(instance.tuf_root()))
        }
        (Some(url), Some(path)) => (url.clone(), TufBootstrap::trusted(read(path)?)),
        (Some(url), None) => {
            return Err(Error::usage(format!("`{url}` is a TUF mirror, but nothing says which root it is trusted by"))
                .hint("set TUF_ROOT_JSON to the path of its first root.json"));
        }
    };
    let kept = ctx.store.root().join("tuf").join(Digest::of(url.as_bytes()).hex());
    Ok((url.clone(), TufConfig::custom(url, bootstrap).with_cache_dir(kept)))
}

async fn fetch(config: TufConfig, url: &str, services: bool) -> Result<Roots> {
    let wrong = |cause| Error::remote(format!("the TUF mirror `{url}` gives no root that holds")).because(cause);
    let from = url.to_string();
    if services {
        let (trusted, signing) = fetch_trust_material(config).await.map_err(wrong)?;
        return Ok(Roots { trusted, signing: Some(signing), from });
    }
    let trusted = TrustedRoot::from_tuf(config).await.map_err(wrong)?;
    Ok(Roots { trusted, signing: None, from })
}
