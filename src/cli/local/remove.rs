//! Stage 10: `stillframe rm`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::cli::args::Remove;
use crate::cli::session::Session;
use crate::error::{Error, Finding, Kind, Report, Result, printable};
use crate::manifest::grammar::nearest;
use crate::oci::{Digest, Reference};
use crate::source::blocking;
use crate::store::{Held, Kept, Store, Thing, Tidy};

/// Fewest hex digits of the beginning of a digest.
const FEWEST_DIGITS: usize = 4;

/// What is meant by a word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Meant {
    /// This name of the image.
    Name(Digest, String),
    /// The image with all its names.
    Image(Digest),
}

/// What was done.
#[derive(Default)]
struct Done {
    untagged: Vec<String>,
    images: Vec<Digest>,
    blobs: usize,
    freed: u64,
}

/// Takes names from images of the local store, and removes images that are left without one.
pub async fn remove(session: &Session<'_>, options: &Remove) -> Result<u8> {
    let (store, words) = (session.ctx.store.clone(), options.references.clone());
    let done = blocking(move || work(&store, &words)).await?;
    if session.terminal.json() {
        let document =
            json!({ "untagged": done.untagged, "removed": done.images, "blobs": done.blobs, "freed": done.freed });
        session.terminal.document(document, &Report::default())?;
    } else {
        let untagged = done.untagged.iter().map(|name| format!("untagged {name}\n"));
        let removed = done.images.iter().map(|digest| format!("removed {digest}\n"));
        session.terminal.result(&untagged.chain(removed).collect::<String>())?;
    }
    Ok(0)
}

fn work(store: &Store, words: &[String]) -> Result<Done> {
    let tidy = store.tidy()?;
    let images = tidy.images();
    let kept: Vec<Kept> = images.iter().map(|(kept, _)| kept.clone()).collect();
    let mut report = Report::default();
    let mut meant = BTreeSet::new();
    for word in words {
        match find(&kept, word) {
            Ok(found) => drop(meant.insert(found)),
            Err(finding) => report.add(*finding),
        }
    }
    report.pass()?;
    let mut done = Done::default();
    let mut left: BTreeMap<Digest, Kept> = kept.into_iter().map(|one| (one.root.digest, one)).collect();
    let mut gone = Vec::new();
    for one in &meant {
        let (digest, name) = match one {
            Meant::Name(digest, name) => (digest, Some(name)),
            Meant::Image(digest) => (digest, None),
        };
        let Some(mut kept) = left.remove(digest) else { continue };
        let goes = |other: &String| name.is_none_or(|name| name == other);
        done.untagged.extend(kept.references.iter().filter(|other| goes(other)).cloned());
        kept.references.retain(|other| !goes(other));
        match kept.references.is_empty() {
            true => gone.push(kept),
            false => drop(left.insert(*digest, kept)),
        }
    }
    for kept in &gone {
        let used = images.iter().find(|(other, _)| other.root.digest == kept.root.digest).map(|(_, used)| *used);
        if used.is_some_and(|used| tidy.in_use(used)) {
            return Err(Error::local(format!("the image {} is in use by a stillframe that runs", kept.root.digest))
                .hint("run it again when that is done; nothing was removed"));
        }
    }
    let touched: BTreeSet<Digest> = meant
        .iter()
        .map(|one| match one {
            Meant::Name(digest, _) | Meant::Image(digest) => *digest,
        })
        .collect();
    for kept in left.values().filter(|kept| touched.contains(&kept.root.digest)) {
        tidy.rename(kept)?;
    }
    free(&tidy, &left, &gone, &mut done)?;
    done.untagged.sort();
    Ok(done)
}

/// Forgets the images that are gone, and removes what only they needed.
fn free(tidy: &Tidy, left: &BTreeMap<Digest, Kept>, gone: &[Kept], done: &mut Done) -> Result<()> {
    let mut needed = BTreeSet::new();
    for kept in left.values() {
        needed.extend(tidy.reach(&kept.root.digest)?.blobs.into_keys());
    }
    let mut free = BTreeSet::new();
    for kept in gone {
        free.extend(tidy.reach(&kept.root.digest)?.blobs.into_keys());
        tidy.forget(kept)?;
        done.images.push(kept.root.digest);
    }
    let goes = |one: &&Held| match &one.what {
        Thing::Blob(digest) => free.contains(digest) && !needed.contains(digest) && !tidy.in_use(one.used),
        Thing::Memo(..) => false,
    };
    for one in tidy.held()?.iter().filter(goes) {
        done.freed += tidy.remove(one)?;
        done.blobs += 1;
    }
    Ok(())
}

/// The image that a word means: by one of its names, else by the beginning of its digest.
fn find(images: &[Kept], word: &str) -> Result<Meant, Box<Finding>> {
    let shown = printable(word);
    let finding = |what: String| Finding::error("unknown-image", what).kind(Kind::Usage);
    let mut named: Vec<(Digest, &String, Reference)> = Vec::new();
    for kept in images {
        let parsed = kept.references.iter().filter_map(|text| Some((text, text.parse::<Reference>().ok()?)));
        named.extend(parsed.map(|(text, reference)| (kept.root.digest, text, reference)));
    }
    if let Ok(wish) = word.parse::<Reference>()
        && !word.starts_with("sha256:")
    {
        let same = |(digest, _, known): &&(Digest, &String, Reference)| {
            known.repository == wish.repository
                && (wish.tag.is_none() || known.tag == wish.tag)
                && wish.digest.is_none_or(|wish| wish == *digest)
        };
        let found: Vec<_> = named.iter().filter(same).collect();
        let usual = found.iter().find(|(_, _, known)| known.tag.as_ref().is_some_and(|tag| tag.as_str() == "latest"));
        match (found.as_slice(), usual) {
            ([(digest, ..)], _) if wish.digest.is_some() => return Ok(Meant::Image(*digest)),
            ([(digest, name, _)], _) => return Ok(Meant::Name(*digest, (*name).clone())),
            ([], _) => {}
            (_, Some((digest, name, _))) => return Ok(Meant::Name(*digest, (*name).clone())),
            (several, _) => {
                let names: Vec<&str> = several.iter().map(|(_, name, _)| name.as_str()).collect();
                let finding = finding(format!("`{shown}` is the name of {} images", several.len()));
                return Err(Box::new(finding.help(format!("name one with its tag: {}", names.join(", ")))));
            }
        }
    }
    let hex = word.strip_prefix("sha256:").unwrap_or(word);
    if hex.len() >= FEWEST_DIGITS && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let begins = |kept: &&Kept| kept.root.digest.hex().starts_with(&hex.to_ascii_lowercase());
        let found: Vec<&Kept> = images.iter().filter(begins).collect();
        match found.as_slice() {
            [one] => return Ok(Meant::Image(one.root.digest)),
            [] => {}
            several => {
                let all: Vec<String> = several.iter().map(|one| one.root.digest.to_string()).collect();
                let finding = finding(format!("`{shown}` begins {} digests", several.len()));
                return Err(Box::new(finding.help(format!("write more of it: {}", all.join(", ")))));
            }
        }
    }
    let finding = finding(format!("the local store holds no image `{shown}`"));
    let known = named.iter().map(|(_, name, _)| name.as_str());
    Err(Box::new(match near(word, known) {
        Some(near) => finding.help(format!("did you mean `{near}`?")),
        None => finding.help("`stillframe images` lists them"),
    }))
}

/// The name that is nearest to a word, whole or without the registry and the path before its last part.
fn near<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let last = |name: &'a str| name.rsplit('/').next().unwrap_or(name);
    let untagged = |name: &'a str| last(name).split(':').next().unwrap_or(name);
    let by = |part: &dyn Fn(&'a str) -> &'a str| {
        let parts: Vec<&'a str> = known.clone().map(part).collect();
        let found = nearest(word, parts.iter().copied())?;
        known.clone().find(|name| part(name) == found)
    };
    by(&|name| name).or_else(|| by(&last)).or_else(|| by(&untagged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Descriptor;

    #[test]
    fn images_are_meant_by_name_by_tag_and_by_the_beginning_of_their_digest() {
        let kept = |content: &str, names: &[&str]| Kept {
            root: Descriptor::of("x", content.as_bytes()),
            references: names.iter().map(|name| name.to_string()).collect(),
            platforms: Vec::new(),
        };
        let images = [
            kept("1", &["r.test/app:1", "r.test/app:latest"]),
            kept("2", &["r.test/app:2"]),
            kept("3", &["docker.io/library/tool:1"]),
            kept("4", &[]),
        ];
        let digest = |at: usize| images[at].root.digest;
        let name = |at: usize, name: &str| Ok(Meant::Name(digest(at), name.to_string()));
        let check = |word: &str, expected: Result<Meant, &str>| match (find(&images, word), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{word}"),
            (Err(finding), Err(expected)) => {
                let text = format!("{} {}", finding.message, finding.help.join(" "));
                assert!(text.contains(expected), "{word}: {text}");
            }
            (found, _) => panic!("{word}: {found:?}"),
        };
        check("r.test/app:1", name(0, "r.test/app:1"));
        check("r.test/app", name(0, "r.test/app:latest"));
        check("tool", name(2, "docker.io/library/tool:1"));
        check("tool:1", name(2, "docker.io/library/tool:1"));
        check(&digest(3).to_string(), Ok(Meant::Image(digest(3))));
        check(&digest(3).hex()[..6], Ok(Meant::Image(digest(3))));
        check(&format!("sha256:{}", &digest(1).hex()[..5]), Ok(Meant::Image(digest(1))));
        check(&format!("r.test/app@{}", digest(1)), Ok(Meant::Image(digest(1))));
        check("r.test/app:3", Err("did you mean `r.test/app:"));
        check("aap", Err("did you mean `r.test/app:1`"));
        check("tol:1", Err("did you mean `docker.io/library/tool:1`"));
        check("elsewhere.test/nothing:9", Err("`stillframe images` lists them"));
        check(&"a".repeat(3), Err("holds no image"));
    }
}
