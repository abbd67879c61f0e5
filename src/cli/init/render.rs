//! Stage 10: the files that `init` writes, from `templates/init` and `templates/ci`. A project in, texts out. Pure.

use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, context};

use super::mirror::Mirror;
use super::project::{Project, Template};
use crate::error::{Error, Result, Text};
use crate::manifest::layout::layout;

/// The templates of manifests.
const TEMPLATES: [(Template, &str); 7] = [
    (Template::RustStatic, include_str!("../../../templates/init/rust-static.toml")),
    (Template::GoStatic, include_str!("../../../templates/init/go-static.toml")),
    (Template::Node, include_str!("../../../templates/init/node.toml")),
    (Template::Python, include_str!("../../../templates/init/python.toml")),
    (Template::JavaJar, include_str!("../../../templates/init/java-jar.toml")),
    (Template::CDynamic, include_str!("../../../templates/init/c-dynamic.toml")),
    (Template::Website, include_str!("../../../templates/init/website.toml")),
];
/// What follows where packages are needed, and what ends every manifest.
const PACKAGES: &str = include_str!("../../../templates/init/packages.toml");
const TAIL: &str = include_str!("../../../templates/init/tail.toml");

/// What an image stands on.
pub enum Ground {
    /// Nothing; the template needs no more.
    Nothing,
    /// An image: `name:tag`, with its digest or without.
    Base(String),
    /// Packages of Debian on nothing.
    Packages(Mirror),
}

/// The manifest of a project.
pub fn manifest(template: Template, project: &Project, image: &str, ground: &Ground) -> Result<String> {
    let (base, mirror) = match ground {
        Ground::Nothing => ("scratch", None),
        Ground::Base(base) => (base.as_str(), None),
        Ground::Packages(mirror) => ("scratch", Some(mirror)),
    };
    let own = TEMPLATES.iter().find(|(of, _)| *of == template).map_or("", |(_, text)| text);
    let Project { title, make, program, build, main, sources, to, excluded, modules, vendor } = project;
    let packages = mirror.is_some();
    let values =
        context! { image, base, packages, title, make, program, build, main, sources, to, excluded, modules, vendor };
    let mut text = rendered(own, &values)?;
    if let Some(mirror) = mirror {
        let install: Vec<String> = template.packages().iter().map(|name| format!("\"{name}\"")).collect();
        let Mirror { url, suite, security, keyring } = mirror;
        text +=
            &rendered(PACKAGES, &context! { mirror => url, suite, security, keyring, install => install.join(", ") })?;
    }
    let text = text + &rendered(TAIL, &context! {})?;
    layout(&Arc::new(Text { path: "image.toml".to_string(), text }))
}

fn rendered(template: &str, values: &minijinja::Value) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment
        .render_str(template, values)
        .map_err(|cause| Error::bug("a template of `init` does not render").because(cause))
}

/// The pipelines that may be written beside the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Pipeline {
    /// A workflow of GitHub Actions.
    Github,
    /// A pipeline of GitLab.
    Gitlab,
    /// A pipeline of Jenkins.
    Jenkins,
    /// A workflow of Forgejo or Gitea.
    Forgejo,
}

impl Pipeline {
    /// Where it is written, below the project.
    pub fn path(self) -> &'static str {
        match self {
            Pipeline::Github => ".github/workflows/image.yml",
            Pipeline::Gitlab => ".gitlab-ci.yml",
            Pipeline::Jenkins => "Jenkinsfile",
            Pipeline::Forgejo => ".forgejo/workflows/image.yml",
        }
    }

    /// The text. Lines that need a command for making what is packed go where there is none. Pipelines have braces of their own, so the
    /// two places are marked in another way.
    pub fn text(self, make: &str, image: &str) -> String {
        let template = match self {
            Pipeline::Github => include_str!("../../../templates/ci/github.yml"),
            Pipeline::Gitlab => include_str!("../../../templates/ci/gitlab.yml"),
            Pipeline::Jenkins => include_str!("../../../templates/ci/Jenkinsfile"),
            Pipeline::Forgejo => include_str!("../../../templates/ci/forgejo.yml"),
        };
        let host = image.split('/').next().unwrap_or(image);
        let kept = template.lines().filter(|line| !make.is_empty() || !line.contains("@make@"));
        let put = |line: &str| line.replace("@make@", make).replace("@registry@", host) + "\n";
        kept.map(put).collect()
    }
}
