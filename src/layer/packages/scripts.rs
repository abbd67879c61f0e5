//! Stage 6: what was not run. The scripts of packages in, findings with a severity out. Pure.
//!
//! No script is run, so it is read for words that tell what it would have done. Where that may be missed in an image, there is a warning
//! with the way out; where not, one note names all packages.

use std::collections::BTreeSet;

use crate::error::{Finding, Place, Report, printable};
use crate::manifest::Family;
use crate::source::Unpacked;

/// The scripts that run when a package is installed.
const DEBIAN: [&str; 3] = ["preinst", "postinst", "config"];
const ALPINE: [&str; 3] = [".pre-install", ".post-install", ".trigger"];

/// Packages whose scripts were replaced, or do nothing that an image misses.
const KNOWN: [(&str, &str); 9] = [
    ("base-passwd", "`/etc/passwd` and `/etc/group` were made from its masters"),
    ("ca-certificates", "`/etc/ssl/certs/ca-certificates.crt` was made from its certificates"),
    ("libc6", "it restarts services of a running system"),
    ("libc-bin", "there is no `/etc/ld.so.cache`: the loader knows the directories of the distribution by itself"),
    ("tzdata", "there is no `/etc/localtime`: the time is UTC, unless `TZ` is set or `[[symlink]]` makes it"),
    ("debconf", "no question is asked"),
    ("dpkg", "nothing is installed later"),
    ("perl-base", "it only tidies up after older versions"),
    ("libpam-runtime", "it writes `/etc/pam.d/common-*`, which logins need"),
];

/// Words of a script, and what it means that they were not run.
const WARNED: [(&[&str], &str, &str); 5] = [
    (
        &["adduser", "useradd", "addgroup", "groupadd", "systemd-sysusers"],
        "its users and groups were not made",
        "declare those that the image needs with `[[user]]` and `[[group]]`",
    ),
    (
        &["update-alternatives"],
        "its alternatives were not linked",
        "make the links that the image needs with `[[symlink]]`",
    ),
    (&["dpkg-divert"], "files of other packages were not moved aside", "look at its script for what it replaces"),
    (
        &["chown", "chgrp", "chmod", "setcap", "dpkg-statoverride"],
        "owners and modes that it sets were not set",
        "its files have those that they are packaged with",
    ),
    (
        &["mkdir", "install", "ln", "cp", "touch", "mv"],
        "files and directories that it makes were not made",
        "make those that the image needs with `[[dir]]`, `[[file]]` and `[[symlink]]`",
    ),
];

/// Tells what was not run: a warning for each package that may be missed, one note for the rest.
pub fn told(packages: &[Unpacked], place: &Place, report: &mut Report) {
    let mut harmless = Vec::new();
    for package in packages {
        let names = if package.package.family == Family::Debian { DEBIAN } else { ALPINE };
        let scripts: Vec<(&str, &Vec<u8>)> =
            names.iter().filter_map(|name| Some((*name, package.control.get(*name)?))).collect();
        if scripts.is_empty() {
            continue;
        }
        let name = printable(&package.package.name);
        let which: Vec<&str> = scripts.iter().map(|(name, _)| name.trim_start_matches('.')).collect();
        let which = which.join(", ");
        if let Some((_, why)) = KNOWN.iter().find(|(known, _)| *known == name) {
            harmless.push(format!("{name} ({which}): {why}"));
            continue;
        }
        let words: BTreeSet<String> = scripts.iter().flat_map(|(_, script)| words(script)).collect();
        let meant = WARNED.iter().filter(|(commands, ..)| commands.iter().any(|command| words.contains(*command)));
        let meant: Vec<_> = meant.collect();
        if meant.is_empty() {
            harmless.push(format!("{name} ({which})"));
            continue;
        }
        let mut finding =
            Finding::warning("not-run", format!("not run: {which} of the package `{name}`")).at(place, "");
        for (_, what, help) in meant {
            finding = finding.help(format!("{what}; {help}"));
        }
        report.add(links(&scripts).into_iter().fold(finding, Finding::help));
    }
    if !harmless.is_empty() {
        let count = harmless.len();
        let of = if count == 1 { "1 package".to_string() } else { format!("{count} packages") };
        let finding =
            Finding::note("not-run", format!("not run: scripts of {of} that an image does not miss")).at(place, "");
        report.add(harmless.into_iter().fold(finding, Finding::help));
    }
}

/// The first words of all commands of a shell script, as far as they can be told without running it; of a program, all it might be.
fn words(script: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(script);
    if !text.starts_with("#!") {
        return WARNED.iter().flat_map(|(commands, ..)| commands.iter()).map(ToString::to_string).collect();
    }
    let mut found = BTreeSet::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with('#')) {
        for command in line.split([';', '&', '|', '(', '`', '{']) {
            let skipped = ["if", "then", "else", "elif", "do", "while", "until", "!", "exec", "time"];
            let mut words =
                command.split_ascii_whitespace().skip_while(|word| skipped.contains(word) || word.contains('='));
            let Some(word) = words.next() else { continue };
            found.insert(word.rsplit('/').next().unwrap_or(word).trim_matches(['"', '\'']).to_string());
        }
    }
    found
}

/// The links that `update-alternatives --install LINK NAME PATH` would lead to, as entries of the manifest.
fn links(scripts: &[(&str, &Vec<u8>)]) -> Vec<String> {
    let mut links = BTreeSet::new();
    for (_, script) in scripts {
        let text = String::from_utf8_lossy(script).replace("\\\n", " ");
        for line in text.lines().filter(|line| line.contains("update-alternatives")) {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            for part in words.windows(4).filter(|part| matches!(part[0], "--install" | "--slave")) {
                let (link, target) = (part[1].trim_matches(['"', '\'']), part[3].trim_matches(['"', '\'']));
                if [link, target].iter().all(|path| path.starts_with('/') && !path.contains('$')) {
                    links.insert(format!("as in `[[symlink]]` with `dest = \"{link}\"` and `target = \"{target}\"`"));
                }
            }
        }
    }
    links.into_iter().map(|link| printable(&link)).collect()
}
