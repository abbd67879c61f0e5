//! Stage 8: what a program was built from, as its compiler wrote it down. An ELF file in, its modules out. Pure.
//!
//! Rust: the list that cargo-auditable embeds. Go: the build information that `go version -m` reads ([`super::go`]).

use auditable_info::Error as Auditable;
use serde::Deserialize;

use super::go;
use super::purl::purl;

/// Largest list of crates in a program, in bytes of JSON.
const MOST_LIST: usize = 8 << 20;

/// What language a module is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// A crate.
    Rust,
    /// A Go module.
    Go,
}

/// One module that a program was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// What it is.
    pub language: Language,
    /// Its name.
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// Its package URL, where it came from a place that everybody can ask.
    pub purl: Option<String>,
    /// Whether it is the program itself.
    pub root: bool,
    /// Whether it only helped to build.
    pub build: bool,
    /// What it needs, as places in the list.
    pub uses: Vec<usize>,
}

/// The modules of a program; none where it does not tell, and half a sentence where what it tells cannot be read.
pub fn modules(program: &[u8]) -> Result<Vec<Module>, String> {
    let mut modules = rust(program)?;
    modules.extend(go::modules(program)?);
    Ok(modules)
}

/// The part of cargo-auditable's format that is used (its `PARSING.md`).
#[derive(Deserialize)]
struct Crates {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    source: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    dependencies: Vec<usize>,
    #[serde(default)]
    root: bool,
}

fn rust(program: &[u8]) -> Result<Vec<Module>, String> {
    let broken = |cause: &dyn std::fmt::Display| format!("its list of crates is broken: {cause}");
    let list = match auditable_info::json_from_slice(program, MOST_LIST) {
        Ok(list) => list,
        Err(Auditable::NoAuditData | Auditable::BinaryParsing(_)) => return Ok(Vec::new()),
        Err(cause) => return Err(broken(&cause)),
    };
    let list: Crates = serde_json::from_str(&list).map_err(|cause| broken(&cause))?;
    let count = list.packages.len();
    if list.packages.iter().flat_map(|package| &package.dependencies).any(|used| *used >= count) {
        return Err(broken(&"it names a crate that it does not hold"));
    }
    let module = |package: Crate| Module {
        language: Language::Rust,
        // What came from git, a directory or another registry has no address in the list.
        purl: (package.source == "crates.io").then(|| purl("cargo", &[&package.name], Some(&package.version), &[])),
        name: package.name,
        version: Some(package.version),
        root: package.root,
        build: package.kind.as_deref() == Some("build"),
        uses: package.dependencies,
    };
    Ok(list.packages.into_iter().map(module).collect())
}
