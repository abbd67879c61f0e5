//! Between stages 1 and 2: `contents` of apko → `[packages.alpine]`. Pure.

use std::collections::BTreeSet;

use crate::error::printable;
use crate::import::draft::{Remarks, Section};
use crate::import::sheet::Sheet;
use crate::import::value::{list, quoted};
use crate::import::yaml::{Pair, Shape};
use crate::manifest::Wish;

/// What `contents` say that goes into `[packages.alpine]`.
#[derive(Default)]
struct Found {
    /// Mirror and branch of each repository, and its name.
    places: BTreeSet<(String, String)>,
    repositories: Vec<String>,
    /// Whether all repositories could be taken over.
    whole: bool,
    place: Remarks,
    keys: Vec<String>,
    key_remarks: Remarks,
    wishes: Vec<String>,
}

/// Makes the section of packages.
pub fn contents(sheet: &mut Sheet<'_>, pair: &Pair) {
    let mut found = Found { whole: true, ..Found::default() };
    let mut packages = None;
    let mut places = Vec::new();
    sheet.note(&pair.span);
    for one in sheet.pairs(pair) {
        if ["repositories", "build_repositories", "keyring"].contains(&one.key.as_str()) {
            places.extend(sheet.original(&one.span));
        }
        match one.key.as_str() {
            "repositories" | "build_repositories" => repositories(sheet, one, &mut found),
            "keyring" => keyring(sheet, one, &mut found),
            "packages" => {
                packages = Some(one);
                wishes(sheet, one, &mut found);
            }
            "runtime_repositories" => sheet.left_in_body(
                &one.span,
                "repositories that only a running container reads are a file of the image",
                "write `/etc/apk/repositories` with `[[file]]` and `content`",
            ),
            "baseimage" => sheet.left_in_body(
                &one.span,
                "a base of apko is not one of the manifest",
                "set `base` to an image in a registry or in an OCI layout",
            ),
            _ => sheet.unknown(one, "apko"),
        }
    }
    let Some(packages) = packages.filter(|_| !found.wishes.is_empty()) else {
        if !places.is_empty() {
            let why = "no package is wished for, so these places of packages are not needed";
            sheet.left_in_body(&pair.span, why, "nothing is needed");
        }
        return;
    };
    let place = found.places.first().cloned().filter(|_| found.whole && found.places.len() == 1);
    let Some((mirror, branch)) = place else {
        let why = "where the packages come from is not one mirror with one branch, as Alpine has it";
        let advice = format!(
            "write `[packages.alpine]` with `mirror`, `branch`, `repositories`, `keyring` and `install = {}`",
            list(&found.wishes)
        );
        let mut remarks = sheet.left(&packages.span, why, &advice);
        remarks.extend(places);
        remarks.extend(found.key_remarks);
        return sheet.draft.remark(remarks);
    };
    let mut install = sheet.above(&packages.span);
    install.push("`stillframe update packages` chooses versions and pins them in image.lock.".into());
    let section = section(sheet, &mirror, &branch, found, install);
    sheet.draft.packages = Some(("[packages.alpine]".into(), section));
}

/// The section itself, once mirror and branch are known; `install` are the remarks above the wishes.
fn section(sheet: &mut Sheet<'_>, mirror: &str, branch: &str, mut found: Found, install: Vec<String>) -> Section {
    let mut section = Section::default();
    section.set("mirror", quoted(&sheet.string(mirror)), found.place);
    section.set("branch", quoted(&sheet.string(branch)), Vec::new());
    section.set("repositories", list(&found.repositories), Vec::new());
    if found.keys.is_empty() {
        found.keys.push("keys/alpine.rsa.pub".into());
        let way =
            "The branch's public keys, from /etc/apk/keys of an Alpine that you trust; a file has its key's name.";
        found.key_remarks.push(way.into());
    }
    section.set("keyring", list(&found.keys), found.key_remarks);
    section.set("install", list(&found.wishes), install);
    section
}

/// `URL/BRANCH/REPOSITORY`, as Alpine has it.
fn split(text: &str) -> Option<(String, String, String)> {
    let (rest, repository) = text.trim_end_matches('/').rsplit_once('/')?;
    let (mirror, branch) = rest.rsplit_once('/')?;
    let numbered = branch
        .strip_prefix('v')
        .is_some_and(|rest| rest.contains('.') && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    let web = mirror.starts_with("http://") || mirror.starts_with("https://");
    let fine = web && (numbered || branch == "edge" || branch == "latest-stable") && !repository.is_empty();
    fine.then(|| (mirror.to_string(), branch.to_string(), repository.to_string()))
}

fn repositories(sheet: &mut Sheet<'_>, pair: &Pair, found: &mut Found) {
    found.place.extend(sheet.above(&pair.span));
    for item in sheet.items(pair) {
        let text = item.scalar().unwrap_or_default();
        match split(text) {
            Some((mirror, branch, repository)) => {
                found.places.insert((mirror, branch));
                if !found.repositories.contains(&repository) {
                    found.repositories.push(repository);
                }
            }
            None => {
                found.whole = false;
                let why =
                    format!("`{}` is not a mirror, a branch and a repository, as Alpine has them", printable(text));
                let advice = "packages of one mirror and branch are installed; bring others as files, with `[[archive]]` or `[[copy]]`";
                sheet.left_in_body(&item.span, &why, advice);
            }
        }
    }
}

fn keyring(sheet: &mut Sheet<'_>, pair: &Pair, found: &mut Found) {
    found.key_remarks.extend(sheet.above(&pair.span));
    for item in sheet.items(pair) {
        let Some(text) = item.scalar() else {
            sheet.left_in_body(&item.span, "this is no key", "write the key's file into `keyring`");
            continue;
        };
        if !text.contains("://") && !text.starts_with('/') {
            let text = sheet.string(text.trim_start_matches("./"));
            found.keys.push(text);
            continue;
        }
        let name = text.rsplit('/').next().unwrap_or_default();
        let why = "keys are files beside the manifest: what is fetched vouches for nothing";
        let advice = format!("save it as `keys/{}`, and look whether it is the right one", printable(name));
        found.key_remarks.extend(sheet.left(&item.span, why, &advice));
        let name = sheet.string(name);
        found.keys.push(format!("keys/{name}"));
    }
}

fn wishes(sheet: &mut Sheet<'_>, pair: &Pair, found: &mut Found) {
    for item in sheet.items(pair) {
        let text = match &item.shape {
            Shape::Scalar(text) => text.replacen("~=", "~", 1),
            _ => String::new(),
        };
        match text.parse::<Wish>() {
            Ok(_) if found.wishes.contains(&text) => {}
            Ok(_) => found.wishes.push(text),
            Err(_) => {
                let why = format!("`{}` is no wish for a package", printable(&text));
                let advice = "write it into `install` as \"name\", \"name=1.2-r0\" or \"name>=1.2\"; what is not wished for is not installed";
                sheet.left_in_body(&item.span, &why, advice);
            }
        }
    }
}
