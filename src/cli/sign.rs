//! Stage 10: `stillframe sign`, `stillframe attest` and `stillframe keygen`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::args::{Attest, Keygen, Sign, With};
use super::prompt;
use super::receipt;
use super::resume;
use super::session::{Session, password};
use super::signer::signatory;
use super::tag::find;
use crate::error::{Error, Kind, Report, Result};
use crate::event::Event;
use crate::oci::json::canonical;
use crate::oci::{Descriptor, Reference, Repository};
use crate::ship;
use crate::source::{self, Place};
use crate::trust::keys;
use crate::trust::predicate::predicate_type;
use crate::trust::sign::{self, Object, Signed};
use crate::trust::verify::SIGNATURE;

/// Something in a registry that is to be signed.
struct Image {
    repository: Repository,
    descriptor: Descriptor,
}

/// Signs an image by its digest, and with it every image of an index.
pub async fn run(session: &Session<'_>, options: &Sign) -> Result<u8> {
    let references = match (&options.reference, &options.from) {
        (Some(place), _) => vec![in_registry(place)?.clone()],
        (None, Some(path)) => {
            let receipts = receipt::read(path)?;
            if receipts.iter().any(|receipt| receipt.remaining.is_some()) {
                return resume::run(session, options, receipts).await;
            }
            receipts.into_iter().flat_map(|receipt| receipt.references).collect()
        }
        (None, None) => return Err(Error::usage("nothing says what is to be signed")),
    };
    let signatory = signatory(session, &options.with).await?;
    let mut signed = Vec::new();
    let mut lines = String::new();
    for reference in &references {
        let images = images(session, reference, !options.no_recursive).await?;
        for image in &images {
            let annotations = options.with.annotations();
            let object = Object { repository: &image.repository, image: &image.descriptor, annotations: &annotations };
            let done = sign::sign(&session.ctx, &signatory, object).await;
            let done = done.map_err(|error| image.lacks(error, "signed"))?;
            signed.extend(told(session, &image.repository, done));
        }
        if let Some(root) = images.last() {
            lines += &format!("{}@{}\n", root.repository, root.descriptor.digest);
        }
    }
    ended(session, &options.with, &signed, &lines, json!({}))
}

/// Attests a document of an image.
pub async fn attest(session: &Session<'_>, options: &Attest) -> Result<u8> {
    let kind = predicate_type(&options.kind)?;
    if kind == SIGNATURE {
        return Err(
            Error::usage("an attestation of this type would be a signature").hint("`stillframe sign` makes those")
        );
    }
    let predicate = sign::document(&options.predicate)?;
    attest_predicate(session, &options.reference, &kind, &predicate, &options.with).await
}

/// Attests what was read already.
pub async fn attest_predicate(
    session: &Session<'_>,
    place: &Place,
    kind: &str,
    predicate: &Value,
    with: &With,
) -> Result<u8> {
    let signatory = signatory(session, with).await?;
    let images = images(session, in_registry(place)?, false).await?;
    let annotations = with.annotations();
    let mut signed = Vec::new();
    let mut lines = String::new();
    for image in &images {
        let object = Object { repository: &image.repository, image: &image.descriptor, annotations: &annotations };
        let done = sign::attest(&session.ctx, &signatory, object, kind, predicate).await;
        signed.extend(told(session, &image.repository, done.map_err(|error| image.lacks(error, "attested"))?));
        lines += &format!("{}@{}\n", image.repository, image.descriptor.digest);
    }
    ended(session, with, &signed, &lines, json!({}))
}

/// Makes a key pair.
pub async fn keygen(session: &Session<'_>, options: &Keygen) -> Result<u8> {
    let secret = match password() {
        Some(secret) => secret,
        None if prompt::possible() => {
            let first = prompt::ask(session, "password for the private key (empty: none): ", true).await?;
            if first != prompt::ask(session, "once more: ", true).await? {
                return Err(Error::usage("the passwords are not the same; nothing was written"));
            }
            first
        }
        None => prompt::stdin_line().await?,
    };
    if secret.is_empty() {
        session.ctx.note("the private key has an empty password: whoever reads the file can sign");
    }
    let (private, public) = keys::write(&options.output_prefix, &keys::generate(secret.as_bytes())?)?;
    if session.terminal.json() {
        session.terminal.document(json!({ "private": private, "public": public }), &Report::default())?;
    } else {
        session.terminal.result(&format!("{}\n{}\n", private.display(), public.display()))?;
    }
    Ok(0)
}

impl With {
    fn annotations(&self) -> BTreeMap<String, String> {
        self.annotation.iter().cloned().collect()
    }
}

impl Image {
    /// What is left to do after a failure.
    fn lacks(&self, error: Error, done: &str) -> Error {
        let stopped = matches!(error.kind(), Kind::Interrupted | Kind::Terminated);
        let error = error.context(format!("`{}@{}` is pushed, not {done}", self.repository, self.descriptor.digest));
        match stopped {
            true => error,
            false => error.hint(format!("run the same command again; what is {done} already is not {done} twice")),
        }
    }
}

fn in_registry(place: &Place) -> Result<&Reference> {
    match place {
        Place::Registry(reference) => Ok(reference),
        other => Err(Error::usage(format!("`{other}` is in no registry, and signatures are kept there"))
            .hint("push it first; `stillframe copy` takes any image to a registry")),
    }
}

/// What a reference leads to now, children before their index. It is resolved once; what is signed is the digest.
async fn images(session: &Session<'_>, reference: &Reference, all: bool) -> Result<Vec<Image>> {
    let digest = find(&session.ctx, reference).await?.digest;
    let pinned = Reference { digest: Some(digest), ..reference.clone() };
    let opened = source::open(&session.ctx, &Place::Registry(pinned)).await?;
    let image = |descriptor: &Descriptor| Image {
        repository: reference.repository.clone(),
        descriptor: Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size),
    };
    let every = opened.documents.iter().map(|paper| image(&paper.descriptor));
    Ok(every.filter(|image| all || image.descriptor.digest == digest).collect())
}

/// What was signed in a repository, for machines; a detail for people.
pub fn told(session: &Session<'_>, name: &Repository, done: Vec<Signed>) -> Vec<Value> {
    let tell = |one: Signed| {
        let (digest, format, how) = (&one.subject, one.format, one.how);
        session.ctx.say(Event::Detail { text: format!("{name}@{digest}: {format}: {how}") });
        one.to_json(name)
    };
    done.into_iter().map(tell).collect()
}

/// Tells what was signed, and what else there is to tell.
pub fn ended(session: &Session<'_>, with: &With, signed: &[Value], lines: &str, more: Value) -> Result<u8> {
    let references: Vec<&str> = lines.lines().collect();
    let mut document = json!({ "references": references, "signed": signed });
    if let (Some(document), Value::Object(more)) = (document.as_object_mut(), more) {
        document.extend(more);
    }
    if let Some(path) = &with.receipt {
        ship::receipt(path, &canonical(&document))?;
    }
    match session.terminal.json() {
        true => session.terminal.document(document, &Report::default())?,
        false => session.terminal.result(lines)?,
    }
    Ok(0)
}
