//! Stage 8: the packages that a package manager's database lists. Its text in, names and versions out. Pure.
//!
//! Sources: deb-control(5) and dpkg's `status`; the page "Apk spec" of the Alpine wiki, "Installed database".

use crate::error::{Error, Result};

/// Most packages of one image.
pub const MOST_PACKAGES: usize = 100_000;

/// An installed package.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// Its version, in the words of its distribution.
    pub version: String,
    /// What it is built for.
    pub arch: Option<String>,
    /// The source package that it was built from, with its version where that differs.
    pub source: Option<String>,
    /// What the database says of its licence, in its own words.
    pub licence: Option<String>,
}

/// The installed packages of a dpkg `status`, or of one file of distroless' `status.d`.
pub fn dpkg(text: &str) -> Result<Vec<Installed>> {
    let mut packages = Vec::new();
    for stanza in stanzas(text) {
        let field = |name: &str| {
            let mut fields = stanza.iter().filter_map(|line| line.split_once(':'));
            fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_string())
        };
        // Of a removed package only its configuration is left; `status.d` has no such field.
        let gone = field("Status").is_some_and(|status| status.split_whitespace().nth(2) != Some("installed"));
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else { continue };
        if !gone {
            let (arch, source) = (field("Architecture"), field("Source"));
            add(&mut packages, Installed { name, version, arch, source, licence: None })?;
        }
    }
    Ok(packages)
}

/// The packages of an apk `installed` database.
pub fn apk(text: &str) -> Result<Vec<Installed>> {
    let mut packages = Vec::new();
    for stanza in stanzas(text) {
        let field =
            |key: &str| stanza.iter().find_map(|line| line.strip_prefix(key)).map(|text| text.trim().to_string());
        let (Some(name), Some(version)) = (field("P:"), field("V:")) else { continue };
        let source = field("o:").filter(|source| *source != name);
        add(&mut packages, Installed { name, version, arch: field("A:"), source, licence: field("L:") })?;
    }
    Ok(packages)
}

fn add(packages: &mut Vec<Installed>, package: Installed) -> Result<()> {
    if packages.len() >= MOST_PACKAGES {
        return Err(Error::remote(format!("the package database lists more than {MOST_PACKAGES} packages")));
    }
    packages.push(package);
    Ok(())
}

/// Blocks of lines between empty ones; a line that continues the one before begins with a space.
fn stanzas(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut stanza = Vec::new();
        for line in lines.by_ref() {
            match line.trim().is_empty() {
                true if stanza.is_empty() => {}
                true => return Some(stanza),
                false => stanza.push(line),
            }
        }
        (!stanza.is_empty()).then_some(stanza)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpkg_lists_what_is_installed_and_nothing_that_was_removed() {
        let text = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc (2.36-9)\n\
            Version: 2.36-9+b1\nDescription: GNU C Library\n Package: not-me\n .\n\n\n\
            Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: half\nStatus: install ok unpacked\n\
            Version: 2\n\nPackage: tzdata\nVersion: 2024a";
        let found = dpkg(text).unwrap();
        let names: Vec<&str> = found.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["libc6", "tzdata"]);
        assert_eq!(found[0].version, "2.36-9+b1");
        assert_eq!(found[0].source.as_deref(), Some("glibc (2.36-9)"));
        assert_eq!(found[1].arch, None);
        assert_eq!(dpkg("").unwrap(), []);
    }

    #[test]
    fn apk_lists_its_packages_with_their_licences() {
        let text = "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:ld-musl.so\n\nP:ssl_client\nV:1-r1\no:busybox\n";
        let found = apk(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].licence.as_deref(), found[0].source.as_deref()), (Some("MIT"), None));
        assert_eq!(found[1].source.as_deref(), Some("busybox"));
    }
}
