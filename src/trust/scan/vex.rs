//! Stage 8: what a maker says about vulnerabilities of his product. OpenVEX documents in, the word on one vulnerability of one package
//! out. Reads the files that it is given; the rest is pure.
//!
//! Source: OpenVEX 0.2.0. A product is the image or a package in it; with subcomponents it is the image, and the word is on these. An
//! identifier without a version is every version. Of several statements on one thing the latest counts, of the same time the last one.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::matches::Vulnerability;
use crate::error::{Error, Result, printable};
use crate::oci::Digest;
use crate::trust::root;
use crate::trust::sbom::Purl;

/// Most statements of all documents.
const MOST_STATEMENTS: usize = 100_000;
/// What the context of an OpenVEX document begins with.
const CONTEXT: &str = "https://openvex.dev/ns";

/// What is said of a vulnerability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The product is not affected.
    NotAffected,
    /// It is.
    Affected,
    /// It was, and is mended.
    Fixed,
    /// Nobody knows yet.
    UnderInvestigation,
}

/// A word on a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The names of the vulnerability.
    pub names: BTreeSet<String>,
    /// The products, each with its parts.
    pub products: Vec<(Component, Vec<Component>)>,
    /// What is said.
    pub status: Status,
    /// Why.
    pub why: String,
    /// When it was said; the beginning of time where that does not stand there.
    pub at: Timestamp,
    /// The file that says so.
    pub from: String,
}

/// Something by its identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    purls: Vec<Purl>,
    names: BTreeSet<String>,
}

/// The image that is judged.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its digests: of the image, and of the index that it was named by.
    pub digests: Vec<Digest>,
    /// Its name in a registry, if it has one.
    pub name: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "@context")]
    context: String,
    #[serde(default)]
    timestamp: Option<String>,
    statements: Vec<Written>,
}

#[derive(Deserialize)]
struct Written {
    vulnerability: Value,
    #[serde(default)]
    products: Vec<Value>,
    status: String,
    #[serde(default)]
    justification: Option<String>,
    #[serde(default)]
    impact_statement: Option<String>,
    #[serde(default)]
    timestamp: Option<String>,
}

/// The statements of some documents, in their order.
pub fn read(paths: &[impl AsRef<Path>]) -> Result<Vec<Statement>> {
    let mut all = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let shown = path.display().to_string();
        all.extend(parse(&root::read(path)?, &shown)?);
        if all.len() > MOST_STATEMENTS {
            return Err(Error::usage(format!("there are more than {MOST_STATEMENTS} OpenVEX statements")));
        }
    }
    Ok(all)
}

/// The statements of one document.
pub fn parse(text: &str, from: &str) -> Result<Vec<Statement>> {
    let wrong = || Error::usage(format!("`{}` is not an OpenVEX document", printable(from)));
    let document: Document = serde_json::from_str(text).map_err(|cause| wrong().because(cause))?;
    if !document.context.starts_with(CONTEXT) {
        return Err(wrong().hint(format!("its `@context` would begin with `{CONTEXT}`")));
    }
    let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let whole = time(&document.timestamp).unwrap_or(Timestamp::MIN);
    let meant = |(at, written): (usize, Written)| {
        let at_time = time(&written.timestamp).unwrap_or(whole);
        statement(written, at_time, from)
            .map_err(|why| wrong().because(Error::usage(format!("statement {}: {why}", at + 1))))
    };
    document.statements.into_iter().enumerate().map(meant).collect()
}

fn statement(written: Written, at: Timestamp, from: &str) -> Result<Statement, String> {
    let names = names(&written.vulnerability);
    if names.is_empty() {
        return Err("it names no vulnerability".to_string());
    }
    let status = match written.status.as_str() {
        "not_affected" => Status::NotAffected,
        "affected" => Status::Affected,
        "fixed" => Status::Fixed,
        "under_investigation" => Status::UnderInvestigation,
        other => return Err(format!("`{}` is no status", printable(other))),
    };
    let said = [written.justification, written.impact_statement].into_iter().flatten();
    let why = said.map(|text| text.trim().to_string()).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
    if status == Status::NotAffected && why.is_empty() {
        return Err("`not_affected` needs a `justification` or an `impact_statement`".to_string());
    }
    let product = |value: &Value| {
        let parts = value.get("subcomponents").and_then(Value::as_array).into_iter().flatten();
        (component(value), parts.map(component).collect())
    };
    let products = written.products.iter().map(product).collect();
    Ok(Statement { names, products, status, why, at, from: from.to_string() })
}

/// The names of a vulnerability: a text, or an object with `name`, `@id` and `aliases`.
fn names(value: &Value) -> BTreeSet<String> {
    let aliases = value.get("aliases").and_then(Value::as_array).into_iter().flatten();
    let values = [Some(value), value.get("name"), value.get("@id")].into_iter().flatten().chain(aliases);
    // An `@id` is a URL that ends in the name.
    let name = |text: &str| text.rsplit('/').next().unwrap_or(text).trim().to_string();
    values.filter_map(Value::as_str).map(name).filter(|name| !name.is_empty()).collect()
}

/// A product or part: a text, or an object with `@id` and `identifiers`.
fn component(value: &Value) -> Component {
    let identifiers = value.get("identifiers").and_then(Value::as_object).into_iter().flat_map(|map| map.values());
    let texts = [Some(value), value.get("@id")].into_iter().flatten().chain(identifiers);
    let texts: BTreeSet<String> = texts.filter_map(Value::as_str).map(str::to_string).collect();
    Component { purls: texts.iter().filter_map(|text| Purl::read(text)).collect(), names: texts }
}

/// The statement that counts for a vulnerability, if it says that there is nothing to do.
pub fn word<'a>(statements: &'a [Statement], vulnerability: &Vulnerability, image: &Product) -> Option<&'a Statement> {
    let package = &vulnerability.package;
    let installed = vulnerability.seen.parts.iter().map(|(_, _, purl)| {
        let own = purl.as_deref().and_then(Purl::read);
        // Those who write statements name the source package, too.
        let source = own.as_ref().map(|purl| purl.source(&package.name, &package.version));
        own.into_iter().chain(source).collect()
    });
    let mut parts: Vec<Vec<Purl>> = installed.collect();
    if parts.is_empty() {
        parts.push(package.purl().into_iter().collect());
    }
    // Every part that was built from it must be cleared.
    let words: Option<Vec<&Statement>> =
        parts.iter().map(|purls| one(statements, vulnerability, purls, image)).collect();
    words.and_then(|words| words.into_iter().next())
}

fn one<'a>(
    statements: &'a [Statement],
    vulnerability: &Vulnerability,
    purls: &[Purl],
    image: &Product,
) -> Option<&'a Statement> {
    let named = |statement: &&Statement| vulnerability.is(&|name| statement.names.contains(name));
    let about = |statement: &&Statement| {
        statement.products.iter().any(|(product, parts)| {
            let part =
                |component: &Component| component.purls.iter().any(|asked| purls.iter().any(|purl| asked.fits(purl)));
            match parts.is_empty() {
                true => part(product) || image.is(product),
                false => image.is(product) && parts.iter().any(part),
            }
        })
    };
    let last = statements.iter().filter(named).filter(about).max_by_key(|statement| statement.at)?;
    matches!(last.status, Status::NotAffected | Status::Fixed).then_some(last)
}

impl Product {
    /// Whether a component is this image: by its package URL, its digest, or its name.
    fn is(&self, component: &Component) -> bool {
        let digests: Vec<String> = self.digests.iter().map(ToString::to_string).collect();
        let last = self.name.as_deref().and_then(|name| name.rsplit('/').next());
        let purl = |purl: &Purl| {
            purl.kind == "oci"
                && purl.version.as_ref().map_or(last == Some(purl.name.as_str()), |version| digests.contains(version))
                && purl
                    .qualifiers
                    .get("repository_url")
                    .is_none_or(|at| self.name.as_deref().is_none_or(|name| name == at))
        };
        let text = |text: &String| {
            let (name, digest) =
                text.rsplit_once('@').map_or((text.as_str(), None), |(name, digest)| (name, Some(digest)));
            match digest {
                Some(digest) => digests.iter().any(|known| known == digest),
                None => self.name.as_deref() == Some(name) || digests.contains(text),
            }
        };
        component.purls.iter().any(purl) || component.names.iter().any(text)
    }
}

impl Status {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Status::NotAffected => "not_affected",
            Status::Affected => "affected",
            Status::Fixed => "fixed",
            Status::UnderInvestigation => "under_investigation",
        }
    }
}
