//! Between stages 1 and 2: `apt-get install` and `apk add` → `[packages]`. Pure.

use super::run::Fate;
use super::shell::options;
use super::stage::Stage;
use crate::import::draft::Section;
use crate::import::value::{list, quoted};
use crate::manifest::Wish;

/// Debian's suites, by number and by name.
const SUITES: [(&str, &str); 6] =
    [("10", "buster"), ("11", "bullseye"), ("12", "bookworm"), ("13", "trixie"), ("14", "forky"), ("unstable", "sid")];

impl Stage {
    /// What a command of a package manager means; `None` where it is not understood.
    pub(super) fn packages(&mut self, words: &[String]) -> Option<Fate> {
        let alpine = words[0].ends_with("apk");
        let valued = ["-o", "-t", "--virtual", "-X", "--repository", "--target-release", "-c"];
        let (options, rest) = options(words, &valued);
        let (verb, names) = rest.split_first()?;
        match verb.as_str() {
            "update" | "clean" | "autoclean" | "autoremove" | "upgrade" | "dist-upgrade" | "cache" | "purge"
                if verb != "purge" || names.is_empty() =>
            {
                return Some(match verb.as_str() {
                    "upgrade" | "dist-upgrade" => Fate::Left(
                        "pin a newer base instead: `stillframe update base`, and `stillframe outdated` says when"
                            .into(),
                    ),
                    _ => Fate::Needless("packages are read from a signed index and pinned in `image.lock`"),
                });
            }
            "install" if !alpine => {}
            "add" if alpine => {}
            _ => return None,
        }
        let virtual_packages = options.iter().any(|(name, _)| name == "--virtual" || name == "-t" && alpine);
        let elsewhere = options.iter().any(|(name, _)| ["-X", "--repository", "-o"].contains(&name.as_str()));
        if virtual_packages {
            return Some(Fate::Left(
                "packages that only a build needs stay outside: build there, and copy the result".into(),
            ));
        }
        let mut wishes: Vec<String> = Vec::new();
        for name in names {
            let name = name.replacen("~=", "~", 1);
            let wish: Wish = name.parse().ok()?;
            if !alpine && matches!(wish.version, Some(("~", _))) || elsewhere {
                return None;
            }
            wishes.push(name);
        }
        if wishes.is_empty() {
            return None;
        }
        self.wish(alpine, &wishes)
    }

    fn wish(&mut self, alpine: bool, wishes: &[String]) -> Option<Fate> {
        let header = if alpine { "[packages.alpine]" } else { "[packages.debian]" };
        let release = self.release(alpine);
        if self.draft.packages.as_ref().is_some_and(|(known, _)| known != header) {
            return Some(Fate::Left(
                "an image has packages of one distribution; `[[copy]]` takes files out of another image".into(),
            ));
        }
        let Some(release) = release else {
            let key = if alpine { "branch" } else { "suite" };
            return Some(Fate::Left(format!(
                "write `{header}` with `mirror`, `{key}` and `install = {}`; the base's name does not tell the `{key}`",
                list(wishes)
            )));
        };
        let name = |wish: &String| wish.split(['=', '<', '>', '~']).next().unwrap_or_default().to_string();
        for wish in wishes {
            if !self.wishes.iter().any(|known| name(known) == name(wish)) {
                self.wishes.push(wish.clone());
            }
        }
        let mut section = Section::default();
        let mirror = if alpine { "alpine_mirror" } else { "debian_mirror" };
        let way = format!("No mirror is built in: set {} or say `--set {mirror}=URL`.", mirror.to_ascii_uppercase());
        section.set("mirror", quoted(&format!("{{{{ {mirror} }}}}")), vec![way]);
        section.set(if alpine { "branch" } else { "suite" }, quoted(&release), Vec::new());
        if alpine {
            let way =
                "The branch's public keys, from /etc/apk/keys of an Alpine that you trust; a file has its key's name.";
            section.set("keyring", list(&["keys/alpine.rsa.pub"]), vec![way.into()]);
            section.set("repositories", list(&["main", "community"]), Vec::new());
        }
        let next = "`stillframe update packages` chooses versions and pins them in image.lock.";
        section.set("install", list(&self.wishes), vec![next.into()]);
        self.draft.vars.insert(mirror.into(), None);
        self.draft.packages = Some((header.into(), section));
        Some(Fate::Carried(format!("into {header} below")))
    }

    /// Debian's suite or Alpine's branch, as far as the base's name tells it.
    fn release(&self, alpine: bool) -> Option<String> {
        let name = self.base.split('@').next().unwrap_or_default();
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (name, ""),
        };
        let last = repository.rsplit('/').next().unwrap_or_default();
        let parts = || tag.split(['-', '_']);
        if alpine {
            let number = |text: &str| {
                let mut numbers = text.trim_start_matches('v').split('.');
                let (major, minor) = (numbers.next()?.parse::<u32>().ok()?, numbers.next()?.parse::<u32>().ok()?);
                (major == 3).then(|| format!("v{major}.{minor}"))
            };
            return match last {
                "alpine" => parts().next().and_then(number),
                _ => parts().find_map(|part| number(part.strip_prefix("alpine")?)),
            };
        }
        if let Some((_, suite)) = SUITES.iter().find(|(_, suite)| parts().any(|part| part == *suite)) {
            return Some(suite.to_string());
        }
        let first = parts().next().and_then(|part| part.split('.').next()).unwrap_or_default();
        let numbered = SUITES.iter().find(|(number, _)| last == "debian" && first == *number);
        numbered.map(|(_, suite)| suite.to_string())
    }
}
