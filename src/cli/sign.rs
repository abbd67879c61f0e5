//! Stage 10: `stillframe sign` and `stillframe attest`: who signs, from options and the manifest, and what.

use std::io::{self, BufRead};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{Attest, Sign, Signing};
use super::prompt;
use super::session::{Session, outside, variable};
use crate::error::{Error, Report, Result};
use crate::manifest::{self, Form, KeyRef, Method};
use crate::oci::json::canonical;
use crate::oci::{Descriptor, Digest, Reference, Repository};
use crate::ship;
use crate::source::{self, Place};
use crate::trust::keys::{self, Key};
use crate::trust::predicate::predicate_type;
use crate::trust::root::{self, RootOptions};
use crate::trust::sign::{Ask, Signed, Signer, Source, attest_image, sign_image};

/// Largest predicate in bytes.
const MOST_PREDICATE: u64 = 32 << 20;
/// Largest receipt in bytes.
const MOST_RECEIPT: u64 = 16 << 20;
/// What a person agrees to who signs in.
const CONSENT: &str = "The signature, and with it the name or mail address that you sign in with, goes to a public log and stays there for ever.";

/// An image that is there, by digest.
struct Target {
    repository: Repository,
    root: Descriptor,
    /// Everything that it consists of, the root last.
    all: Vec<Descriptor>,
}

/// Signs images by their digests.
pub async fn run(session: &Session<'_>, options: &Sign) -> Result<u8> {
    let references = match (&options.reference, &options.from) {
        (Some(place), None) => vec![registry(place)?],
        (None, Some(path)) => receipt(path)?,
        _ => {
            return Err(
                Error::usage("nothing says what to sign").hint("name an image, or a receipt with `--from FILE`")
            );
        }
    };
    let (signer, form) = signer(session, &options.signing, wanted(session, &options.signing)?).await?;
    let annotations = options.annotation.iter().cloned().collect();
    let mut lines = Vec::new();
    for reference in &references {
        let target = find(session, reference).await?;
        let images = if options.no_recursive { vec![target.root.clone()] } else { target.all.clone() };
        let mut signed = Vec::new();
        for (at, image) in images.iter().enumerate() {
            session.cancel.check()?;
            let one = sign_image(&session.ctx, &signer, &target.repository, image, form, &annotations).await;
            let left = images.len() - at;
            let one = one.map_err(|error| match left {
                1 => error,
                _ => error.hint(format!(
                    "{left} of the {} images of {} are left to sign",
                    images.len(),
                    target.root.digest
                )),
            })?;
            signed.push(one);
        }
        lines.push((target, signed));
    }
    finish(session, options.receipt.as_deref(), &lines)
}

/// Attests something of an image.
pub async fn attest(session: &Session<'_>, options: &Attest) -> Result<u8> {
    let kind = predicate_type(&options.kind)?;
    let text = root::read_up_to(&options.predicate, MOST_PREDICATE)?;
    let predicate: Value = serde_json::from_str(&text)
        .map_err(|cause| Error::usage(format!("`{}` is not JSON", options.predicate.display())).because(cause))?;
    let reference = registry(&options.reference)?;
    let (signer, form) = signer(session, &options.signing, wanted(session, &options.signing)?).await?;
    let target = find(session, &reference).await?;
    let signed = attest_image(&session.ctx, &signer, &target.repository, &target.root, form, &kind, &predicate).await?;
    finish(session, options.receipt.as_deref(), &[(target, vec![signed])])
}

fn finish(session: &Session<'_>, receipt: Option<&Path>, lines: &[(Target, Vec<Signed>)]) -> Result<u8> {
    let reference = |target: &Target| format!("{}@{}", target.repository, target.root.digest);
    let image = |(target, signed): &(Target, Vec<Signed>)| {
        json!({
            "name": target.repository.to_string(),
            "digest": target.root.digest,
            "signed": signed.iter().map(Signed::to_json).collect::<Vec<_>>(),
        })
    };
    let references: Vec<String> = lines.iter().map(|(target, _)| reference(target)).collect();
    let told = json!({ "references": references, "images": lines.iter().map(image).collect::<Vec<_>>() });
    if let Some(path) = receipt {
        ship::receipt(path, &canonical(&told))?;
    }
    if session.terminal.json() {
        session.terminal.document(told, &Report::default())?;
    } else {
        session.terminal.result(&references.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    }
    Ok(0)
}

fn registry(place: &Place) -> Result<Reference> {
    match place {
        Place::Registry(reference) => Ok(reference.clone()),
        other => Err(Error::usage(format!("`{other}` is in no registry, and signatures stand beside an image there"))
            .hint("copy the image to a registry first, with `stillframe copy`")),
    }
}

/// What a receipt of `push`, `copy`, `tag` or `sign` names, by digest.
fn receipt(path: &Path) -> Result<Vec<Reference>> {
    let text = root::read_up_to(path, MOST_RECEIPT)?;
    let wrong = || {
        Error::usage(format!("`{}` is not a receipt that names images by digest", path.display()))
            .hint("`--receipt FILE` of `push`, `copy` and `tag` writes one")
    };
    let value: Value = serde_json::from_str(&text).map_err(|cause| wrong().because(cause))?;
    let named: Vec<&str> = match (&value["references"], &value["reference"]) {
        (Value::Array(all), _) => all.iter().filter_map(Value::as_str).collect(),
        (_, Value::String(one)) => vec![one.as_str()],
        _ => Vec::new(),
    };
    let named: Vec<Reference> = named.iter().map(|text| text.parse()).collect::<Result<_>>()?;
    match !named.is_empty() && named.iter().all(|reference| reference.digest.is_some()) {
        true => Ok(named),
        false => Err(wrong()),
    }
}

/// Resolves a reference once, to a digest; says which, where it was a tag.
async fn find(session: &Session<'_>, reference: &Reference) -> Result<Target> {
    let digest: Digest = super::tag::find(&session.ctx, reference).await?.digest;
    if reference.digest.is_none() {
        session.ctx.note(format!("`{reference}` is {digest}; that digest is signed, whatever the tag says later"));
    }
    let pinned = Reference { digest: Some(digest), ..reference.clone() };
    let image = source::open(&session.ctx, &Place::Registry(pinned)).await?;
    let all = image.documents.iter().map(|paper| paper.descriptor.clone()).collect();
    Ok(Target { repository: reference.repository.clone(), root: image.root.clone(), all })
}

/// Who signs: what the options say, else what the manifest says.
pub(super) fn wanted(session: &Session<'_>, options: &Signing) -> Result<manifest::Sign> {
    let here = std::path::absolute(".").map_err(|cause| Error::io("finding the working directory", cause))?;
    let method = match (&options.key, options.keyless) {
        (Some(text), _) => Some(Method::Key(KeyRef::read(text, &here)?)),
        (None, true) => Some(Method::Keyless),
        (None, false) => None,
    };
    let declared = match &method {
        Some(_) => None,
        None => declared(session).map_err(|error| {
            error.hint("say who signs: `--key cosign.key`, `--keyless`, or `[sign]` in the manifest")
        })?,
    };
    let mut sign = match (method, declared) {
        (Some(method), _) => {
            manifest::Sign { method, form: None, log: false, signing_config: None, trusted_root: None }
        }
        (None, Some(sign)) => sign,
        (None, None) => {
            return Err(Error::usage("nothing says who signs: the manifest has no `[sign]`")
                .hint("write `--key cosign.key` or `--keyless`, or add `[sign]` to the manifest"));
        }
    };
    sign.form = options.signature_format.or(sign.form);
    sign.log |= options.log;
    sign.signing_config = options.signing_config.clone().or(sign.signing_config);
    sign.trusted_root = options.trusted_root.clone().or(sign.trusted_root);
    Ok(sign)
}

fn declared(session: &Session<'_>) -> Result<Option<manifest::Sign>> {
    let location = manifest::locate::locate(&session.options.file)?;
    let manifest::Read { manifest, report } = manifest::read(&location, &outside(&session.options.set));
    report.pass()?;
    Ok(manifest.sign)
}

/// Somebody who signs as it is wanted, and in which form.
pub(super) async fn signer(session: &Session<'_>, options: &Signing, wanted: manifest::Sign) -> Result<(Signer, Form)> {
    let roots = RootOptions {
        signing: wanted.signing_config.clone(),
        services: true,
        ..session.roots(wanted.trusted_root.as_deref())
    };
    let signer = match &wanted.method {
        Method::Key(reference) => {
            let key = key(session, reference).await?;
            match wanted.log || wanted.signing_config.is_some() {
                true => Signer::logged(key, root::load(&session.ctx, &roots).await?)?,
                false => Signer::key(key),
            }
        }
        Method::Keyless => {
            let source = Source::new(options.identity_token.as_deref(), &variable, ask(session, options.yes));
            Signer::keyless(source, root::load(&session.ctx, &roots).await?)?
        }
    };
    let form = signer.form(wanted.form)?;
    if wanted.form.is_none() && form == Form::Bundle {
        session
            .ctx
            .note("only bundles are written: legacy signatures need a log of the first generation, and there is none");
    }
    Ok((signer, form))
}

/// Opens a key; its password comes from the environment, a terminal or stdin.
async fn key(session: &Session<'_>, reference: &KeyRef) -> Result<Key> {
    let ask = async |what: &str| match prompt::possible() {
        true => prompt::ask(session, &format!("{what}: "), true).await,
        false => prompt::stdin_line().await,
    };
    Key::open(reference, &keys::Outside { variable: &variable, search: None }, ask).await
}

/// The way to ask a person to sign in, where there is a terminal.
fn ask(session: &Session<'_>, agreed: bool) -> Option<Ask> {
    if !prompt::possible() {
        return None;
    }
    let terminal = session.terminal.clone();
    Some(Arc::new(move |url: &str| {
        let line = || {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map(|_| line)
        };
        if !agreed {
            terminal.ask(&format!("{CONSENT}\nGo on? [y/N] "));
            if !["y", "yes"].contains(&line()?.trim().to_lowercase().as_str()) {
                return Err(io::Error::other("it was not agreed to"));
            }
        }
        terminal.ask(&format!("sign in here, with any browser:\n\n  {url}\n\nthe code that is shown there: "));
        line()
    }))
}
