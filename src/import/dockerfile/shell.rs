//! Between stages 1 and 2: the command lines of `RUN`, as far as they are simple. A script in, its commands out; anything that needs
//! a shell is marked as such. Pure.

use super::words::Lookup;
use super::words::expand;

/// One command of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Its words, with quotes taken off and variables replaced.
    pub words: Vec<String>,
    /// As it stands.
    pub text: String,
    /// Whether only a shell knows what it does.
    pub complex: bool,
}

/// Words that begin what only a shell understands.
const KEYWORDS: [&str; 14] =
    ["if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "{", "function"];

/// The commands of a script that are joined by `&&`, `;` or the ends of lines; `None` where it has more structure than that.
pub fn commands(script: &str, lookup: Lookup<'_>) -> Option<Vec<Command>> {
    let mut commands = Vec::new();
    for piece in pieces(script)? {
        let text = piece.text.trim().to_string();
        let mut complex = piece.complex;
        let mut words = Vec::new();
        for raw in super::words::split(&text, '\\') {
            let word = expand(&raw, '\\', lookup);
            complex |= !word.unknown.is_empty() || !word.odd.is_empty();
            words.push(word.value.plain());
        }
        if words.is_empty() {
            continue;
        }
        if KEYWORDS.contains(&words[0].as_str()) {
            return None;
        }
        commands.push(Command { words: quiet(words, &mut complex), text, complex });
    }
    Some(commands)
}

/// Drops what only silences a command; another redirection makes it complex.
fn quiet(words: Vec<String>, complex: &mut bool) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        match word.as_str() {
            ">/dev/null" | "2>/dev/null" | "&>/dev/null" | "2>&1" | "1>&2" | ">&2" => {}
            ">" | "2>" | "&>" if words.peek().is_some_and(|next| next == "/dev/null") => drop(words.next()),
            redirect if redirect.contains(['<', '>']) && !redirect.contains([' ', '\'']) && redirect.len() < 64 => {
                *complex |= redirect.starts_with(['<', '>', '&', '1', '2']);
                kept.push(word);
            }
            _ => kept.push(word),
        }
    }
    kept
}

struct Piece {
    text: String,
    complex: bool,
}

/// Cuts a script at its top; `None` where a parenthesis or quote stays open.
fn pieces(script: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut piece = Piece { text: String::new(), complex: false };
    let (mut quote, mut depth) = (None, 0usize);
    let mut characters = script.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        match (quote, character) {
            (Some('"') | None, '\\') => {
                piece.text.push(character);
                piece.text.extend(characters.next());
                continue;
            }
            (Some(open), character) if open == character => quote = None,
            (Some('"'), '`') => piece.complex = true,
            (Some('"'), '$') if next == Some('(') => piece.complex = true,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '`') => piece.complex = true,
            (None, '(') => {
                depth += 1;
                piece.complex = true;
            }
            (None, ')') => depth = depth.checked_sub(1)?,
            (None, '#') if piece.text.is_empty() || piece.text.ends_with(char::is_whitespace) => {
                while characters.next_if(|next| *next != '\n').is_some() {}
                continue;
            }
            (None, '&') if depth == 0 && next == Some('&') => {
                characters.next();
                pieces.push(std::mem::replace(&mut piece, Piece { text: String::new(), complex: false }));
                continue;
            }
            (None, ';' | '\n') if depth == 0 => {
                pieces.push(std::mem::replace(&mut piece, Piece { text: String::new(), complex: false }));
                continue;
            }
            (None, '|') => piece.complex = true,
            (None, '&') => piece.complex |= !piece.text.ends_with('>') && next != Some('>'),
            (None, '*' | '?' | '~') => piece.complex |= character != '~' && !piece.text.trim_start().starts_with("rm "),
            _ => {}
        }
        piece.text.push(character);
    }
    if quote.is_some() || depth > 0 {
        return None;
    }
    pieces.push(piece);
    Some(pieces)
}

/// The options and the rest of a command's words; `valued` are the options that take a value.
pub fn options(words: &[String], valued: &[&str]) -> (Vec<(String, Option<String>)>, Vec<String>) {
    let (mut options, mut rest) = (Vec::new(), Vec::new());
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        if word == "--" {
            rest.extend(words.by_ref().cloned());
        } else if let Some((name, value)) = word.strip_prefix("--").and_then(|_| word.split_once('=')) {
            options.push((name.to_string(), Some(value.to_string())));
        } else if word.starts_with("--") || word.len() == 2 && word.starts_with('-') {
            let value = if valued.contains(&word.as_str()) { words.next().cloned() } else { None };
            options.push((word.clone(), value));
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            // Several letters, of which the last may take the next word as its value.
            for (at, letter) in letters.char_indices() {
                let option = format!("-{letter}");
                if valued.contains(&option.as_str()) {
                    let inline = &letters[at + letter.len_utf8()..];
                    let value = if inline.is_empty() { words.next().cloned() } else { Some(inline.to_string()) };
                    options.push((option, value));
                    break;
                }
                options.push((option, None));
            }
        } else {
            rest.push(word.clone());
        }
    }
    (options, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(script: &str, expected: &[&str]) {
        let commands = commands(script, &|_| None);
        let shown: Option<Vec<String>> = commands.map(|all| {
            let line = |one: Command| format!("{}{}", if one.complex { "! " } else { "" }, one.words.join(" "));
            all.into_iter().map(line).collect()
        });
        assert_eq!(shown.unwrap_or_else(|| vec!["?".into()]), expected, "{script}");
    }

    #[test]
    fn scripts_are_cut_into_commands() {
        check("set -eux; a 'b c' && d # why\ne", &["set -eux", "a b c", "d", "e"]);
        check("a | b && c", &["! a | b", "c"]);
        check("a > x; b >/dev/null 2>&1", &["! a > x", "b"]);
        check("a $(b) && c \"$x\"", &["! a $(b)", "! c "]);
        check("if a; then b; fi", &["?"]);
        check("a || b; c", &["! a || b", "c"]);
        check("a 'b", &["?"]);
        check("rm -rf /a/* && ls *", &["rm -rf /a/*", "! ls *"]);
    }

    #[test]
    fn options_take_their_values() {
        let words: Vec<String> = "useradd -rm -u10 --gid=5 -s /bin/sh app".split(' ').map(String::from).collect();
        let (found, rest) = options(&words, &["-u", "-s"]);
        let shown: Vec<String> =
            found.into_iter().map(|(name, value)| format!("{name}={}", value.unwrap_or_default())).collect();
        assert_eq!(shown, ["-r=", "-m=", "-u=10", "--gid=5", "-s=/bin/sh"]);
        assert_eq!(rest, ["app"]);
    }
}
