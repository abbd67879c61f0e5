//! Stage 5: the texts of a base that say who and what is in it. Texts in, names and numbers out; odd lines are passed over. Pure.

/// One line of `etc/passwd` (`passwd(5)`).
pub struct User<'a> {
    /// The name.
    pub name: &'a str,
    /// The number.
    pub uid: u32,
    /// The number of the first group.
    pub gid: u32,
}

/// The users of an `etc/passwd`, in order; the first of a name or number counts.
pub fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (name(fields.next()?)?, fields.next()?);
        Some(User { name, uid: number(fields.next()?)?, gid: number(fields.next()?)? })
    })
}

/// The names and numbers of an `etc/group` (`group(5)`), in order.
pub fn groups(group: &str) -> impl Iterator<Item = (&str, u32)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password) = (name(fields.next()?)?, fields.next()?);
        Some((name, number(fields.next()?)?))
    })
}

/// A value of an `os-release` (`os-release(5)`); the last one counts, as in a shell.
pub fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
    let quoted = |quote: char| line.strip_prefix(quote).and_then(|line| line.strip_suffix(quote));
    if let Some(inner) = quoted('\'') {
        return Some(inner.to_string());
    }
    let mut value = String::new();
    let mut characters = quoted('"').unwrap_or(line).chars();
    while let Some(character) = characters.next() {
        value.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    Some(value)
}

fn name(field: &str) -> Option<&str> {
    let name = field.trim();
    (!name.is_empty() && !name.starts_with(['#', '+', '-'])).then_some(name)
}

fn number(field: &str) -> Option<u32> {
    let digits = field.trim();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_lines_are_passed_over() {
        let passwd = "# users\n\nroot:x:0:0:root:/root:/bin/sh\nhalf:x\n+::::::\nbad:x:a:b::\nbig:x:4294967296:1::\n app:x:10:20\r\napp:x:11:21::/:\n";
        let found: Vec<_> = users(passwd).map(|user| (user.name, user.uid, user.gid)).collect();
        assert_eq!(found, [("root", 0, 0), ("app", 10, 20), ("app", 11, 21)]);
        assert_eq!(groups("root:x:0:\nodd\nwheel:x:10:a,b").collect::<Vec<_>>(), [("root", 0), ("wheel", 10)]);
    }

    #[test]
    fn values_of_os_release() {
        let text = "NAME=\"A \\\"B\\\"\"\nID=debian\nVERSION_ID='12'\nID_LIKE=x\nBAD\n";
        assert_eq!(value(text, "NAME").as_deref(), Some("A \"B\""));
        assert_eq!(value(text, "ID").as_deref(), Some("debian"));
        assert_eq!(value(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(value(text, "BAD"), None);
    }
}
