//! Between stages 0 and 1: private keys, in PEM, in base64 of PEM and as PuTTY keeps them. What stands around a beginning in, yes or no
//! out. Pure. A key has a body: the line that begins one stands in many programs and pages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// What keys begin with; the first one counts in binaries too.
pub const BEGINNINGS: [&str; 3] = ["PRIVATE KEY", "LS0tLS1CRUdJTi", "PuTTY-User-Key-File-"];

const KEY: &str = "a private key";
/// What they are all called.
pub const KINDS: [&str; 2] = [KEY, LOCKED];
const LOCKED: &str = "a private key behind a password";

/// Fewest characters of base64 in the first line of a body.
const FIRST_LINE: usize = 60;
/// Longest part of a key's head that is skipped on the way to its body.
const HEAD: usize = 400;
/// Characters of base64 that are decoded to find a beginning in them; a multiple of 4.
const INNER: usize = 56;

/// Whether a beginning of this kind is a private key; `before` and `rest` stand around it.
pub fn key(kind: usize, before: &[u8], rest: &[u8]) -> Option<(&'static str, usize)> {
    match kind {
        0 => pem(before, rest),
        1 => inner(rest),
        _ => putty(rest),
    }
}

/// `-----BEGIN … PRIVATE KEY-----` and a body.
fn pem(before: &[u8], rest: &[u8]) -> Option<(&'static str, usize)> {
    let dashes = before.windows(11).rposition(|part| part == b"-----BEGIN ")?;
    let kind = before.get(dashes + 11..)?;
    if kind.len() > 24 || !kind.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ') {
        return None;
    }
    let rest_of_line = rest.strip_prefix(b"-----").or_else(|| rest.strip_prefix(b" BLOCK-----"))?;
    let (body, end) = body(rest_of_line.get(..rest_of_line.len().min(HEAD + FIRST_LINE * 2))?)?;
    let head = rest_of_line.windows(9).take(HEAD).any(|part| part == b"ENCRYPTED");
    let what = if head || kind.starts_with(b"ENCRYPTED") { LOCKED } else { KEY };
    // PKCS 1, PKCS 8 and SEC 1 are a DER sequence; OpenSSH names itself; the rest is not told by its first bytes.
    let fits = match kind.trim_ascii() {
        b"OPENSSH" => body.starts_with(b"b3BlbnNzaC1rZXktdjE"),
        b"" | b"RSA" | b"EC" | b"DSA" | b"ENCRYPTED" if !head => body.starts_with(b"M"),
        _ => true,
    };
    (fits && !body.windows(8).any(|part| part.iter().all(|byte| *byte == part[0]) && part[0] != b'A'))
        .then_some((what, rest.len() - rest_of_line.len() + end))
}

/// The first line of a body: base64, long enough. Between it and the head stand ends of lines, as they are or as programs and JSON
/// write them, and lines such as `Proc-Type: …`. Given with the place where it ends.
fn body(text: &[u8]) -> Option<(&[u8], usize)> {
    let mut rest = text;
    loop {
        let length = rest.iter().take_while(|byte| base64(**byte)).count();
        if length >= FIRST_LINE {
            return Some((rest.get(..length)?, text.len() - rest.len() + length));
        }
        // A whole body that is shorter than a line ends with what PEM ends with.
        let end = rest.get(length..)?;
        let padded = end.strip_prefix(b"==").or_else(|| end.strip_prefix(b"=")).unwrap_or(end);
        let closes = padded.trim_ascii_start().strip_prefix(b"\\n").unwrap_or(padded.trim_ascii_start());
        if length >= FIRST_LINE / 2 && closes.starts_with(b"-----END ") {
            return Some((rest.get(..length)?, text.len() - rest.len() + length));
        }
        let name = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
        let after = rest.get(name..)?;
        if name > 0 && after.starts_with(b": ") {
            let line = after.iter().position(|byte| *byte == b'\n' || *byte == b'\\')?;
            rest = after.get(line..)?;
            continue;
        }
        let skipped = [&b"\\r"[..], b"\\n", b"\\", b"\r", b"\n", b" ", b"\t", b"\"", b"'", b"+", b",", b"#", b"*"]
            .into_iter()
            .find_map(|separator| rest.strip_prefix(separator));
        rest = skipped?;
    }
}

fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

/// PEM in base64, as kubeconfig and secrets of Kubernetes hold it.
fn inner(rest: &[u8]) -> Option<(&'static str, usize)> {
    let length = rest.iter().take_while(|byte| base64(**byte)).count();
    // The beginning has 14 characters; the two that it leaves of its last group come first.
    let text = [b"Ti", rest.get(..length.min(INNER - 2))?].concat();
    let decoded = STANDARD_NO_PAD.decode(text.get(..text.len() / 4 * 4)?).ok()?;
    let holds = decoded.windows(11).any(|part| part == b"PRIVATE KEY");
    (holds && length > FIRST_LINE * 2).then_some((KEY, length))
}

fn putty(rest: &[u8]) -> Option<(&'static str, usize)> {
    let holds = |word: &[u8]| rest.windows(word.len()).any(|part| part == word);
    let locked = !holds(b"Encryption: none");
    (holds(b"Private-Lines: ") || holds(b"Public-Lines: ")).then_some((if locked { LOCKED } else { KEY }, HEAD))
}
