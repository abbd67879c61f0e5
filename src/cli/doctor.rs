//! Stage 10: `stillframe doctor`. A registry, a repository or nothing in; what works, why, and what to do about the rest out.

use serde_json::{Value, json};

use super::session::Session;
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Report, Result, printable};
use crate::oci::{Reference, Registry, Repository};
use crate::registry::credentials::Look;
use crate::registry::{Can, Grant};
use crate::ship;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    Wrong(Kind),
    Missing,
    Unknown,
}

/// One thing that was looked at.
struct Line {
    what: String,
    state: State,
    told: String,
    next: Vec<String>,
}

/// What is looked at.
enum About {
    Machine,
    Registry(Registry),
    Repository(Reference),
}

/// Tells how things are; exits with 0 where nothing is wrong.
pub async fn run(session: &Session<'_>, name: Option<&str>) -> Result<u8> {
    let lines = match about(name)? {
        About::Machine => machine(session).await?,
        About::Registry(registry) => host(session, &registry, "").await?.0,
        About::Repository(reference) => repository(session, &reference).await?,
    };
    let kinds = lines.iter().filter_map(|line| match line.state {
        State::Wrong(kind) => Some(kind.exit_code()),
        _ => None,
    });
    let code = kinds.min().unwrap_or(0);
    if session.terminal.json() {
        let checks: Vec<Value> = lines.iter().map(Line::to_json).collect();
        session.terminal.document(json!({ "ok": code == 0, "checks": checks }), &Report::default())?;
    } else {
        session.terminal.result(&lines.iter().map(Line::text).collect::<String>())?;
    }
    Ok(code)
}

/// A host is what holds a `.` or a `:` and no `/`; everything else is a repository.
fn about(name: Option<&str>) -> Result<About> {
    Ok(match name {
        None => About::Machine,
        Some(name) if !name.contains('/') && (name.contains(['.', ':']) || name == "localhost") => {
            About::Registry(name.parse()?)
        }
        Some(name) => About::Repository(name.parse()?),
    })
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Good => "ok",
            State::Wrong(_) => "wrong",
            State::Missing => "no",
            State::Unknown => "unknown",
        }
    }
}

impl Line {
    fn new(what: impl Into<String>, state: State, told: impl Into<String>) -> Line {
        Line { what: what.into(), state, told: told.into(), next: Vec::new() }
    }

    fn next(mut self, next: impl Into<String>) -> Line {
        self.next.push(next.into());
        self
    }

    fn failed(what: impl Into<String>, error: &Error) -> Line {
        let words = std::iter::once(error.message().to_string()).chain(error.causes());
        let mut line = Line::new(what, State::Wrong(error.kind()), words.collect::<Vec<_>>().join(": "));
        line.next.extend(error.hints().iter().cloned());
        line
    }

    fn text(&self) -> String {
        let first = format!("{:8} {}: {}\n", self.state.name(), printable(&self.what), printable(&self.told));
        first + &self.next.iter().map(|next| format!("         next: {}\n", printable(next))).collect::<String>()
    }

    fn to_json(&self) -> Value {
        json!({ "what": self.what, "state": self.state.name(), "told": self.told, "next": self.next })
    }
}

/// The store, the files and the engines.
async fn machine(session: &Session<'_>) -> Result<Vec<Line>> {
    let ctx = &session.ctx;
    let mut lines = vec![store(ctx)];
    let hosts = match session.hosts_file() {
        Some((path, true)) => Line::new("registries.toml", State::Good, format!("`{}` is read", path.display())),
        Some((path, false)) => {
            Line::new("registries.toml", State::Missing, format!("`{}` is not there; none is needed", path.display()))
        }
        None => Line::new("registries.toml", State::Missing, "there is no place for one: HOME is not set"),
    };
    lines.push(hosts);
    for file in session.source.files() {
        lines.push(match file.next {
            Some(next) => {
                Line::new("credentials", State::Wrong(Kind::Local), format!("{}: {}", file.place, file.told)).next(next)
            }
            None => Line::new("credentials", State::Good, format!("{}: {}", file.place, file.told)),
        });
    }
    for (engine, path, there) in ship::sockets() {
        let state = if there { State::Good } else { State::Missing };
        let told = format!("`{}` is {}", path.display(), if there { "there" } else { "not there" });
        lines.push(Line::new(format!("{engine} socket"), state, told));
    }
    Ok(lines)
}

fn store(ctx: &Ctx) -> Line {
    let path = ctx.store.root().display().to_string();
    match ctx.store.put(b"") {
        Ok(_) => Line::new(
            "store",
            State::Good,
            format!("`{path}` can be written; {} images in it", ctx.store.images().len()),
        ),
        Err(error) => Line::failed("store", &error),
    }
}

/// How a registry is reached and whether it lets us in.
async fn host(session: &Session<'_>, registry: &Registry, path: &str) -> Result<(Vec<Line>, bool)> {
    let client = &session.ctx.registries;
    let way = client.way(registry);
    let mut lines = vec![
        Line::new("address", State::Good, way.url.clone()),
        Line::new("transport", State::Good, way.transport.clone()),
    ];
    let mirrors = if way.mirrors.is_empty() { "none".to_string() } else { way.mirrors.join(", ") };
    lines.push(Line::new("mirrors", State::Good, mirrors));
    lines.extend(credentials(registry, &client.trail(registry, path).await));
    let open = match client.ping(registry).await {
        Ok(ping) => {
            let told = match ping.challenge {
                Some(challenge) => format!("it asks for a credential ({challenge}) and takes what it gets"),
                None => "it asks for no credential".to_string(),
            };
            lines.push(Line::new("ping", State::Good, told));
            true
        }
        Err(error) => {
            session.ctx.cancel.check()?;
            let line = Line::failed("ping", &error);
            lines.push(match line.next.is_empty() {
                true => {
                    line.next("check the name and the port, and whether a proxy (`HTTPS_PROXY`) or a mirror is needed")
                }
                false => line,
            });
            false
        }
    };
    Ok((lines, open))
}

fn credentials(registry: &Registry, looks: &[Look]) -> Vec<Line> {
    let mut lines = Vec::new();
    for look in looks {
        let used = if look.used { "; this is used" } else { "" };
        let told = format!("{}: {}{used}", look.place, look.told);
        lines.push(match &look.next {
            Some(next) => Line::new("credential", State::Wrong(Kind::Usage), told).next(next.clone()),
            None => Line::new("credential", if look.used { State::Good } else { State::Missing }, told),
        });
    }
    if !looks.iter().any(|look| look.used || look.next.is_some()) {
        let line = Line::new("credential", State::Missing, "none, so the registry is asked as nobody");
        lines.push(line.next(format!("if that is not enough, run `stillframe login {registry}`")));
    }
    lines
}

/// What can be done in a repository.
async fn repository(session: &Session<'_>, reference: &Reference) -> Result<Vec<Line>> {
    let Reference { repository, tag, .. } = reference;
    let (mut lines, open) = host(session, &repository.registry, &repository.path).await?;
    if !open {
        return Ok(lines);
    }
    let client = &session.ctx.registries;
    let abilities = client.abilities(repository, tag.as_ref()).await?;
    lines.push(scopes(session, repository).await);
    for ability in abilities {
        let state = match ability.can {
            Can::Yes => State::Good,
            Can::No => State::Missing,
            Can::Unknown => State::Unknown,
        };
        let line = Line { next: ability.next, ..Line::new(ability.name, state, ability.told) };
        lines.push(match (ability.name, state) {
            ("referrers API", State::Missing) => line.next("nothing: signatures are listed under a tag instead"),
            _ => line,
        });
    }
    Ok(lines)
}

async fn scopes(session: &Session<'_>, repository: &Repository) -> Line {
    match session.ctx.registries.granted(repository).await {
        Ok(Grant::NoToken) => {
            Line::new("token", State::Unknown, "the registry gives no token, so it cannot tell rights")
        }
        Ok(Grant::Opaque) => Line::new("token", State::Unknown, "the token does not tell what it allows"),
        Ok(Grant::Scopes(scopes)) if scopes.is_empty() => {
            Line::new("token", State::Missing, "the token allows nothing in this repository")
                .next(format!("check the name, or run `stillframe login {}`", repository.registry))
        }
        Ok(Grant::Scopes(scopes)) => Line::new("token", State::Good, format!("it allows {}", scopes.join(" "))),
        Err(error) => Line::failed("token", &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_from_a_repository() {
        assert!(matches!(about(None).unwrap(), About::Machine));
        for name in ["ghcr.io", "localhost:5000", "localhost", "127.0.0.1:5000"] {
            assert!(matches!(about(Some(name)).unwrap(), About::Registry(_)), "{name}");
        }
        for name in ["nginx", "acme/app", "ghcr.io/acme/app:1", "localhost:5000/x"] {
            assert!(matches!(about(Some(name)).unwrap(), About::Repository(_)), "{name}");
        }
        assert!(about(Some("UPPER/x")).is_err());
    }
}
