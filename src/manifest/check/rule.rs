//! Stage 1: what stands under a rule of `[check]`, checked: a lone value, a table or a list of tables. A value in, findings out. Pure.

use toml::de::{DeTable, DeValue};

use super::Check;
use crate::error::{Finding, Place, printable};
use crate::manifest::grammar::Key;
use crate::manifest::rules::{Level, MOST, Value};
use crate::manifest::written::place_of;

impl Check<'_, '_> {
    pub(super) fn rule(&mut self, key: &'static Key, rule: Value, given: &DeValue<'_>, place: &Place) {
        match (rule, given) {
            (_, DeValue::Table(tree)) => self.ruling(key, rule, tree, place),
            (Value::Paths | Value::SizePaths, DeValue::Array(items))
                if items.iter().any(|item| item.get_ref().is_table()) =>
            {
                for item in items.iter() {
                    let place = place_of(self.text, item.span());
                    match item.get_ref() {
                        DeValue::Table(tree) => self.ruling(key, rule, tree, &place),
                        other => self.wrong_kind(key.name, &key.kind, other, &place),
                    }
                }
            }
            (Value::Words, DeValue::Array(items)) => self.list(key.name, items, true, place),
            (Value::Whole { bare: true }, DeValue::String(word)) => {
                self.word(key, &["deny", "warn", "allow"], word, place);
            }
            (Value::Whole { .. } | Value::Paths, DeValue::String(word)) if word == Level::Allow.name() => {
                let finding = Finding::error("reason", format!("`{}` is allowed without a reason", key.name));
                let help = format!("write `{} = {{ level = \"allow\", reason = \"…\" }}`", key.name);
                self.report.add(finding.at(place, "").help(help));
            }
            (Value::Whole { .. } | Value::Paths, DeValue::String(word)) => {
                self.word(key, &["deny", "warn"], word, place)
            }
            (Value::Size | Value::SizePaths, DeValue::String(_)) => {}
            (Value::Count, DeValue::Integer(number)) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                if !number.is_some_and(|number| (1..=MOST).contains(&number)) {
                    let shown = &self.text.text[place.span.clone()];
                    let finding = Finding::error("value", format!("`{}` cannot be {shown}", key.name));
                    self.report.add(finding.at(place, format!("expected a whole number from 1 to {MOST}")));
                }
            }
            (_, other) => self.wrong_kind(key.name, &key.kind, other, place),
        }
    }

    /// One table of a rule. What is allowed has a reason.
    fn ruling(&mut self, key: &'static Key, rule: Value, tree: &DeTable<'_>, place: &Place) {
        self.table(tree, rule.table(), place);
        self.reason(key.name, tree, place);
    }

    /// Reports a table that allows something without saying why.
    pub(super) fn reason(&mut self, name: &str, tree: &DeTable<'_>, place: &Place) {
        let text = |key: &str| tree.get(key).and_then(|value| value.get_ref().as_str());
        let blank = text("reason").is_none_or(|reason| reason.trim().is_empty());
        if text("level") == Some(Level::Allow.name()) && blank {
            let finding = Finding::error("reason", format!("`{}` is allowed without a reason", printable(name)));
            self.report.add(finding.at(place, "").help("add `reason = \"…\"`, which is shown with what it allows"));
        }
    }
}
