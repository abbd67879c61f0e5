//! Stage 10: findings as commands of a GitHub workflow, which shows each of them at its line of a pull request. Values in, text out. Pure.

use crate::error::{Finding, Report, Severity, printable};

/// One line for each finding that has a place; none for what is allowed.
pub fn annotations(report: &Report) -> String {
    report.all().iter().filter(|finding| finding.allowed.is_none()).filter_map(annotation).collect()
}

fn annotation(finding: &Finding) -> Option<String> {
    let (place, _) = finding.place.as_ref()?;
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let (line, column) = place.line_column();
    let help: String = finding.help.iter().map(|help| format!("\n{}", printable(help))).collect();
    let (file, title) = (property(&place.text.path), property(finding.code));
    let message = data(&(printable(&finding.message) + &help));
    Some(format!("::{level} file={file},line={line},col={column},title={title}::{message}\n"))
}

/// A message, with what would end it escaped as the workflow's grammar says.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property, which ends at a comma or colon too.
fn property(text: &str) -> String {
    data(&printable(text)).replace(':', "%3A").replace(',', "%2C")
}
