//! Stage 1: the small grammars of single values: destinations, owners, ports, signals, capabilities. Text in, a value out, or the
//! rule that was broken. Pure.

use super::grammar::nearest;
use super::meant::{Account, Who};
use crate::error::{Error, Result, printable};

/// Longest path in the image in bytes (PATH_MAX of Linux with its NUL).
const LONGEST_PATH: usize = 4096;
/// Longest part of a path in bytes (NAME_MAX of Linux).
const LONGEST_PART: usize = 255;

/// An absolute path, as it is; `.`, `..` and empty parts are refused.
pub fn absolute(text: &str) -> Result<String> {
    let wrong = |rule: String| Error::usage(format!("`{}` is not a path of the image: {rule}", printable(text)));
    let Some(rest) = text.strip_prefix('/') else {
        return Err(
            wrong("it must be absolute".into()).hint(format!("write `/{}`", printable(text.trim_start_matches("./"))))
        );
    };
    if text.contains('\0') {
        return Err(wrong("it holds a NUL character".into()));
    }
    if text.len() > LONGEST_PATH {
        return Err(wrong(format!("it has {} bytes, {LONGEST_PATH} are allowed", text.len())));
    }
    for part in rest.strip_suffix('/').unwrap_or(rest).split('/').filter(|_| !rest.is_empty()) {
        match part {
            "" => return Err(wrong("one of its parts is empty".into()).hint("write single slashes")),
            "." | ".." => return Err(wrong(format!("`{part}` is not allowed in it"))),
            part if part.len() > LONGEST_PART => {
                return Err(wrong(format!("one of its parts has {} bytes, {LONGEST_PART} are allowed", part.len())));
            }
            _ => {}
        }
    }
    Ok(text.to_string())
}

/// A destination: the path below the root without slashes at its ends, and whether it was written with one at its end.
pub fn destination(text: &str) -> Result<(String, bool)> {
    let path = absolute(text)?;
    let into = path.ends_with('/');
    let path = path.trim_matches('/').to_string();
    if let Some(part) = path.split('/').find(|part| part.starts_with(".wh.")) {
        return Err(Error::usage(format!(
            "`{}` would delete a file of the base: `{}` is a whiteout",
            printable(text),
            printable(part)
        ))
        .hint("use `[[remove]]` to hide a path of the base"));
    }
    Ok((path, into))
}

/// A user, and perhaps a group behind a colon.
pub fn who(text: &str) -> Result<Who> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let wrong = |part: &str, why: &str| {
        Err(Error::usage(format!("`{}` is not a user: {why}", printable(text))).hint(if part.is_empty() {
            "write a name, a number, `name:group` or `uid:gid`"
        } else {
            "names are made of letters, digits, `_`, `-` and `.`"
        }))
    };
    let account = |part: &str| -> Result<Account> {
        if part.is_empty() {
            return wrong(part, "a part is empty").map(|()| Account::Id(0));
        }
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            return match part.parse::<u32>() {
                Ok(id) if id < u32::MAX => Ok(Account::Id(id)),
                _ => wrong("", &format!("`{part}` is larger than 4294967294")).map(|()| Account::Id(0)),
            };
        }
        account_name(part).map(|name| Account::Name(name.to_string()))
    };
    Ok(Who { user: account(user)?, group: group.map(account).transpose()? })
}

/// The name of a user or group, as it may stand in /etc/passwd.
pub fn account_name(text: &str) -> Result<&str> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = text.len() <= 32
        && text.bytes().next().is_some_and(letter)
        && text.bytes().all(|byte| letter(byte) || byte == b'-' || byte == b'.')
        && !text.bytes().all(|byte| byte.is_ascii_digit());
    if fits {
        return Ok(text);
    }
    Err(Error::usage(format!("`{}` is not the name of a user or group", printable(text))).hint(
        "use up to 32 letters, digits, `_`, `-` and `.`, not only digits, beginning with a letter, a digit or `_`",
    ))
}

/// A field of /etc/passwd: no colon, no control characters.
pub fn passwd_field(text: &str) -> Result<String> {
    if text.contains(':') || text.chars().any(char::is_control) {
        return Err(Error::usage(format!(
            "`{}` cannot stand in /etc/passwd: it holds `:` or a control character",
            printable(text)
        )));
    }
    Ok(text.to_string())
}

/// What to say of a source that does not exist and was written for a shell.
pub fn unexpanded(text: &str) -> Option<String> {
    let variable = |rest: &str| rest.starts_with(|first: char| first.is_ascii_alphabetic() || "_{(".contains(first));
    if text.starts_with('~') || text.split('$').skip(1).any(variable) {
        let shown = printable(text);
        return Some(format!("no shell expands `{shown}`; write the path itself, relative to the manifest"));
    }
    let at = text.find(['*', '?', '['])?;
    let (directory, glob) = match text[..at].rfind('/') {
        Some(0) => ("/", &text[1..]),
        Some(slash) => (&text[..slash], &text[slash + 1..]),
        None => (".", text),
    };
    let (directory, glob) = (printable(directory), printable(glob));
    Some(format!("`src` takes no globs: write `src = \"{directory}\"` and `include = [\"{glob}\"]` in a `[[file]]`"))
}

/// A port with its protocol, `tcp` where none is written.
pub fn port(text: &str) -> Result<String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let numbers = |parts: Option<(&str, &str)>| {
        let number =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || b".:".contains(&byte));
        parts.filter(|(one, two)| number(one) && number(two)).map(|(_, last)| last.to_string())
    };
    if numbers(number.split_once('-')).is_some() {
        return Err(Error::usage(format!("`{}` is a range; an image names each port", printable(text)))
            .hint("write them one by one, as in \"8080/tcp\""));
    }
    if let Some(inner) = numbers(number.rsplit_once(':')) {
        return Err(Error::usage(format!(
            "`{}` names a port of the host, which is no part of an image",
            printable(text)
        ))
        .hint(format!("write \"{inner}/{protocol}\"; who runs the image chooses the host's port")));
    }
    let digits = !number.is_empty() && number.len() <= 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !matches!(number.parse::<u32>(), Ok(1..=65535)) {
        return Err(Error::usage(format!("`{}` is not a port: the number must be from 1 to 65535", printable(text)))
            .hint("write it as in \"8080/tcp\""));
    }
    if !["tcp", "udp", "sctp"].contains(&protocol) {
        return Err(Error::usage(format!(
            "`{}` is not a port: the protocol must be tcp, udp or sctp",
            printable(text)
        ))
        .hint(format!("write \"{number}/tcp\"")));
    }
    Ok(format!("{}/{protocol}", number.trim_start_matches('0')))
}

const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// A signal by name or number.
pub fn signal(text: &str) -> Result<String> {
    let real_time = |rest: &str| {
        let offset = rest.trim_start_matches("MIN+").trim_start_matches("MAX-");
        ["MIN", "MAX"].contains(&rest) || offset != rest && matches!(offset.parse::<u8>(), Ok(1..=30))
    };
    let fine = SIGNALS.contains(&text)
        || text.strip_prefix("SIGRT").is_some_and(real_time)
        || !text.starts_with(['0', '+']) && matches!(text.parse::<u8>(), Ok(1..=64));
    if fine {
        return Ok(text.to_string());
    }
    let error = Error::usage(format!("`{}` is not a signal", printable(text)));
    let full = format!("SIG{}", text.to_uppercase().trim_start_matches("SIG"));
    Err(match nearest(&full, SIGNALS.into_iter()) {
        Some(near) => error.hint(format!("did you mean \"{near}\"?")),
        None => error.hint("write its name, as in \"SIGTERM\", or its number"),
    })
}

/// A span of time in nanoseconds: numbers with their units, the largest first, as in `1m30s` or `500ms`; a millisecond at least, a day at
/// most.
pub fn nanoseconds(text: &str) -> Result<u64> {
    let units = [("h", 3_600_000_000_000), ("ms", 1_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000_u64)];
    let wrong = || {
        Error::usage(format!("`{}` is no span of time", printable(text))).hint("as in \"30s\", \"1m30s\" or \"500ms\"")
    };
    let (mut rest, mut total, mut last) = (text, 0_u64, u64::MAX);
    while !rest.is_empty() {
        let end = rest.find(|next: char| !next.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..end].parse().map_err(|_| wrong())?;
        let (name, unit) = units.into_iter().find(|(name, _)| rest[end..].starts_with(name)).ok_or_else(wrong)?;
        if unit >= last {
            return Err(wrong());
        }
        total = number.checked_mul(unit).and_then(|span| total.checked_add(span)).ok_or_else(wrong)?;
        (last, rest) = (unit, &rest[end + name.len()..]);
    }
    match total {
        1_000_000..=86_400_000_000_000 => Ok(total),
        _ => {
            Err(Error::usage(format!("`{}` is too short or too long", printable(text)))
                .hint("1ms at least, 24h at most"))
        }
    }
}

/// The capabilities of Linux in the order of their bits (capabilities(7)).
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The bit of a capability, written `cap_net_bind_service` or `CAP_NET_BIND_SERVICE`.
pub fn capability(text: &str) -> Result<u32> {
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_prefix("cap_");
    if let Some(bit) = name.and_then(|name| CAPABILITIES.iter().position(|known| *known == name)) {
        return Ok(bit as u32);
    }
    let error = Error::usage(format!("`{}` is not a capability", printable(text)));
    Err(match nearest(name.unwrap_or(&lower), CAPABILITIES.into_iter()) {
        Some(near) => error.hint(format!("did you mean \"cap_{near}\"?")),
        None => error.hint("write it as in \"cap_net_bind_service\""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        assert_eq!(destination("/").unwrap(), (String::new(), true));
        assert_eq!(destination("/a/b").unwrap(), ("a/b".into(), false));
        assert_eq!(destination("/a/b/").unwrap(), ("a/b".into(), true));
        for wrong in
            ["", "a", "./a", "//", "//a", "/a//b", "/a//", "/./a", "/a/..", "/.wh.a", "/a/.wh..wh..opq", "/a\0"]
        {
            assert!(destination(wrong).is_err(), "{wrong:?}");
        }
        assert!(destination(&format!("/{}", "x".repeat(255))).is_ok());
        assert!(destination(&format!("/{}", "x".repeat(256))).is_err());
    }

    #[test]
    fn users() {
        assert_eq!(who("33").unwrap(), Who { user: Account::Id(33), group: None });
        assert!(who("www-data:adm").is_ok() && who("0:0").is_ok());
        for wrong in ["", ":", "a:", ":1", "4294967295", "a b", "-1", "a:b:c", "../x"] {
            assert!(who(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sources_for_a_shell() {
        let say = |text: &str| unexpanded(text).unwrap_or_default();
        assert!(say("site/v1/*.json").contains("`src = \"site/v1\"` and `include = [\"*.json\"]`"));
        assert!(say("*.json").contains("`src = \".\"`") && say("/*").contains("`src = \"/\"`"));
        for shell in ["~/x", "~me/x", "$HOME/x", "a/${B}", "$(pwd)"] {
            assert!(say(shell).starts_with("no shell expands"), "{shell}");
        }
        for plain in ["a/b.json", "a~", "100$", ""] {
            assert_eq!(say(plain), "", "{plain}");
        }
    }

    #[test]
    fn ports_signals_capabilities() {
        assert_eq!(port("8080").unwrap(), "8080/tcp");
        assert_eq!(port("53/udp").unwrap(), "53/udp");
        assert!(port("8000-8010").unwrap_err().message().contains("is a range"));
        for host in ["8080:80", "127.0.0.1:8080:80"] {
            assert!(port(host).unwrap_err().message().contains("port of the host"), "{host}");
        }
        for wrong in ["0", "70000", "70000/tcp", "x", "1-2", "80/http", "", "/tcp", "+80"] {
            assert!(port(wrong).is_err(), "{wrong:?}");
        }
        assert!(signal("SIGTERM").is_ok() && signal("9").is_ok() && signal("SIGRTMIN+3").is_ok());
        assert!(signal("SIGTREM").unwrap_err().hints()[0].contains("SIGTERM"));
        assert!(signal("0").is_err() && signal("65").is_err() && signal("SIGRTMIN+99").is_err());
        assert_eq!(capability("CAP_NET_BIND_SERVICE").unwrap(), 10);
        assert!(capability("net_bind_service").is_err());
    }
}
