//! Stage 10: `stillframe init --from`: an `image.toml` that is made of what another tool was told with.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::beside;
use crate::cli::args::Init;
use crate::cli::prepare::aside;
use crate::cli::session::Session;
use crate::error::{Error, Report, Result, printable};
use crate::import::{self, Choice, Kind};
use crate::layer::IMAGE_IGNORE;
use crate::manifest::locate::NAMES;
use crate::ship;

/// Files that are to be written, and what was found on the way.
struct Made {
    files: Vec<(PathBuf, String)>,
    report: Report,
}

/// Writes the manifest, and an ignore file where the Dockerfile has one; prints their names.
pub async fn run(session: &Session<'_>, options: &Init, from: &Path) -> Result<u8> {
    let target = session.options.file.clone();
    let (from, force) = (from.to_path_buf(), options.force);
    let choice = Choice { target: options.target.clone() };
    let made = aside(&session.ctx, move || {
        let made = make(&target, &from, &choice)?;
        for (path, _) in made.files.iter().filter(|_| !force) {
            if beside::is_there(path) {
                return Err(Error::usage(format!("`{}` is there already", shown(path)))
                    .hint("say `--force` to write over it, or name another place with `-f PATH`"));
            }
        }
        for (path, text) in &made.files {
            ship::receipt(path, text.as_bytes())?;
        }
        Ok(made)
    })
    .await?;
    let names: Vec<String> = made.files.iter().map(|(path, _)| shown(path)).collect();
    if session.terminal.json() {
        session.terminal.document(json!({ "files": names }), &made.report)?;
        return Ok(0);
    }
    session.terminal.report(&made.report);
    session.terminal.result(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
    Ok(0)
}

/// The files that an import makes. The manifest's directory is the context, as the last word of `docker build` is.
fn make(target: &Path, from: &Path, choice: &Choice) -> Result<Made> {
    let file = match beside::is_directory(target) {
        true => target.join(NAMES[0]),
        false => target.to_path_buf(),
    };
    let directory = file.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let text = beside::text(from, import::MOST_BYTES)?;
    let kind = import::kind(&text)?;
    let beside = beside::Beside::new(directory);
    let (look, names) = (|path: &str| beside.kind(path), |path: &str| beside.names(path));
    let context = import::Context { kind: &look, names: &names };
    let imported = import::import(&text, kind, context, choice)?;
    let mut files = vec![(file.clone(), imported.manifest)];
    if kind == Kind::Dockerfile
        && let Some((name, ignored)) = beside::ignored(from, directory)?
    {
        let head =
            format!("# Made from {name} by `stillframe init`; it counts for the directories that image.toml copies.\n");
        files.push((directory.join(IMAGE_IGNORE), head + &ignored));
    }
    Ok(Made { files, report: imported.report })
}

/// A path as it is shown.
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    printable(text.strip_prefix("./").unwrap_or(&text))
}
