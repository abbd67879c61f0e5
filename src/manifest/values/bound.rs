//! Stage 1: how much code may stand in a template. A template in, what is too much in it out. Pure.
//!
//! minijinja bounds what is nested, but walks chains by recursion (`1+1+1…`, `x.y.z…`, `not not …`, `elif` after `elif`): one of
//! 30 KB ends the process for want of stack, in a thread that is not the first one of 7 KB. So they are bounded here, before it
//! reads the template. Strings and brackets count as in its lexer; what stands between `raw` and `endraw` counts as code.

use std::ops::Range;

/// Most bytes between `{{` and `}}`, or `{%` and `%}`.
const MOST_CODE: usize = 1024;
/// Most `elif` of one template.
const MOST_BRANCHES: usize = 100;

/// The first place with too much code, and what is wrong with it.
pub(super) fn excess(template: &str) -> Option<(Range<usize>, String)> {
    let (mut at, mut branches) = (0, 0);
    while let Some(found) = template.get(at..).and_then(|rest| rest.find('{')) {
        let start = at + found;
        let inner = start + 2;
        let (code, end) = match template.as_bytes().get(start + 1) {
            Some(b'{') => ("", end(template, inner, b"}}")),
            Some(b'%') => (template.get(inner..).unwrap_or_default(), end(template, inner, b"%}")),
            Some(b'#') => {
                at = template.get(inner..).and_then(|rest| rest.find("#}")).map_or(template.len(), |end| inner + end);
                continue;
            }
            _ => {
                at = start + 1;
                continue;
            }
        };
        if end - inner > MOST_CODE {
            let why = format!("it has {} bytes of code in one pair of braces, the limit is {MOST_CODE}", end - inner);
            return Some((start..inner, why));
        }
        branches += usize::from(code.trim_start_matches(['-', '+']).trim_start().starts_with("elif"));
        if branches > MOST_BRANCHES {
            return Some((start..inner, format!("it has more than {MOST_BRANCHES} `elif`, which is the limit")));
        }
        at = end;
    }
    None
}

/// Where the code that begins at `from` ends: at `close` outside of strings and brackets, else at the end of the template.
fn end(template: &str, from: usize, close: &[u8; 2]) -> usize {
    let bytes = template.as_bytes();
    let (mut depth, mut quote, mut at) = (0_usize, None, from);
    while let Some(byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, _) if depth == 0 && bytes.get(at..at + 2) == Some(close) => return at,
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_code_is_found_wherever_it_hides() {
        let long = "+1".repeat(MOST_CODE);
        for template in [
            format!("{{{{ 1{long} }}}}"),
            format!("{{{{ 1{long}"),
            format!("{{% if 1{long} %}}x{{% endif %}}"),
            format!("{{# {{{{ \" #}}{{{{ \"}}}}\" ~ 1{long} }}}}"),
            format!("{{{{ '\\'}}}}' ~ 1{long} }}}}"),
            format!("{{{{ {{\"a\": {{}}}} }}}}{{{{ [{{}}]{long} }}}}"),
            format!("a {{ b {{{{ 1 }}}} {{{{ 1{long} }}}}"),
            format!("{{% if 1 %}}{}{{% endif %}}", "{%- elif 1 %}".repeat(MOST_BRANCHES + 1)),
        ] {
            assert!(excess(&template).is_some(), "{}", &template[..30]);
        }
    }

    #[test]
    fn much_text_and_many_short_parts_are_fine() {
        let text = "x { } \" ' é".repeat(MOST_CODE);
        for template in [
            text.clone(),
            format!("{{# {text} #}}"),
            "{{ x }}{% if x %}{% endif %}".repeat(MOST_CODE),
            format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(MOST_BRANCHES)),
            format!("{{{{ \"{}\" }}}}", "x".repeat(MOST_CODE - 4)),
        ] {
            assert_eq!(excess(&template), None, "{}", &template[..30]);
        }
    }
}
