//! Stage 6: which files of a directory are copied. Globs in, a yes or no for each path out. Pure.
//!
//! `include` and `exclude` follow gitignore; `.imageignore` follows `.dockerignore` (Docker's build context documentation): patterns
//! are anchored at the manifest's directory, the last one that matches a path or a directory above it decides, `!` takes back.

use globset::{Glob, GlobBuilder, GlobMatcher};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::{Error, Result, printable};

/// The globs of one copy.
pub struct Globs {
    /// Each on its own, so that one that matches nothing can be reported.
    include: Vec<Gitignore>,
    exclude: Gitignore,
}

impl Globs {
    /// Compiles the globs; the error is that of the first wrong one, with its place in `include` followed by `exclude`.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Globs, (usize, Error)> {
        let compile = |globs: &[String], first: usize| {
            let mut builder = GitignoreBuilder::new("");
            for (at, glob) in globs.iter().enumerate() {
                let wrong =
                    |why: String| (first + at, Error::usage(format!("`{}` is not a glob: {why}", printable(glob))));
                if glob.trim().is_empty() || glob.starts_with('!') {
                    let why = if glob.starts_with('!') { "`!` has no meaning here" } else { "it is empty" };
                    return Err(wrong(why.into()));
                }
                let literal = glob.strip_prefix('#').map_or(glob.to_string(), |rest| format!("\\#{rest}"));
                builder.add_line(None, &literal).map_err(|cause| {
                    let why = match cause {
                        ignore::Error::Glob { err, .. } => err,
                        other => other.to_string(),
                    };
                    wrong(printable(&why))
                })?;
            }
            builder.build().map_err(|cause| (first, Error::usage(printable(&cause.to_string()))))
        };
        let include: Result<Vec<_>, _> =
            include.iter().enumerate().map(|(at, glob)| compile(std::slice::from_ref(glob), at)).collect();
        let include = include?;
        let first = include.len();
        Ok(Globs { include, exclude: compile(exclude, first)? })
    }

    /// Whether an `exclude` leaves the path out; for a directory that is its whole tree.
    pub fn excludes(&self, path: &str, directory: bool) -> bool {
        self.exclude.matched(path, directory).is_ignore()
    }

    /// Whether there is any `include`.
    pub fn chooses(&self) -> bool {
        !self.include.is_empty()
    }

    /// The `include`s that match the path or a directory above it.
    pub fn includes<'a>(&'a self, path: &'a str, directory: bool) -> impl Iterator<Item = usize> + 'a {
        let matches = move |glob: &Gitignore| glob.matched_path_or_any_parents(path, directory).is_ignore();
        self.include.iter().enumerate().filter(move |(_, glob)| matches(glob)).map(|(at, _)| at)
    }
}

/// The patterns of an `.imageignore`.
#[derive(Default)]
pub struct ImageIgnore {
    rules: Vec<(GlobMatcher, bool)>,
    takes_back: bool,
}

impl ImageIgnore {
    /// Reads the file's text; the error names the line.
    pub fn parse(text: &str) -> Result<ImageIgnore> {
        let mut ignore = ImageIgnore::default();
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (pattern, keeps) = line.strip_prefix('!').map_or((line, false), |rest| (rest.trim(), true));
            let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
            if parts.is_empty() {
                continue;
            }
            let glob = glob(&parts.join("/")).map_err(|cause| {
                Error::usage(format!(".imageignore:{}: `{}` is not a pattern", at + 1, printable(pattern)))
                    .because(cause)
            })?;
            ignore.rules.push((glob.compile_matcher(), keeps));
            ignore.takes_back |= keeps;
        }
        Ok(ignore)
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether the path, relative to the manifest's directory, is left out.
    pub fn excludes(&self, path: &str) -> bool {
        let mut excluded = false;
        for (glob, keeps) in &self.rules {
            if *keeps == excluded && above(path).any(|path| glob.is_match(path)) {
                excluded = !keeps;
            }
        }
        excluded
    }

    /// Whether something below a directory that is left out may still be taken back.
    pub fn takes_back(&self) -> bool {
        self.takes_back
    }
}

fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build()
}

/// The path and all directories above it, longest first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(above, _)| above))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imageignore_is_what_dockerignore_is() {
        let check = |text: &str, path: &str| ImageIgnore::parse(text).unwrap().excludes(path);
        assert!(check("node_modules", "node_modules/a/b"));
        assert!(!check("node_modules", "web/node_modules/a"), "patterns are anchored");
        assert!(check("**/node_modules", "web/node_modules/a"));
        assert!(check("**/node_modules", "node_modules"));
        assert!(check("*.md", "README.md") && !check("*.md", "docs/a.md"));
        assert!(check("docs/**", "docs/a/b.md"));
        assert!(!check("*.md\n!README.md", "README.md"));
        assert!(check("*.md\n!README*.md\nREADME-secret.md", "README-secret.md"));
        assert!(!check("docs\n!docs/keep.md", "docs/keep.md"));
        assert!(check("/a/", "a/x"));
        assert!(check("# comment\n\n  temp?  \n", "tempa"));
        assert!(ImageIgnore::parse("[").is_err());
    }

    fn new(include: &[&str], exclude: &[&str]) -> Result<Globs, (usize, Error)> {
        let own = |globs: &[&str]| globs.iter().map(|glob| glob.to_string()).collect::<Vec<_>>();
        Globs::new(&own(include), &own(exclude))
    }

    #[test]
    fn globs_are_what_gitignore_is() {
        let globs = new(&["*.js", "/lib"], &["**/test", "*.map"]).ok().unwrap();
        assert_eq!(globs.includes("a/b.js", false).collect::<Vec<_>>(), [0]);
        assert_eq!(globs.includes("lib/x/y", false).collect::<Vec<_>>(), [1]);
        assert_eq!(globs.includes("a/lib/y", false).count(), 0);
        assert!(globs.excludes("a/test", true) && globs.excludes("a/b.map", false) && !globs.excludes("a/b", false));
        assert_eq!(new(&["a", "!b"], &[]).err().unwrap().0, 1);
        assert_eq!(new(&["a"], &[""]).err().unwrap().0, 1);
    }
}
