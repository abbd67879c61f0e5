//! Between stages 0 and 1: what a program would load, and what it would miss. A program and a search in, its loader and its libraries out, in the order
//! in which its loader takes them. Pure.

use std::collections::BTreeMap;

use super::Nature;
use super::elf::Program;
use super::search::{Asking, Family, Search, Way};

/// Most libraries of one program.
const MOST_LIBRARIES: usize = 4096;

/// A program that is to be started.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// Its path in the image, absolute.
    pub path: &'a str,
    /// What it says.
    pub program: &'a Program,
}

/// A file that was found for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Where it was found, absolute; links may lead there.
    pub path: String,
    /// The real path of the file, without a leading `/`.
    pub real: String,
    /// What leads there.
    pub way: Way,
}

/// Something that a program would miss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Its loader is not there.
    Loader(String),
    /// Its loader is there, but is no loader for it: what it is.
    OddLoader(String, String),
    /// A library is not there.
    Library {
        /// Its name.
        name: String,
        /// Who needs it: the program, or one of its libraries.
        by: String,
        /// A file of that name that cannot be loaded, and what it is.
        odd: Option<(String, String)>,
        /// A file of that name that no loader finds, because `ldconfig` did not list it.
        uncached: Option<String>,
    },
    /// A library is there, but is too old, or another one.
    Version {
        /// Where it is.
        library: String,
        /// Who needs it.
        by: String,
        /// The highest version that it lacks.
        wants: String,
        /// The highest version of that kind that it has.
        has: Option<String>,
    },
}

/// The loader and all libraries of a program, and what is missing of them.
pub fn load(search: &Search<'_>, start: Load<'_>) -> (Vec<Loaded>, Vec<Missing>) {
    let mut run = Run {
        search,
        start,
        family: Family::Unknown,
        objects: vec![Object { path: start.path.to_string(), real: None, by: None }],
        names: BTreeMap::new(),
        loaded: Vec::new(),
        missing: Vec::new(),
    };
    run.loader();
    let mut at = 0;
    while at < run.objects.len() {
        run.libraries(at);
        at += 1;
    }
    if matches!(run.family, Family::Glibc(_)) {
        (0..run.objects.len()).for_each(|at| run.versions(at));
    }
    (run.loaded, run.missing)
}

/// The program or a library of it.
struct Object {
    /// Where it was found.
    path: String,
    /// Its real path; `None` for the program itself.
    real: Option<String>,
    /// Who asked for it first.
    by: Option<usize>,
}

struct Run<'a> {
    search: &'a Search<'a>,
    start: Load<'a>,
    family: Family,
    objects: Vec<Object>,
    /// The objects by all names that they were asked for or call themselves; `None` for one that could not be found.
    names: BTreeMap<String, Option<usize>>,
    loaded: Vec<Loaded>,
    missing: Vec<Missing>,
}

impl<'a> Run<'a> {
    fn program(&self, at: usize) -> Option<&'a Program> {
        let Some(real) = &self.objects.get(at)?.real else { return Some(self.start.program) };
        match self.search.view.nature(real) {
            Some(Nature::Program(program)) => Some(program),
            _ => None,
        }
    }

    fn add(&mut self, path: &str, real: &str, by: usize, way: Way) -> usize {
        let found = Loaded { path: path.to_string(), real: real.to_string(), way };
        self.loaded.push(found);
        self.objects.push(Object { path: path.to_string(), real: Some(real.to_string()), by: Some(by) });
        self.objects.len() - 1
    }

    /// Finds the loader, and by it the rules.
    fn loader(&mut self) {
        let start = self.start;
        let Some(path) = &start.program.loader else {
            return self.family = self.guessed();
        };
        let Some(real) = self.search.view.file(path) else {
            return self.missing.push(Missing::Loader(path.clone()));
        };
        let odd = match self.search.view.nature(&real) {
            Some(Nature::Program(loader)) if !start.program.machine.loads(&loader.machine) => {
                Some(format!("for {}", loader.machine.words()))
            }
            Some(Nature::Program(_) | Nature::Unread) => None,
            Some(Nature::Broken(why)) => Some(format!("broken: {why}")),
            Some(_) | None => Some("no program".to_string()),
        };
        if let Some(odd) = odd {
            return self.missing.push(Missing::OddLoader(path.clone(), odd));
        }
        self.family = self.search.family(path, &real, &start.program.machine);
        let at = self.add(path, &real, 0, Way::Direct);
        let soname = self.program(at).and_then(|loader| loader.soname.clone());
        let name = path.rsplit('/').next().unwrap_or_default().to_string();
        for name in soname.into_iter().chain([name]) {
            self.names.entry(name).or_insert(Some(at));
        }
    }

    /// The rules for a library that is looked at by itself: those of the C library that it names.
    fn guessed(&self) -> Family {
        let program = self.start.program;
        let directories = || super::search::glibc_directories("", &program.machine);
        let named = |start: &str| program.needed.iter().find(|name| name.starts_with(start));
        match (named("libc.musl-"), named("libc.so.6").or_else(|| named("ld-linux"))) {
            (Some(name), _) => {
                let arch = name.trim_start_matches("libc.musl-").split('.').next().unwrap_or_default();
                Family::Musl(arch.to_string())
            }
            (None, Some(_)) => Family::Glibc(directories()),
            (None, None) => Family::Unknown,
        }
    }

    /// Finds what one object needs. Where nobody knows the rules, nothing is said to be missing.
    fn libraries(&mut self, at: usize) {
        if self.family == Family::Unknown || self.objects.len() > MOST_LIBRARIES {
            return;
        }
        let Some(program) = self.program(at) else { return };
        for name in &program.needed {
            if self.names.contains_key(name) {
                continue;
            }
            let found = self.find(name, at);
            self.names.insert(name.clone(), found);
            if let Some(soname) = found.and_then(|found| self.program(found)?.soname.clone()) {
                self.names.entry(soname).or_insert(found);
            }
        }
    }

    fn find(&mut self, name: &str, at: usize) -> Option<usize> {
        let mut chain = vec![at];
        while let Some(by) = chain.last().and_then(|last| self.objects.get(*last)?.by) {
            chain.push(by);
        }
        let asking = chain
            .iter()
            .filter_map(|at| Some(Asking { path: &self.objects.get(*at)?.path, program: self.program(*at)? }));
        let paths = self.search.paths(&self.family, name, &asking.collect::<Vec<_>>())?;
        let mut odd = None;
        for one in paths {
            let Some(real) = self.search.view.file(&one.path) else { continue };
            let (what, goes_on) = match self.search.view.nature(&real) {
                Some(Nature::Program(library)) if self.start.program.machine.loads(&library.machine) => (None, false),
                Some(Nature::Unread) => (None, false),
                // glibc goes on to the next directory, musl does not.
                Some(Nature::Program(library)) => {
                    (Some(format!("for {}", library.machine.words())), matches!(self.family, Family::Glibc(_)))
                }
                Some(Nature::Broken(why)) => (Some(format!("broken: {why}")), false),
                Some(_) | None => (Some("no library".to_string()), false),
            };
            let Some(what) = what else {
                return Some(match self.objects.iter().position(|known| known.real.as_ref() == Some(&real)) {
                    Some(known) => known,
                    None => self.add(&one.path, &real, at, one.way),
                });
            };
            odd = odd.or(Some((one.path, what)));
            if !goes_on {
                break;
            }
        }
        let uncached = self.search.uncached(&self.family, name, self.start.program.machine.big);
        let by = self.objects.get(at).map(|object| object.path.clone()).unwrap_or_default();
        self.missing.push(Missing::Library { name: name.to_string(), by, odd, uncached });
        None
    }

    /// Compares the versions that an object wants with those that its libraries define.
    fn versions(&mut self, at: usize) {
        let Some(program) = self.program(at) else { return };
        for wanted in &program.wants {
            let Some(Some(found)) = self.names.get(&wanted.library) else { continue };
            let Some(library) = self.program(*found) else { continue };
            // A library without versions is taken as it is, with no more than a warning.
            if library.defines.is_empty() {
                continue;
            }
            let lacks = wanted.versions.iter().filter(|version| !library.defines.contains(version));
            let Some(wants) = lacks.max_by_key(|version| order(version)) else { continue };
            let kind = order(wants).0;
            let has = library.defines.iter().filter(|version| order(version).0 == kind);
            let has = has.max_by_key(|version| order(version)).cloned();
            let path = |at: usize| self.objects.get(at).map(|object| object.path.clone()).unwrap_or_default();
            let (library, by) = (path(*found), path(at));
            self.missing.push(Missing::Version { library, by, wants: wants.clone(), has });
        }
    }
}

/// A version as its kind and its numbers: `GLIBC_2.34` is `GLIBC` and 2, 34; one without numbers is all kind.
fn order(version: &str) -> (&str, Vec<u64>) {
    let split = version.rsplit_once('_').and_then(|(kind, numbers)| {
        let numbers = numbers.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
        Some((kind, numbers))
    });
    split.unwrap_or((version, Vec::new()))
}
