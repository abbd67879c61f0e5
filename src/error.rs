//! Below all stages: what can go wrong, said so that a person knows the way out. Touches nothing.
//!
//! An [`Error`] ends the work; a [`Finding`] is one of many judgements that a [`Report`] collects, each with a place in a file.

mod place;

use std::error::Error as StdError;
use std::fmt;

pub use place::{Place, Text};

/// Who has to act; decides the exit code (`docs/cli.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Our bug: exit 1.
    Bug,
    /// The manifest, the command line or a missing source: exit 2.
    Usage,
    /// The network or a registry: exit 3.
    Remote,
    /// A check or a verification refused: exit 4.
    Policy,
    /// A local file or disk: exit 5.
    Local,
    /// SIGINT: exit 130.
    Interrupted,
    /// SIGTERM: exit 143.
    Terminated,
}

impl Kind {
    /// The process exit code for this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Bug => 1,
            Kind::Usage => 2,
            Kind::Remote => 3,
            Kind::Policy => 4,
            Kind::Local => 5,
            Kind::Interrupted => 130,
            Kind::Terminated => 143,
        }
    }

    /// The word for this kind in `--format json`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bug => "bug",
            Kind::Usage => "usage",
            Kind::Remote => "remote",
            Kind::Policy => "policy",
            Kind::Local => "local",
            Kind::Interrupted => "interrupted",
            Kind::Terminated => "terminated",
        }
    }
}

/// The end of the work: what was being done, to what, why it failed and the way out.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    hints: Vec<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    report: Option<Report>,
}

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with one lower-case sentence without a full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner { kind, message: message.into(), hints: Vec::new(), source: None, report: None }))
    }

    /// A broken invariant of our own: exit 1, asks for a report.
    pub fn bug(message: impl Into<String>) -> Error {
        Error::new(Kind::Bug, message)
            .hint("this is a bug in stillframe; please report it with the command and the manifest")
    }

    /// A mistake in the manifest or on the command line: exit 2.
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(Kind::Usage, message)
    }

    /// A failure of the network or a registry: exit 3.
    pub fn remote(message: impl Into<String>) -> Error {
        Error::new(Kind::Remote, message)
    }

    /// A refusal by a check or a verification: exit 4.
    pub fn policy(message: impl Into<String>) -> Error {
        Error::new(Kind::Policy, message)
    }

    /// A failure of a local file or disk: exit 5.
    pub fn local(message: impl Into<String>) -> Error {
        Error::new(Kind::Local, message)
    }

    /// A failed file operation: `doing` says what and to what, as in "writing `out/index.json`".
    pub fn io(doing: impl Into<String>, cause: std::io::Error) -> Error {
        let full = cause.kind() == std::io::ErrorKind::StorageFull || cause.raw_os_error() == Some(122);
        let error = Error::new(Kind::Local, doing).because(cause);
        if full { error.hint("no space is left there; free some and run again, nothing was published") } else { error }
    }

    /// The findings that end the work; their gravest kind decides the exit code (the lowest code counts).
    pub fn findings(report: Report) -> Error {
        let kind = report.errors().map(|finding| finding.kind).min().unwrap_or(Kind::Bug);
        let count = report.errors().count();
        let message =
            if count == 1 { "1 problem was found".to_string() } else { format!("{count} problems were found") };
        let mut error = Error::new(kind, message);
        error.0.report = Some(report);
        error
    }

    /// The same error with one more way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hints.push(hint.into());
        self
    }

    /// The same error with its cause.
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.0.source = Some(cause.into());
        self
    }

    /// A new sentence in front; this error becomes its cause, kind and hints stay.
    pub fn context(mut self, doing: impl Into<String>) -> Error {
        if self.0.report.is_some() {
            return self;
        }
        let kind = self.0.kind;
        let hints = std::mem::take(&mut self.0.hints);
        let mut outer = Error::new(kind, doing).because(self);
        outer.0.hints = hints;
        outer
    }

    /// Who has to act.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The sentence, without its causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The ways out, most useful first.
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }

    /// The findings, if findings ended the work.
    pub fn report(&self) -> Option<&Report> {
        self.0.report.as_ref()
    }

    /// The messages of all causes, outermost first, without this error's own.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)?;
        for cause in self.causes() {
            write!(f, ": {cause}")?;
        }
        for finding in self.0.report.iter().flat_map(|report| report.errors()) {
            write!(f, "\n  {}: {}", finding.code, finding.message)?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

/// The text with control characters escaped, so that it can be shown on a terminal.
pub fn printable(text: &str) -> String {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.to_string();
    }
    let escape = |character: char| character.is_control();
    let show =
        |character: char| if escape(character) { character.escape_default().to_string() } else { character.into() };
    text.chars().map(show).collect()
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Ends the work.
    Error,
    /// Is shown; the work goes on.
    Warning,
    /// Is worth knowing.
    Note,
}

/// One judgement: a code, a place and an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable kebab-case name, the same in text and JSON.
    pub code: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// Who has to act; only errors decide the exit code.
    pub kind: Kind,
    /// One lower-case sentence.
    pub message: String,
    /// Where it is, with a few words for under the caret (may be empty).
    pub place: Option<(Place, String)>,
    /// Other places that belong to it.
    pub related: Vec<(Place, String)>,
    /// The ways out.
    pub help: Vec<String>,
    /// Why it is allowed, where somebody said so.
    pub allowed: Option<String>,
    /// Whether what stands at its place is a secret, which no excerpt shows.
    pub hidden: bool,
}

impl Finding {
    /// An error of the manifest or the inputs (exit 2).
    pub fn error(code: &'static str, message: impl Into<String>) -> Finding {
        Finding {
            code,
            severity: Severity::Error,
            kind: Kind::Usage,
            message: message.into(),
            place: None,
            related: Vec::new(),
            help: Vec::new(),
            allowed: None,
            hidden: false,
        }
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, ..Finding::error(code, message) }
    }

    /// A note.
    pub fn note(code: &'static str, message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Note, ..Finding::error(code, message) }
    }

    /// The same finding for another actor.
    pub fn kind(mut self, kind: Kind) -> Finding {
        self.kind = kind;
        self
    }

    /// The same finding at a place, with words for under the caret (may be empty).
    pub fn at(mut self, place: &Place, label: impl Into<String>) -> Finding {
        self.place = Some((place.clone(), label.into()));
        self
    }

    /// The same finding with one more place.
    pub fn and(mut self, place: &Place, label: impl Into<String>) -> Finding {
        self.related.push((place.clone(), label.into()));
        self
    }

    /// The same finding, at a place that no excerpt shows.
    pub fn hidden(self) -> Finding {
        Finding { hidden: true, ..self }
    }

    /// The same finding with one more way out.
    pub fn help(mut self, help: impl Into<String>) -> Finding {
        self.help.push(help.into());
        self
    }
}

/// Findings in the order in which they were made, without doubles.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    /// Most errors, and most other findings, that are kept; the rest would only hide the first.
    pub const MOST: usize = 200;

    /// Adds a finding unless the same one is there, or [`Report::MOST`] of its gravity are. Warnings never push out an error.
    pub fn add(&mut self, finding: Finding) {
        let error = finding.severity == Severity::Error;
        let alike = self.findings.iter().filter(|known| (known.severity == Severity::Error) == error).count();
        if alike < Self::MOST && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Adds all findings of another report.
    pub fn join(&mut self, other: Report) {
        other.findings.into_iter().for_each(|finding| self.add(finding));
    }

    /// The findings that another report does not have.
    pub fn without(&self, other: &Report) -> Report {
        let fresh = self.findings.iter().filter(|finding| !other.findings.contains(finding));
        Report { findings: fresh.cloned().collect() }
    }

    /// All findings.
    pub fn all(&self) -> &[Finding] {
        &self.findings
    }

    /// The findings that end the work.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }

    /// The report, if nothing in it ends the work; else the error that carries it.
    pub fn pass(self) -> Result<Report> {
        if self.errors().next().is_some() { Err(Error::findings(self.sorted())) } else { Ok(self.sorted()) }
    }

    /// The findings by file and place; those without a place last, in their order.
    pub fn sorted(mut self) -> Report {
        self.findings.sort_by_key(|finding| match &finding.place {
            Some((place, _)) => (0, place.text.path.clone(), place.span.start),
            None => (1, String::new(), 0),
        });
        self
    }
}
