//! Between stages 1 and 2: which lines of a Dockerfile belong to which instruction. Pure.
//!
//! The parser gives the place of each keyword. Here each instruction gets all of its lines, with the comments above it. Here-documents of
//! `RUN` are hidden from the parser, which knows only those that begin a command; nothing of a `RUN` but its lines is needed from it.

use std::ops::Range;

/// A Dockerfile as the parser gets it, byte for byte as long as the original.
pub struct Masked {
    /// The text.
    pub text: String,
    /// The lines of here-documents that are hidden in it.
    hidden: Vec<Range<usize>>,
    /// The character that joins lines.
    pub escape: char,
}

/// An instruction's lines.
#[derive(Clone, Debug)]
pub struct Lines {
    /// The bytes from its keyword to its end.
    pub range: Range<usize>,
    /// The number of its first line.
    pub number: usize,
    /// The comments above it, without their `#`.
    pub comments: Vec<String>,
}

/// Hides what the parser does not know.
pub fn mask(text: &str) -> Masked {
    let escape = escape(text);
    let mut bytes = text.as_bytes().to_vec();
    let mut hidden = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = logical(text, at, escape);
        let line = &text[at..end];
        let words = line.trim_start();
        let keyword = words.split_whitespace().next().unwrap_or_default();
        let runs = keyword.eq_ignore_ascii_case("RUN")
            || keyword.eq_ignore_ascii_case("ONBUILD")
                && words.split_whitespace().nth(1).is_some_and(|next| next.eq_ignore_ascii_case("RUN"));
        let documents = if runs { documents(line) } else { Vec::new() };
        let mut next = end;
        for (start, delimiter, tabs) in documents {
            bytes[at + start..at + start + 2].fill(b'#');
            next = body(text, next, &delimiter, tabs);
        }
        for byte in bytes[end..next].iter_mut().filter(|byte| !b"\r\n".contains(byte)) {
            *byte = b'#';
        }
        if next > end {
            hidden.push(end..next);
        }
        empty_command(keyword, line, &mut bytes[at..end]);
        at = next;
    }
    Masked { text: String::from_utf8(bytes).unwrap_or_else(|_| text.to_string()), hidden, escape }
}

/// `CMD []` and `ENTRYPOINT []`, which the parser refuses, become words that it takes.
fn empty_command(keyword: &str, line: &str, bytes: &mut [u8]) {
    if !["CMD", "ENTRYPOINT"].iter().any(|known| keyword.eq_ignore_ascii_case(known)) {
        return;
    }
    if let Some(start) = line.find('[')
        && let Some(end) = line.find(']')
        && line[start + 1..end].trim().is_empty()
        && line[end + 1..].trim().is_empty()
    {
        (bytes[start], bytes[end]) = (b'"', b'"');
    }
}

fn escape(text: &str) -> char {
    for line in text.lines() {
        let Some(rest) = line.strip_prefix('#') else { break };
        let Some((name, value)) = rest.split_once('=') else { break };
        if name.trim().eq_ignore_ascii_case("escape") {
            return if value.trim() == "`" { '`' } else { '\\' };
        }
    }
    '\\'
}

/// The end of the line that begins at a place, with all that it is continued by.
fn logical(text: &str, start: usize, escape: char) -> usize {
    let mut at = start;
    let mut first = true;
    loop {
        let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1);
        let line = text[at..end].trim();
        let comment = line.starts_with('#');
        let skipped = !first && (comment || line.is_empty());
        if end >= text.len() || !skipped && (!line.ends_with(escape) || comment) {
            return end;
        }
        first = false;
        at = end;
    }
}

/// The here-documents that a line begins: where, with what delimiter, and whether tabs in front of it are dropped.
fn documents(line: &str) -> Vec<(usize, String, bool)> {
    let mut found = Vec::new();
    let mut quote = None;
    let mut previous = ' ';
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') if previous != '\\' => quote = Some(character),
            (Some(open), character) if open == character => quote = None,
            (None, '<') if previous != '<' && line[at..].starts_with("<<") && !line[at..].starts_with("<<<") => {
                let rest = &line[at + 2..];
                let (rest, tabs) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
                let (rest, quoted) = match rest.chars().next() {
                    Some(quote @ ('"' | '\'')) => (&rest[1..], Some(quote)),
                    _ => (rest, None),
                };
                let fits = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
                let end = rest.find(|one: char| !fits(one)).unwrap_or(rest.len());
                if end > 0 && quoted.is_none_or(|quote| rest[end..].starts_with(quote)) {
                    found.push((at, rest[..end].to_string(), tabs));
                }
            }
            _ => {}
        }
        previous = character;
    }
    found
}

/// The end of a here-document's body and its delimiter; without one nothing is a body.
fn body(text: &str, start: usize, delimiter: &str, tabs: bool) -> usize {
    let mut at = start;
    while at < text.len() {
        let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1);
        let line = text[at..end].trim_end_matches(['\r', '\n']);
        if (if tabs { line.trim_start_matches('\t') } else { line }) == delimiter {
            return end;
        }
        at = end;
    }
    start
}

impl Masked {
    /// The lines of the instructions whose keywords begin at these places.
    pub fn lines(&self, original: &str, starts: &[usize]) -> Vec<Lines> {
        let mut all = Vec::new();
        let mut from = 0;
        for (at, start) in starts.iter().enumerate() {
            let next = starts.get(at + 1).copied().unwrap_or(original.len());
            let end = self.end(*start, next);
            let comments = original[from..*start].lines().filter_map(|line| line.trim().strip_prefix('#'));
            let comments = comments.map(|line| line.strip_prefix(' ').unwrap_or(line).to_string()).collect();
            let number = original[..*start].matches('\n').count() + 1;
            all.push(Lines { range: *start..end, number, comments });
            from = end;
        }
        all
    }

    /// What stands between the last instruction and the end.
    pub fn rest(original: &str, end: usize) -> Vec<String> {
        let comments = original[end..].lines().filter_map(|line| line.trim().strip_prefix('#'));
        comments.map(|line| line.trim_start().to_string()).collect()
    }

    /// Cuts comments and empty lines off the end of an instruction, which belong to the next one.
    fn end(&self, start: usize, next: usize) -> usize {
        let hidden = self.hidden.iter().filter(|range| (start..next).contains(&range.start)).map(|range| range.end);
        let least = hidden.max().unwrap_or(start);
        let mut end = next;
        while end > least {
            let line_start = self.text[..end - 1].rfind('\n').map_or(0, |newline| newline + 1);
            let line = self.text[line_start.max(start)..end].trim();
            if line_start <= start || !(line.is_empty() || line.starts_with('#')) {
                break;
            }
            end = line_start;
        }
        let kept = &self.text[start..end.max(least)];
        start + kept.trim_end().len()
    }
}

/// The words behind a keyword as one line: continuations joined, comments between them dropped.
pub fn joined(text: &str, escape: char) -> String {
    let mut out = String::new();
    let mut first = true;
    for line in text.lines() {
        let trimmed = line.trim();
        if !first && trimmed.starts_with('#') {
            continue;
        }
        first = false;
        match line.trim_end().strip_suffix(escape) {
            Some(more) => out += more,
            None => out += line,
        }
    }
    out.trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn here_documents_of_run_are_hidden() {
        let text = "FROM x\nRUN cat <<A >a && cat <<-'B' >b\n# é\nA\nCMD x\n\tB\n# next\nUSER 1\n";
        let masked = mask(text);
        assert_eq!(masked.text.len(), text.len());
        // Every byte of the body is hidden, the two of a letter too.
        let hidden = "FROM x\nRUN cat ##A >a && cat ##-'B' >b\n####\n#\n#####\n##\n# next\nUSER 1\n";
        assert_eq!(masked.text, hidden);
        let starts = [0, 7, text.find("USER").unwrap()];
        let lines = masked.lines(text, &starts);
        assert_eq!(&text[lines[1].range.clone()], "RUN cat <<A >a && cat <<-'B' >b\n# é\nA\nCMD x\n\tB");
        assert_eq!(lines[2].comments, ["next"]);
        assert_eq!(lines[2].number, 8);
    }

    #[test]
    fn a_shift_is_no_here_document() {
        let text = "FROM x\nRUN echo $((1 << 2)) '<<A' <<<word\nUSER 1\n";
        assert_eq!(mask(text).text, text);
    }

    #[test]
    fn lines_are_joined_without_their_comments() {
        assert_eq!(joined("a && \\\n  # why\n  b \\\r\n c", '\\'), "a &&   b  c");
    }
}
