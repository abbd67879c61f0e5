//! Stage 10: `stillframe init`: a directory in, an `image.toml` that builds at once out, and a pipeline if one is asked for. Reads the
//! directory and the lists of this machine's package manager; writes what it names, and nothing over what is there.

mod beside;
mod directory;
mod mirror;
mod project;
mod render;
mod taken;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::Init;
use super::prepare::aside;
use super::prompt;
use super::session::Session;
use super::update;
use crate::error::{Error, Report, Result};
use crate::ship;

use directory::Directory;
use mirror::Mirror;
pub use project::Template;
use project::{Project, bare, guesses, plain};
pub use render::Pipeline;
use render::{Ground, manifest};
use taken::shown;

/// The release of Debian where nothing names one.
const SUITE: &str = "trixie";

/// Writes the files of a new project, and pins what they name.
pub async fn run(session: &Session<'_>, options: &Init) -> Result<u8> {
    if let Some(from) = &options.from {
        return taken::run(session, options, from).await;
    }
    let file = session.options.file.clone();
    let (file, folder) = if file.is_dir() { (file.join("image.toml"), file) } else { (file.clone(), above(&file)) };
    let looked = folder.clone();
    let directory = aside(&session.ctx, move || Directory::look(&looked)).await?;
    let (template, project) = choose(session, options, &directory).await?;
    let image = match &options.name {
        Some(name) => name.to_string(),
        None => format!("registry.example.com/{}", plain(&project.title)),
    };
    let ground = ground(options, template)?;
    let mut files = vec![(file.clone(), manifest(template, &project, &image, &ground)?)];
    for pipeline in &options.ci {
        files.push((folder.join(pipeline.path()), pipeline.text(&project.make, &image)));
    }
    write(session, &files, options.force).await?;
    pin(session, &ground).await?;
    tell(session, template, &project, &image, &files)
}

/// The directory of a file.
fn above(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// What the project is: as asked for, as its files say, or as somebody answers where they say several things.
async fn choose(session: &Session<'_>, options: &Init, directory: &Directory) -> Result<(Template, Project)> {
    if let Some(template) = options.template {
        return Ok((template, bare(template, directory)));
    }
    let mut found = guesses(directory);
    let names: Vec<&str> = found.iter().map(|(template, _)| template.name()).collect();
    if found.len() > 1 && prompt::possible() && !options.yes && !session.terminal.json() {
        let question = format!("This directory looks like {}. Which is it? [{}] ", names.join(" and "), names[0]);
        let answer = prompt::ask(session, &question, false).await?;
        let at = names.iter().position(|name| *name == answer.trim());
        match (at, answer.trim()) {
            (Some(at), _) => return Ok(found.swap_remove(at)),
            (None, "") => {}
            (None, other) => {
                return Err(Error::usage(format!("`{}` is none of {}", other.escape_debug(), names.join(", "))));
            }
        }
    } else if found.len() > 1 {
        session.ctx.note(format!("this directory also looks like {}; `--template` chooses", names[1..].join(", ")));
    }
    found.into_iter().next().ok_or_else(|| {
        let all: Vec<&str> = project::ALL.iter().map(|template| template.name()).collect();
        let known = format!("choose a template with `--template`: {}", all.join(", "));
        let error = Error::usage(format!("nothing in `{}` says what it is", directory.name)).hint(known);
        match ["Dockerfile", "Containerfile"].into_iter().find(|name| directory.has(name)) {
            Some(name) => error.hint(format!("or take over what is there: `stillframe init --from {name}`")),
            None => error,
        }
    })
}

/// What the image stands on.
fn ground(options: &Init, template: Template) -> Result<Ground> {
    if let Some(base) = &options.base {
        return Ok(Ground::Base(base.clone()));
    }
    if template.packages().is_empty() {
        return Ok(Ground::Nothing);
    }
    let own = mirror::find(Path::new("/"));
    let suite = options.suite.clone().or_else(|| own.as_ref().map(|own| own.suite.clone()));
    let suite = suite.unwrap_or_else(|| SUITE.to_string());
    match (&options.mirror, own) {
        (Some(url), _) => {
            Ok(Ground::Packages(Mirror { url: url.clone(), suite, security: None, keyring: options.keyring.clone() }))
        }
        (None, Some(own)) => {
            let security = own.security.filter(|_| own.suite == suite);
            Ok(Ground::Packages(Mirror { url: own.url, suite, security, keyring: None }))
        }
        (None, None) => {
            Err(Error::usage(format!("the template `{}` needs packages, and no mirror is known", template.name()))
                .hint("name a mirror of Debian: `--mirror https://…/debian`")
                .hint("or an image that has what it needs: `--base NAME:TAG`"))
        }
    }
}

/// Writes all files, or none where one is there already.
async fn write(session: &Session<'_>, files: &[(PathBuf, String)], force: bool) -> Result<()> {
    let files = files.to_vec();
    aside(&session.ctx, move || {
        let there: Vec<String> = files
            .iter()
            .filter(|(path, _)| path.symlink_metadata().is_ok())
            .map(|(path, _)| format!("`{}`", shown(path)))
            .collect();
        if !force && !there.is_empty() {
            return Err(Error::usage(format!("{} is there already", there.join(" and ")))
                .hint("nothing was written; `--force` replaces it"));
        }
        for directory in files.iter().filter_map(|(path, _)| path.parent()).filter(|path| !path.as_os_str().is_empty())
        {
            fs::create_dir_all(directory)
                .map_err(|cause| Error::io(format!("making `{}`", directory.display()), cause))?;
        }
        for (path, text) in &files {
            ship::receipt(path, text.as_bytes())?;
        }
        Ok(())
    })
    .await
}

/// Pins what the manifest names: its base by digest, its packages in `image.lock`.
async fn pin(session: &Session<'_>, ground: &Ground) -> Result<()> {
    if matches!(ground, Ground::Nothing) {
        return Ok(());
    }
    let later = "the files are written; `stillframe update` pins what they name";
    if session.options.offline {
        session.ctx.note(format!("{later}, which `--offline` forbids now"));
        return Ok(());
    }
    update::pin(session).await.map_err(|error| error.context("pinning what the new manifest names").hint(later))
}

/// Says what was written and what comes next.
fn tell(
    session: &Session<'_>,
    template: Template,
    project: &Project,
    image: &str,
    files: &[(PathBuf, String)],
) -> Result<u8> {
    let paths: Vec<String> = files.iter().map(|(path, _)| shown(path)).collect();
    let mut next = vec!["stillframe build -o docker".to_string(), format!("docker run --rm {image}")];
    if !project.make.is_empty() {
        next.insert(0, project.make.clone());
    }
    if session.terminal.json() {
        let document = json!({ "template": template.name(), "files": paths, "next": next });
        session.terminal.document(document, &Report::default())?;
    } else {
        session.ctx.note(format!("the template is `{}`; what comes next:", template.name()));
        next.iter().for_each(|command| session.ctx.note(format!("  $ {command}")));
        session.terminal.result(&paths.iter().map(|path| format!("{path}\n")).collect::<String>())?;
    }
    Ok(0)
}
