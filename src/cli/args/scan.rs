//! Stage 10: the grammar of the commands on known vulnerabilities. Words in, choices out.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;

use super::trust::With;
use crate::manifest::{Rating, day};
use crate::oci::{Digest, Platform};
use crate::source::Place;

/// The options of `scan`.
#[derive(Debug, Args)]
pub struct Scan {
    /// The image; without it what the manifest makes
    #[arg(value_name = "REF")]
    pub reference: Option<Place>,
    /// Only this platform (default: all that it has)
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<Platform>,
    /// The database: a directory, or a zip or tar archive, of OSV records (default: what `update-db` fetched)
    #[arg(long, value_name = "PATH")]
    pub db: Option<PathBuf>,
    /// From which gravity on the image is refused: negligible, low, medium, high, critical (default: as `[check.vulnerabilities]` says, else never)
    #[arg(long, value_name = "LEVEL")]
    pub severity: Option<Rating>,
    /// What is done about what could not be found out (default: deny, where something is refused at all)
    #[arg(long, value_name = "LEVEL", value_enum)]
    pub unknown: Option<Unknown>,
    /// An OpenVEX document: what its maker says about the image's vulnerabilities
    #[arg(long, value_name = "FILE")]
    pub vex: Vec<PathBuf>,
    /// The day that permissions are compared with (default: today, in UTC)
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub today: Option<Date>,
    /// Signs a scanner's report as an attestation of the image, in place of a scan: SARIF, or JSON of any kind
    #[arg(long, value_name = "REPORT", requires = "reference", conflicts_with_all = ["platform", "db", "severity", "unknown", "vex", "today"])]
    pub attach: Option<PathBuf>,
    /// Who made the report: a URI (default: as the report says)
    #[arg(long, value_name = "URI", requires = "attach")]
    pub scanner: Option<String>,
    #[command(flatten)]
    pub with: With,
}

/// What is done about what could not be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Unknown {
    /// It is refused.
    Deny,
    /// It is told.
    Warn,
}

/// The options of `update-db`.
#[derive(Debug, Args)]
pub struct UpdateDb {
    /// A world of packages, as in Debian, Alpine, Go, crates.io (default: these four)
    #[arg(long = "ecosystem", value_name = "NAME")]
    pub ecosystems: Vec<String>,
    /// Where a zip archive of OSV records is; {ecosystem} stands for the name (default: the bucket of osv.dev)
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Where the database is kept (default: the store)
    #[arg(long, value_name = "DIR")]
    pub db: Option<PathBuf>,
    /// What the archive must be; for one ecosystem
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<Digest>,
}
