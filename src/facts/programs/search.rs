//! Between stages 0 and 1: where a loader looks for a library. A view of the files and the environment in, paths to try out. Pure.
//!
//! Sources: `ld.so(8)`; glibc, `elf/dl-load.c`; musl, `ldso/dynlink.c`. What only some processors can use (`glibc-hwcaps`) is not
//! looked at: each such library has a twin for all.

use std::collections::BTreeMap;

use super::Nature;
use super::conf;
use super::elf::Program;
use super::machine::Machine;
use super::view::View;

/// Where musl looks without a `.path`.
const MUSL_DIRECTORIES: [&str; 3] = ["/lib", "/usr/local/lib", "/usr/lib"];
/// The libraries that musl's loader is itself.
const MUSL_OWN: [&str; 7] = ["c", "pthread", "rt", "m", "dl", "util", "xnet"];
/// How the names of glibc's loaders begin.
const GLIBC_NAMES: [&str; 5] = ["ld-linux", "ld64.so", "ld.so", "ld-2.", "ld-lsb"];

/// Whose rules a loader follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Those of glibc; the directories that it looks in by default.
    Glibc(Vec<String>),
    /// Those of musl; its name for the architecture.
    Musl(String),
    /// Nobody knows.
    Unknown,
}

/// An object that needs libraries, and the one that asked for it.
pub(super) struct Asking<'a> {
    /// Where it was found: `/app/server`.
    pub path: &'a str,
    /// What it says.
    pub program: &'a Program,
}

/// Where a name was looked for, and what may stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Try {
    /// The path.
    pub path: String,
    /// What leads there.
    pub way: Way,
}

/// What leads to a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The program, the environment or the loader itself.
    Direct,
    /// Only the cache that `ldconfig` made.
    Listed,
    /// Only `ld.so.conf`, which no loader reads.
    Configured,
}

/// All that decides where libraries are looked for in one image.
pub struct Search<'a> {
    pub(super) view: &'a dyn View,
    /// `LD_LIBRARY_PATH`.
    environment: Vec<String>,
    /// The working directory.
    directory: String,
    configured: Vec<String>,
    caches: [Option<BTreeMap<String, Vec<String>>>; 2],
}

impl<'a> Search<'a> {
    /// The search in the image of this view, with its variables (`NAME=value`) and its working directory.
    pub fn new(view: &'a dyn View, variables: &[String], directory: &str) -> Search<'a> {
        let path = variables.iter().rev().find_map(|pair| pair.strip_prefix("LD_LIBRARY_PATH="));
        let directory = if directory.is_empty() { "/" } else { directory };
        Search {
            view,
            environment: path.map(|path| split(path, &[':', ';'])).unwrap_or_default(),
            directory: directory.to_string(),
            configured: conf::directories(view),
            caches: [false, true].map(|big| conf::cache(view, big)),
        }
    }

    /// Whose rules the loader at `path` follows; `real` is the file that it is.
    pub(super) fn family(&self, path: &str, real: &str, machine: &Machine) -> Family {
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_string();
        let soname = match self.view.nature(real) {
            // A loader that needs a loader is a bridge to another one.
            Some(Nature::Program(program)) if program.loader.is_some() => return Family::Unknown,
            Some(Nature::Program(program)) => program.soname.clone(),
            _ => None,
        };
        let musl = |name: &str| name.strip_prefix("ld-musl-").map(|rest| rest.split('.').next().unwrap_or(rest).into());
        let named = musl(&name(path)).or_else(|| musl(&name(real)));
        if let Some(arch) = named {
            return Family::Musl(arch);
        }
        let glibc = |name: &str| GLIBC_NAMES.iter().any(|start| name.starts_with(start));
        match soname {
            Some(soname) if glibc(&soname) => Family::Glibc(glibc_directories(real, machine)),
            None if glibc(&name(real)) || glibc(&name(path)) => Family::Glibc(glibc_directories(real, machine)),
            _ => Family::Unknown,
        }
    }

    /// The paths where the libraries of that name would be, in the order in which they are tried. `asking` begins with the object that
    /// needs it, then who asked for that, up to the program. `None`: the loader is this library itself.
    pub(super) fn paths(&self, family: &Family, name: &str, asking: &[Asking<'_>]) -> Option<Vec<Try>> {
        if name.contains('/') {
            let path = absolute(&self.directory, name);
            return Some(vec![Try { path, way: Way::Direct }]);
        }
        match family {
            Family::Musl(arch) => self.musl(arch, name, asking),
            Family::Glibc(defaults) => Some(self.glibc(defaults, name, asking)),
            Family::Unknown => Some(self.glibc(&[], name, asking)),
        }
    }

    fn glibc(&self, defaults: &[String], name: &str, asking: &[Asking<'_>]) -> Vec<Try> {
        let mut paths = Vec::new();
        let mut add = |directories: &[String], way: Way| {
            paths.extend(directories.iter().map(|at| Try { path: format!("{at}/{name}"), way }));
        };
        let own = asking.first();
        if own.is_some_and(|own| own.program.runpath.is_none()) {
            for object in asking.iter().filter(|object| object.program.runpath.is_none()) {
                add(&self.expanded(object.program.rpath.as_deref(), object, true), Way::Direct);
            }
        }
        add(&self.environment.iter().map(|at| absolute(&self.directory, at)).collect::<Vec<_>>(), Way::Direct);
        let Some(own) = own else { return paths };
        add(&self.expanded(own.program.runpath.as_deref(), own, true), Way::Direct);
        if own.program.without_defaults {
            return paths;
        }
        match &self.caches[usize::from(own.program.machine.big)] {
            Some(cache) => {
                let way = |path: &str| match path.rsplit_once('/') {
                    Some((at, _)) if defaults.iter().any(|default| default == at) => Way::Direct,
                    _ => Way::Listed,
                };
                let listed = cache.get(name).into_iter().flatten();
                paths.extend(listed.map(|path| Try { path: path.clone(), way: way(path) }));
            }
            None => add(&self.configured, Way::Configured),
        }
        let mut add = |directories: &[String], way: Way| {
            paths.extend(directories.iter().map(|at| Try { path: format!("{at}/{name}"), way }));
        };
        add(defaults, Way::Direct);
        paths
    }

    /// A library that stands where `ld.so.conf` leads, but is not listed in the cache, which is all that a loader reads.
    pub(super) fn uncached(&self, family: &Family, name: &str, big: bool) -> Option<String> {
        if !matches!(family, Family::Glibc(_)) || name.contains('/') || self.caches[usize::from(big)].is_none() {
            return None;
        }
        let paths = self.configured.iter().map(|at| format!("{at}/{name}"));
        paths.into_iter().find(|path| self.view.file(path).is_some())
    }

    fn musl(&self, arch: &str, name: &str, asking: &[Asking<'_>]) -> Option<Vec<Try>> {
        let own = name.strip_prefix("lib").and_then(|rest| rest.split_once('.')).map(|(name, _)| name);
        if own.is_some_and(|own| MUSL_OWN.contains(&own)) || name.starts_with("ld-musl-") {
            return None;
        }
        let mut directories: Vec<String> = self.environment.iter().map(|at| absolute(&self.directory, at)).collect();
        for object in asking {
            let path = object.program.runpath.as_deref().or(object.program.rpath.as_deref());
            directories.extend(self.expanded(path, object, false));
        }
        let defaults = || MUSL_DIRECTORIES.map(str::to_string).to_vec();
        directories.extend(conf::musl_directories(self.view, arch).unwrap_or_else(defaults));
        let paths = directories.iter().map(|at| Try { path: format!("{at}/{name}"), way: Way::Direct });
        Some(paths.collect())
    }

    /// The directories of an rpath or runpath; a word that stands for several directories gives them all.
    fn expanded(&self, path: Option<&str>, object: &Asking<'_>, glibc: bool) -> Vec<String> {
        let origins = self.origins(object.path);
        let machine = &object.program.machine;
        let mut all = Vec::new();
        for directory in path.map(|path| split(path, &[':'])).unwrap_or_default() {
            let mut forms = vec![directory];
            replace(&mut forms, "ORIGIN", &origins);
            if glibc {
                let libraries = machine.directories().iter().map(|name| format!("lib/{name}"));
                let libraries: Vec<String> = libraries.chain(["lib64".to_string(), "lib".to_string()]).collect();
                replace(&mut forms, "LIB", &libraries);
                let platform = machine.directories().iter().filter_map(|name| name.split('-').next());
                replace(&mut forms, "PLATFORM", &platform.map(str::to_string).collect::<Vec<_>>());
            }
            all.extend(forms.iter().filter(|form| !form.contains('$')).map(|form| absolute(&self.directory, form)));
        }
        all
    }

    /// The directory that an object was found in, and the one that it really is in.
    fn origins(&self, path: &str) -> Vec<String> {
        let directory = |path: &str| path.rsplit_once('/').map_or("", |(directory, _)| directory).to_string();
        let mut origins = vec![directory(path)];
        let real = self.view.file(path).map(|real| directory(&format!("/{real}")));
        origins.extend(real.filter(|real| *real != origins[0]));
        origins
    }
}

/// The directories that glibc's loaders look in by default. Each distribution builds its own into its loader; these are those of the
/// directory that the loader is in, of Debian and its kin, and of the others.
pub(super) fn glibc_directories(loader: &str, machine: &Machine) -> Vec<String> {
    let home = loader.rsplit_once('/').map_or("", |(directory, _)| directory);
    let home = home.strip_prefix("usr/").unwrap_or(home);
    let multiarch = machine.directories().iter().map(|name| format!("lib/{name}"));
    let wide = machine.wide.then(|| "lib64".to_string());
    let all = [home.to_string()].into_iter().chain(multiarch).chain(wide).chain(["lib".to_string()]);
    let mut directories: Vec<String> = Vec::new();
    for directory in all.filter(|directory| !directory.is_empty()) {
        for whole in [format!("/{directory}"), format!("/usr/{directory}")] {
            if !directories.contains(&whole) {
                directories.push(whole);
            }
        }
    }
    directories
}

/// The parts of a list of directories; an empty one is the working directory.
fn split(list: &str, at: &[char]) -> Vec<String> {
    if list.is_empty() { Vec::new() } else { list.split(at).map(str::to_string).collect() }
}

/// A path as it is meant in a directory.
fn absolute(directory: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_string() } else { format!("{}/{path}", directory.trim_end_matches('/')) }
}

/// Puts each of the values in place of a `$NAME` or `${NAME}`.
fn replace(forms: &mut Vec<String>, name: &str, values: &[String]) {
    let (short, long) = (format!("${name}"), format!("${{{name}}}"));
    if forms.iter().all(|form| !form.contains(&short) && !form.contains(&long)) {
        return;
    }
    let one = |form: &String| {
        values.iter().map(|value| form.replace(&long, value).replace(&short, value)).collect::<Vec<_>>()
    };
    *forms = forms.iter().flat_map(one).collect();
}
