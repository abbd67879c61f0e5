//! Stage 10: words for people: sizes, modes, columns, colours. Values in, text out. Pure.

use crate::image::inside::{Row, What};

/// The names of sizes, each 1024 of the one before it.
const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// How things are shown.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether there are colours.
    pub color: bool,
    /// Whether sizes are in bytes.
    pub bytes: bool,
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// A title.
    Bold,
    /// Beside the point.
    Dim,
    /// New, or a program.
    Green,
    /// Gone.
    Red,
    /// Changed.
    Yellow,
    /// A directory.
    Blue,
    /// A link.
    Cyan,
}

impl Style {
    /// Text in a colour, if there are any.
    pub fn ink(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            _ if !self.color || text.is_empty() => return text.to_string(),
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Red => "31",
            Ink::Green => "32",
            Ink::Yellow => "33",
            Ink::Blue => "34",
            Ink::Cyan => "36",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A size.
    pub fn size(self, bytes: u64) -> String {
        if self.bytes { bytes.to_string() } else { human(bytes) }
    }

    /// A size in a sentence.
    pub fn said(self, bytes: u64) -> String {
        if self.bytes { format!("{bytes} {}", if bytes == 1 { "byte" } else { "bytes" }) } else { human(bytes) }
    }

    /// A size that grew or shrank.
    pub fn change(self, from: u64, to: u64) -> String {
        let sign = if to < from { "-" } else { "+" };
        format!("{sign}{}", self.size(from.abs_diff(to)))
    }
}

/// A size as people read it: three or four digits.
pub fn human(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    // In tenths, so that 1023.97 KiB is not shown as 1024.0.
    let mut tenths = (u128::from(bytes) * 10 + 512) / 1024;
    let mut scale = 1024u128;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        scale *= 1024;
        unit += 1;
        tenths = (u128::from(bytes) * 10 + scale / 2) / scale;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A number with a narrow gap after each three digits from the right.
pub fn count(number: u64, one: &str, several: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    format!("{text} {}", if number == 1 { one } else { several })
}

/// Type and mode as `ls -l` shows them.
pub fn mode(row: &Row<'_>) -> String {
    let kind = match row.what {
        What::File { .. } => '-',
        What::Directory { .. } => 'd',
        What::Link(_) => 'l',
        What::Lower(_) => 'h',
        What::Character(..) => 'c',
        What::Block(..) => 'b',
        What::Fifo => 'p',
        What::Whiteout => 'x',
    };
    match row.held {
        Some(held) => format!("{kind}{}", permissions(held.mode)),
        None => format!("{kind}---------"),
    }
}

fn permissions(mode: u16) -> String {
    let special = [(0o4000, 's'), (0o2000, 's'), (0o1000, 't')];
    let mut text = String::new();
    for (at, (bit, letter)) in special.into_iter().enumerate() {
        let three = mode >> (6 - 3 * at);
        text.push(if three & 4 != 0 { 'r' } else { '-' });
        text.push(if three & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & bit != 0, three & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// Which side a column keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Lines whose columns stand below each other. The last column is never filled up. Each cell may be in a colour.
pub fn columns(style: Style, sides: &[Side], rows: &[Vec<(String, Option<Ink>)>]) -> String {
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|(text, _)| text.chars().count()).max();
    let widths: Vec<usize> = (0..sides.len()).map(|at| width(at).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, ink)) in row.iter().enumerate() {
            let fill = " ".repeat(widths.get(at).map_or(0, |width| width - cell.chars().count()));
            let shown = ink.map_or_else(|| cell.clone(), |ink| style.ink(ink, cell));
            match sides.get(at) {
                Some(Side::Right) => line += &format!("{fill}{shown}"),
                _ if at + 1 == row.len() => line += &shown,
                _ => line += &format!("{shown}{fill}"),
            }
            if at + 1 < row.len() {
                line += "  ";
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_few_digits() {
        let check = |bytes, expect: &str| assert_eq!(human(bytes), expect);
        check(0, "0 B");
        check(999, "999 B");
        check(1000, "1.0 KiB");
        check(1024, "1.0 KiB");
        check(1536, "1.5 KiB");
        check(1_023_900, "999.9 KiB");
        check(1_048_575, "1.0 MiB");
        check(123_456_789, "117.7 MiB");
        check(u64::MAX, "16.0 EiB");
    }

    #[test]
    fn numbers_have_gaps() {
        let check = |number, expect: &str| assert_eq!(count(number, "file", "files"), expect);
        check(0, "0 files");
        check(1, "1 file");
        check(999, "999 files");
        check(200_000, "200 000 files");
        check(1_234_567, "1 234 567 files");
    }

    #[test]
    fn modes_are_those_of_ls() {
        let check = |mode, expect: &str| assert_eq!(permissions(mode), expect);
        check(0o755, "rwxr-xr-x");
        check(0o4755, "rwsr-xr-x");
        check(0o2644, "rw-r-Sr--");
        check(0o1777, "rwxrwxrwt");
        check(0o1666, "rw-rw-rwT");
        check(0, "---------");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let cell = |text: &str| (text.to_string(), None);
        let rows = vec![vec![cell("ü"), cell("1"), cell("x")], vec![cell("long"), cell("22"), cell("")]];
        let plain = Style { color: false, bytes: false };
        assert_eq!(columns(plain, &[Side::Left, Side::Right, Side::Left], &rows), "ü      1  x\nlong  22\n");
        let color = Style { color: true, bytes: false };
        let row = vec![vec![("a".to_string(), Some(Ink::Red)), cell("b")]];
        assert_eq!(columns(color, &[Side::Left, Side::Left], &row), "\u{1b}[31ma\u{1b}[0m  b\n");
    }
}
