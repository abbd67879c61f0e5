//! Between stages 1 and 2: what stands beside the file that is imported, as far as somebody has looked. Pure; the looking is done by
//! the caller's two functions.

use globset::GlobBuilder;

/// Most paths of one directory that are looked at.
const MOST_PATHS: usize = 20_000;
/// Deepest directory that is looked into.
const DEEPEST: usize = 64;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file, or a link to one.
    File,
    /// A directory, or a link to one.
    Directory,
}

/// The directory that sources are relative to. Paths are relative to it, without `.` and `..`; empty is the directory itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What stands at a path; `None` where nothing does.
    pub kind: &'a dyn Fn(&str) -> Option<Kind>,
    /// The names in a directory, sorted.
    pub names: &'a dyn Fn(&str) -> Vec<String>,
}

impl Context<'_> {
    /// A context in which nothing is known.
    pub const NOWHERE: Context<'static> = Context { kind: &|_| None, names: &|_| Vec::new() };

    /// What stands at a path.
    pub fn kind(&self, path: &str) -> Option<Kind> {
        (self.kind)(path)
    }

    /// All paths below a directory, relative to it, with their kinds; cut off where there are too many.
    pub fn below(&self, directory: &str) -> Vec<(String, Kind)> {
        let mut found = Vec::new();
        self.walk(directory, "", 0, &mut found);
        found
    }

    fn walk(&self, directory: &str, below: &str, depth: usize, found: &mut Vec<(String, Kind)>) {
        for name in (self.names)(&join(directory, below)) {
            if found.len() >= MOST_PATHS || depth > DEEPEST {
                return;
            }
            let path = join(below, &name);
            let Some(kind) = self.kind(&join(directory, &path)) else { continue };
            found.push((path.clone(), kind));
            if kind == Kind::Directory {
                self.walk(directory, &path, depth + 1, found);
            }
        }
    }

    /// The paths that a glob of Docker matches: part by part, `*` never crosses a `/`.
    pub fn matching(&self, glob: &str) -> Vec<String> {
        let mut found = vec![String::new()];
        for part in glob.split('/') {
            let Ok(glob) = GlobBuilder::new(part).literal_separator(true).backslash_escape(true).build() else {
                return Vec::new();
            };
            let matcher = glob.compile_matcher();
            let inside = |directory: &String| {
                let names = (self.names)(directory).into_iter().filter(|name| matcher.is_match(name));
                names.map(|name| join(directory, &name)).collect::<Vec<_>>()
            };
            found = found.iter().flat_map(inside).take(MOST_PATHS).collect();
        }
        found
    }
}

/// A path below a directory; both may be empty.
pub fn join(directory: &str, below: &str) -> String {
    match (directory, below) {
        ("", path) | (path, "") => path.to_string(),
        (directory, below) => format!("{directory}/{below}"),
    }
}

/// Whether a text is a glob.
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// A path of the context without `.`, `..` and slashes at its ends.
pub fn relative(text: &str) -> String {
    clean(text).join("/")
}

/// An absolute path of the image: relative ones start at `from`. A slash at the end stays.
pub fn absolute(from: &str, text: &str) -> String {
    let whole = if text.starts_with('/') { text.to_string() } else { format!("{from}/{text}") };
    let parts = clean(&whole);
    let directory = text.ends_with('/') || text.ends_with("/.") || text == "." || text.ends_with("/..");
    let slash = if directory && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

fn clean(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_whole() {
        for (from, text, whole) in [
            ("/app", ".", "/app/"),
            ("/app", "./", "/app/"),
            ("/app", "x", "/app/x"),
            ("/app", "../y/", "/y/"),
            ("/", ".", "/"),
            ("/", "/a//b/./c", "/a/b/c"),
            ("/", "../../x", "/x"),
        ] {
            assert_eq!(absolute(from, text), whole, "{from} {text}");
        }
        assert_eq!(relative("./a/../b/"), "b");
        assert_eq!(relative("/"), "");
    }
}
