//! Stage 2: the lock as a text: sorted, one line for each thing that can change, so that merges meet only where they must. A value in,
//! a text out. Pure.

use super::{Lock, Locked, LockedIndex, Resolved, VERSION};

/// What stands above all.
const HEAD: &str =
    "# What the manifest beside this file does not pin itself. `stillframe update` writes it; commit it.\n";

/// The text of a lock.
pub fn write(lock: &Lock) -> String {
    let mut text = format!("{HEAD}version = {VERSION}\n");
    if let Some(resolved) = &lock.packages {
        head(&mut text, resolved);
        resolved.indexes.iter().for_each(|one| index(&mut text, one));
        resolved.packages.iter().for_each(|one| package(&mut text, one));
    }
    text
}

fn head(text: &mut String, resolved: &Resolved) {
    let request = &resolved.request;
    *text += "\n[packages]\n";
    pair(text, "family", resolved.family.name());
    pair(text, "fingerprint", &request.fingerprint().to_string());
    *text += &format!("count = {}\nrecommends = {}\n", resolved.packages.len(), request.recommends);
    list(text, "install", request.install.iter());
    list(text, "sources", request.sources.iter());
    *text += "\n[packages.bases]\n";
    for (platform, base) in &request.bases {
        pair(text, &quoted(platform), base);
    }
}

fn index(text: &mut String, index: &LockedIndex) {
    *text += &format!("\n[[index]]\nsource = {}\n", index.source);
    pair(text, "suite", &index.suite);
    pair(text, "date", &index.date);
}

fn package(text: &mut String, package: &Locked) {
    *text += "\n[[package]]\n";
    pair(text, "name", &package.name);
    pair(text, "version", &package.version);
    pair(text, "architecture", &package.architecture);
    let platforms: Vec<String> = package.platforms.iter().map(|platform| quoted(platform)).collect();
    *text += &format!("platforms = [{}]\nsource = {}\n", platforms.join(", "), package.source);
    pair(text, "path", &package.path);
    *text += &format!("size = {}\n", package.size);
    pair(text, "digest", &package.digest.to_string());
}

fn pair(text: &mut String, key: &str, value: &str) {
    *text += &format!("{key} = {}\n", quoted(value));
}

fn list<'a>(text: &mut String, key: &str, values: impl Iterator<Item = &'a String>) {
    *text += &format!("{key} = [\n");
    values.for_each(|value| *text += &format!("    {},\n", quoted(value)));
    *text += "]\n";
}

/// A basic string of TOML; JSON escapes alike.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
