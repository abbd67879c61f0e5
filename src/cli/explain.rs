//! Stage 10: `stillframe check --explain`.

use serde_json::json;

use super::terminal::Terminal;
use crate::error::{Error, Report, Result, printable};
use crate::manifest::grammar::{Kind, nearest};
use crate::manifest::rules::{self, Rule};

/// Prints what a rule is for.
pub fn run(terminal: &Terminal, code: &str) -> Result<u8> {
    let Some(rule) = rules::rule(code) else {
        let error = Error::usage(format!("there is no rule `{}`", printable(code)));
        return Err(match nearest(code, rules::all().map(|rule| rule.code)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => {
                error.hint(format!("known are: {}", rules::all().map(|rule| rule.code).collect::<Vec<_>>().join(", ")))
            }
        });
    };
    if terminal.json() {
        let document = json!({
            "code": rule.code,
            "about": rule.about,
            "why": rule.why,
            "default": rule.default.name(),
            "takes": rule.key.map(|key| key.expects()),
        });
        terminal.document(document, &Report::default())?;
    } else {
        terminal.result(&text(rule))?;
    }
    Ok(0)
}

/// The longest line of the text, in characters.
const WIDTH: usize = 100;

fn text(rule: &Rule) -> String {
    let takes = match rule.key {
        Some(Kind::Tables(table)) => format!("  below `[[{}]]`\n", table.name),
        Some(kind) => format!("  below `[check]`: {} = {}\n", rule.code, kind.expects()),
        None => "  cannot be set\n".to_string(),
    };
    let head = format!("{}: {}\n  default: {}\n{takes}\n", rule.code, rule.about, rule.default.name());
    let mut line = 0;
    rule.why.split_whitespace().fold(head, |mut text, word| {
        let length = word.chars().count();
        match line {
            0 => {}
            _ if line + 1 + length > WIDTH => {
                text.push('\n');
                line = 0;
            }
            _ => {
                text.push(' ');
                line += 1;
            }
        }
        line += length;
        text + word
    }) + "\n"
}
