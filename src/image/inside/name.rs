//! Stage 7: names of files for people and for JSON. Any bytes in, text without control characters out. Pure.

use crate::error::printable;

/// A path as it can be shown: below `/`, with what is no UTF-8, controls, or turns the direction of text, escaped.
pub fn shown(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len() + 1);
    text.push('/');
    push(path, &mut text);
    text
}

/// Bytes as they can be shown, as [`shown`] does it, without the `/` in front: the target of a link.
pub fn raw(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    push(bytes, &mut text);
    text
}

fn push(bytes: &[u8], text: &mut String) {
    for part in bytes.utf8_chunks() {
        for character in part.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                _ if turns(character) => text.extend(character.escape_unicode()),
                _ if character.is_control() => text.push_str(&printable(character.encode_utf8(&mut [0; 4]))),
                _ => text.push(character),
            }
        }
        for byte in part.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
}

/// Whether a character changes how others around it are shown (Unicode, "Bidirectional Character Types"), or shows nothing itself.
fn turns(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_bytes_are_shown() {
        let check = |path: &[u8], expect: &str| assert_eq!(shown(path), expect);
        check(b"", "/");
        check(b"usr/lib", "/usr/lib");
        check("ü/日本 x".as_bytes(), "/ü/日本 x");
        check(b"a\xff\xfeb", "/a\\xff\\xfeb");
        check(b"a\nb\x1b[31m", "/a\\nb\\u{1b}[31m");
        check("a\u{202e}gpj.exe".as_bytes(), "/a\\u{202e}gpj.exe");
        check(b"a\\xff", "/a\\\\xff");
        check(b"<script>", "/<script>");
    }
}
