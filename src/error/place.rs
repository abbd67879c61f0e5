//! Below all stages: places in text files, and errors that have one. Touches nothing.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{Error, Finding, Report};

/// A text file as it was read, with the path as the user would name it.
#[derive(Debug)]
pub struct Text {
    /// The path for messages.
    pub path: String,
    /// The whole content.
    pub text: String,
}

/// A byte range of a text file.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub text: Arc<Text>,
    /// The byte range; always on character boundaries.
    pub span: Range<usize>,
}

impl Place {
    /// Line and column of the range's start, both from 1; columns count characters.
    pub fn line_column(&self) -> (usize, usize) {
        let before = &self.text.text[..self.span.start.min(self.text.text.len())];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].trim_start_matches('\u{feff}').chars().count() + 1)
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        self.text.path == other.text.path && self.span == other.span
    }
}

impl Eq for Place {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.text.path)
    }
}

impl Error {
    /// The same error as a finding of this code at its place, causes and hints with it; findings, our bugs and the wish to stop stay
    /// what they are.
    pub fn placed(self, code: &'static str, place: &Place) -> Error {
        if self.report().is_some() || matches!(self.kind().exit_code(), 1 | 130 | 143) {
            return self;
        }
        let mut messages: Vec<String> = [self.message().to_string()].into_iter().chain(self.causes()).collect();
        if messages.len() > 1 && self.message().starts_with("reading the base `") {
            messages.remove(0); // the caret says which base
        }
        let mut finding = Finding::error(code, messages.join(": ")).kind(self.kind()).at(place, "");
        finding.help.extend(self.hints().iter().cloned());
        let mut report = Report::default();
        report.add(finding);
        Error::findings(report)
    }
}
