//! Stage 10: what a CI service is told beside the result, in the files that it names: outputs and a summary for GitHub and Forgejo
//! (`GITHUB_OUTPUT`, `GITHUB_STEP_SUMMARY`), variables for GitLab's dotenv reports (`STILLFRAME_DOTENV`). Appends to those files, and only
//! to them; a service that cannot be told is worth a note, not a failure.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use super::prepare::Made;
use super::session::{Session, variable};
use crate::error::printable;

/// Tells what was made to the service that asks for it.
pub fn told(session: &Session<'_>, made: &[&Made]) {
    let texts = [
        ("GITHUB_OUTPUT", outputs as fn(&[Told]) -> String),
        ("GITHUB_STEP_SUMMARY", summary),
        ("STILLFRAME_DOTENV", dotenv),
    ];
    let all: Vec<Told> = made.iter().map(|made| Told::of(made)).collect();
    for (name, text) in texts {
        let Some(path) = variable(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from) else {
            continue;
        };
        let file = OpenOptions::new().append(true).create(true).open(&path);
        if let Err(cause) = file.and_then(|mut file| file.write_all(text(&all).as_bytes())) {
            session.ctx.note(format!("`{}` of `{name}` was not written: {cause}", path.display()));
        }
    }
}

/// What is told of one image.
struct Told {
    images: Vec<String>,
    digest: String,
    tags: Vec<String>,
    platforms: Vec<String>,
    size: u64,
}

impl Told {
    fn of(made: &Made) -> Told {
        let digest = made.artifact.digest().to_string();
        let names = made.target.names.iter().map(|name| format!("{name}@{digest}")).collect::<Vec<_>>();
        let images = &made.artifact.images;
        let size = images.iter().flat_map(|image| &image.layers).map(|layer| layer.descriptor.size).sum();
        Told {
            images: if names.is_empty() { vec![digest.clone()] } else { names },
            tags: made.target.tags.tags().map(|tag| tag.as_str().to_string()).collect(),
            platforms: images.iter().map(|image| image.platform.to_string()).collect(),
            digest,
            size,
        }
    }
}

/// `image`, `digest` and `tags` of the first image, and the `images` of all. None of these texts can hold the end of a line.
fn outputs(all: &[Told]) -> String {
    let images: Vec<&str> = all.iter().flat_map(|told| &told.images).map(String::as_str).collect();
    let Some(first) = all.first() else { return String::new() };
    format!(
        "image={}\ndigest={}\ntags={}\nimages={}\n",
        first.images.first().map_or("", String::as_str),
        first.digest,
        first.tags.join(","),
        images.join(",")
    )
}

/// The same for GitLab.
fn dotenv(all: &[Told]) -> String {
    let upper = |line: &str| match line.split_once('=') {
        Some((name, value)) => format!("STILLFRAME_{}={value}\n", name.to_ascii_uppercase()),
        None => String::new(),
    };
    outputs(all).lines().map(upper).collect()
}

/// A table in Markdown.
fn summary(all: &[Told]) -> String {
    let code = |text: &String| format!("`{}`", printable(text).replace('|', "\\|"));
    let row = |told: &Told| {
        let list = |texts: &[String]| texts.iter().map(code).collect::<Vec<_>>().join("<br>");
        let size = indicatif::HumanBytes(told.size);
        format!("| {} | {} | {} | {size} |\n", list(&told.images), list(&told.tags), list(&told.platforms))
    };
    let rows: String = all.iter().map(row).collect();
    format!("### Images\n\n| image | tags | platforms | layers |\n|---|---|---|---|\n{rows}\n")
}
