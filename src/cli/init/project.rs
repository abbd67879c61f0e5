//! Stage 10: what a directory holds, as far as its files tell: names in, the template that fits and what goes into it out. Pure.

use serde_json::Value;
use toml::Table;

use super::directory::Directory;

/// The templates that a project may be built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Template {
    /// A static Rust program on nothing.
    RustStatic,
    /// A static Go program on nothing.
    GoStatic,
    /// An application for Node.js.
    Node,
    /// An application for Python.
    Python,
    /// A Java program in one jar.
    JavaJar,
    /// A dynamic program with its C library.
    CDynamic,
    /// Files of a web site and nginx.
    Website,
}

/// All of them, in the order in which a directory is asked whether it is one.
pub const ALL: [Template; 7] = [
    Template::RustStatic,
    Template::GoStatic,
    Template::Node,
    Template::Python,
    Template::JavaJar,
    Template::CDynamic,
    Template::Website,
];

impl Template {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Template::RustStatic => "rust-static",
            Template::GoStatic => "go-static",
            Template::Node => "node",
            Template::Python => "python",
            Template::JavaJar => "java-jar",
            Template::CDynamic => "c-dynamic",
            Template::Website => "website",
        }
    }

    /// The packages that it needs where no base has them.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Template::RustStatic | Template::GoStatic => &[],
            Template::Node => &["nodejs", "ca-certificates"],
            Template::Python => &["python3", "ca-certificates"],
            Template::JavaJar => &["default-jre-headless", "ca-certificates"],
            Template::CDynamic => &["libc6", "libgcc-s1", "libstdc++6"],
            Template::Website => &["nginx-light"],
        }
    }
}

/// What is known of a project; what a template does not need is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// What it is called: letters, digits and `-`.
    pub title: String,
    /// The command that makes what is packed, if one is needed.
    pub make: String,
    /// The program's name.
    pub program: String,
    /// What is packed: a file, or a directory with `/` at its end.
    pub build: String,
    /// What is started, as the text of TOML that the template takes.
    pub main: String,
    /// What else is packed, likewise.
    pub sources: String,
    /// Where that goes.
    pub to: String,
    /// What is left out, likewise.
    pub excluded: String,
    /// Whether there are modules of Node.js.
    pub modules: bool,
    /// Whether there are modules of Python in `vendor/`.
    pub vendor: bool,
}

/// What a directory looks like, the likeliest first.
pub fn guesses(directory: &Directory) -> Vec<(Template, Project)> {
    ALL.iter().filter_map(|template| Some((*template, project(*template, directory)?))).collect()
}

/// What a directory gives to this template, if it is such a project at all.
fn project(template: Template, directory: &Directory) -> Option<Project> {
    match template {
        Template::RustStatic => rust(directory),
        Template::GoStatic => go(directory),
        Template::Node => node(directory),
        Template::Python => python(directory),
        Template::JavaJar => java(directory),
        Template::CDynamic => c(directory),
        Template::Website => website(directory),
    }
}

/// What a template gets from a directory that does not look like it.
pub fn bare(template: Template, directory: &Directory) -> Project {
    let named = |files: &[(&str, &str)]| project(template, &Directory::with(&directory.name, files));
    project(template, directory)
        .or_else(|| match template {
            Template::RustStatic => named(&[("Cargo.toml", ""), ("src/main.rs", "")]),
            Template::GoStatic => named(&[("go.mod", ""), ("main.go", "")]),
            Template::Node => named(&[("package.json", "{}"), ("index.js", "")]),
            Template::Python => named(&[("requirements.txt", ""), ("main.py", "")]),
            Template::JavaJar => named(&[("pom.xml", "")]),
            Template::CDynamic => named(&[("Makefile", "")]),
            Template::Website => named(&[("public/index.html", "")]),
        })
        .unwrap_or_default()
}

/// A name that repositories, programs and directories may have.
pub fn plain(name: &str) -> String {
    let last = name.trim_matches('/').rsplit('/').next().unwrap_or_default().trim_start_matches('@');
    let fit = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' };
    let name: String = last.chars().map(fit).collect();
    let name = name.trim_matches(['-', '_']).to_ascii_lowercase();
    if name.is_empty() { "app".to_string() } else { name }
}

fn titled(name: &str) -> Project {
    Project { title: plain(name), program: plain(name), ..Project::default() }
}

/// One string of TOML in its quotes.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_string()).to_string()
}

fn rust(directory: &Directory) -> Option<Project> {
    let manifest: Table = directory.text("Cargo.toml")?.parse().unwrap_or_default();
    let package = |key: &str| manifest.get("package")?.get(key)?.as_str();
    let first = || manifest.get("bin")?.as_array()?.first()?.get("name")?.as_str();
    let member = || {
        let members = manifest.get("workspace")?.get("members")?.as_array()?;
        let named = members.iter().filter_map(toml::Value::as_str).filter(|member| !member.contains('*'));
        named.into_iter().find(|member| directory.has(&format!("{member}/src/main.rs")))
    };
    let name = package("name").unwrap_or(&directory.name);
    let binary = package("default-run").or_else(first).or_else(member).unwrap_or(name);
    let binary = binary.rsplit('/').next().unwrap_or(binary);
    Some(Project {
        make: "cargo build --release --target x86_64-unknown-linux-musl".to_string(),
        program: binary.to_string(),
        build: format!("target/{{{{ platform.rust_target }}}}/release/{binary}"),
        ..titled(name)
    })
}

fn go(directory: &Directory) -> Option<Project> {
    let module = directory.text("go.mod")?.lines().find_map(|line| line.trim().strip_prefix("module "));
    // `example.com/server/v2` is still the server.
    let version = |part: &str| part.strip_prefix('v').is_some_and(|digits| digits.parse::<u32>().is_ok());
    let module = module.map_or(directory.name.as_str(), str::trim);
    let name = match module.rsplit_once('/') {
        Some((above, last)) if version(last) => above,
        _ => module,
    };
    let commands = |path: &&String| path.starts_with("cmd/") && path.ends_with("/main.go");
    let command = directory.files.iter().find(commands).and_then(|path| path.split('/').nth(1));
    let (package, program) = match command {
        Some(command) if !directory.has("main.go") => (format!("./cmd/{command}"), plain(command)),
        _ => (".".to_string(), plain(name)),
    };
    Some(Project {
        make: format!("CGO_ENABLED=0 GOARCH=amd64 go build -trimpath -o bin/amd64/{program} {package}"),
        build: format!("bin/{{{{ platform.go_arch }}}}/{program}"),
        program,
        ..titled(name)
    })
}

fn node(directory: &Directory) -> Option<Project> {
    let package: Value = serde_json::from_str(directory.text("package.json")?).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_string);
    let script = |name: &str| package.get("scripts").and_then(|scripts| scripts.get(name)).and_then(text);
    // A start script that calls node on one file says what is started.
    let started = script("start").and_then(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.first(), Some(&"node"))
            .then(|| words.last().map(|word| word.trim_start_matches("./").to_string()))?
    });
    let there = || ["server.js", "index.js", "app.js", "main.js", "src/index.js", "src/server.js", "dist/index.js"];
    let main = started.or_else(|| package.get("main").and_then(text));
    let main = main.or_else(|| there().into_iter().find(|path| directory.has(path)).map(str::to_string));
    // What is only built, and started by nobody, is a web site.
    let main = main.or_else(|| script("build").is_none().then(|| "index.js".to_string()))?;
    let has = |name: &str| package.get(name).and_then(Value::as_object).is_some_and(|list| !list.is_empty());
    let modules = has("dependencies") || directory.holds("node_modules");
    let folder = |path: &str| match path.split_once('/') {
        Some((folder, _)) => format!("{folder}/**"),
        None => "*.js".to_string(),
    };
    let mut sources = vec!["package.json".to_string(), folder(&main)];
    for name in ["lib", "src", "dist", "public", "views"] {
        let glob = format!("{name}/**");
        if directory.holds(name) && !sources.contains(&glob) {
            sources.push(glob);
        }
    }
    let sources: Vec<String> = sources.iter().map(|source| quoted(source)).collect();
    let mut make = Vec::new();
    if modules {
        make.push(if directory.has("package-lock.json") { "npm ci --omit=dev" } else { "npm install --omit=dev" });
    }
    let name = package.get("name").and_then(text).unwrap_or_else(|| directory.name.clone());
    Some(Project {
        make: make.join(" && "),
        main: format!("/app/{}", main.trim_start_matches("./")),
        sources: sources.join(", "),
        modules,
        ..titled(&name)
    })
}

fn python(directory: &Directory) -> Option<Project> {
    let text = directory.text("pyproject.toml");
    if text.is_none() && directory.text("requirements.txt").is_none() {
        return None;
    }
    let manifest: Table = text.unwrap_or_default().parse().unwrap_or_default();
    let of = |key: &str| manifest.get("project")?.get(key);
    let name = of("name").and_then(toml::Value::as_str).unwrap_or(&directory.name);
    let package = name.to_ascii_lowercase().replace(['-', '.'], "_");
    let needs = of("dependencies").and_then(toml::Value::as_array).is_some_and(|list| !list.is_empty());
    let listed = directory.text("requirements.txt").is_some_and(|text| !text.trim().is_empty());
    let make = match (listed, needs) {
        (true, _) => "python3 -m pip install --target vendor -r requirements.txt",
        (false, true) => "python3 -m pip install --target vendor .",
        (false, false) => "",
    };
    let top = ["main.py", "app.py", "server.py", "__main__.py"].into_iter().find(|file| directory.has(file));
    let (sources, to, main) = if directory.holds(&format!("src/{package}")) {
        (format!("src/{package}/"), format!("/app/{package}/"), format!("\"-m\", {}", quoted(&package)))
    } else if directory.holds(&package) || top.is_none() {
        (format!("{package}/"), format!("/app/{package}/"), format!("\"-m\", {}", quoted(&package)))
    } else {
        let top = top.unwrap_or_default();
        (top.to_string(), format!("/app/{top}"), quoted(&format!("/app/{top}")))
    };
    let vendor = !make.is_empty() || directory.holds("vendor");
    Some(Project { make: make.to_string(), main, sources, to, vendor, ..titled(name) })
}

fn java(directory: &Directory) -> Option<Project> {
    let gradle = ["build.gradle", "build.gradle.kts"].iter().any(|name| directory.has(name));
    let maven = directory.has("pom.xml");
    let built = ["target", "build/libs", ""].iter().find_map(|below| directory.ending(below, ".jar"));
    if !maven && !gradle && built.is_none() {
        return None;
    }
    // The name of a Maven project is the first one outside of `<parent>`.
    let artifact = directory.text("pom.xml").and_then(|text| {
        let own = text.split_once("</parent>").map_or(text, |(_, own)| own);
        own.split_once("<artifactId>")?.1.split_once("</artifactId>").map(|(name, _)| name.trim())
    });
    let name = plain(artifact.unwrap_or(&directory.name));
    let (make, made) = match (maven, gradle) {
        (true, _) => ("mvn --batch-mode package", format!("target/{name}.jar")),
        (_, true) => ("./gradlew build", format!("build/libs/{name}.jar")),
        _ => ("", String::new()),
    };
    let build = built.map_or(made, str::to_string);
    Some(Project { make: make.to_string(), build, ..titled(&name) })
}

fn c(directory: &Directory) -> Option<Project> {
    let make = if directory.has("CMakeLists.txt") {
        "cmake -B build && cmake --build build"
    } else if directory.has("meson.build") {
        "meson setup build && meson compile -C build"
    } else if directory.has("Makefile") {
        "make"
    } else {
        ""
    };
    let source = [".c", ".cc", ".cpp"].iter().find_map(|end| directory.ending("", end));
    if make.is_empty() && source.is_none() {
        return None;
    }
    let name = plain(&directory.name);
    let build = if make.contains("build") { format!("build/{name}") } else { name.clone() };
    let alone = source.map(|source| {
        let compiler = if source.ends_with(".c") { "cc" } else { "c++" };
        format!("{compiler} -O2 -o {name} {source}")
    });
    let make = if make.is_empty() { alone.unwrap_or_default() } else { make.to_string() };
    Some(Project { make, build, ..titled(&name) })
}

fn website(directory: &Directory) -> Option<Project> {
    let package = directory.text("package.json").is_some_and(|text| text.contains("\"build\""));
    let folders = ["dist", "public", "build", "_site", "site", "out"];
    let folder = folders.into_iter().find(|name| directory.has(&format!("{name}/index.html")));
    let (build, excluded) = match folder {
        Some(folder) => (format!("{folder}/"), ""),
        None if package => ("dist/".to_string(), ""),
        // The files of the site stand beside the manifest, and the manifest is none of them.
        None if directory.has("index.html") => (".".to_string(), "\"image.toml\", \"image.lock\", \"README*\", \".*\""),
        None => return None,
    };
    let make = if package { "npm ci && npm run build" } else { "" };
    Some(Project { make: make.to_string(), build, excluded: excluded.to_string(), ..titled(&directory.name) })
}
