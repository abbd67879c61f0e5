//! Between stages 1 and 2: `COPY --from`. What another stage has from the context or an image, what it would have built, and files
//! out of images. Pure.

use super::File;
use super::copy::{Flags, Goal, Origin, into, trimmed};
use super::stage::Stage;
use crate::import::context::{Kind, join, relative};
use crate::import::draft::{Entry, Remarks, What};
use crate::import::value::escape;
use crate::oci::Reference;

/// Directories that hold programs.
const PROGRAMS: [&str; 6] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

impl Stage {
    /// Files of another stage: those that it has from the context or an image, else what it would have built.
    pub(super) fn take_from_stage(
        &mut self,
        file: &File<'_>,
        stage: &Stage,
        path: &str,
        goal: &Goal,
        flags: &Flags,
        mut remarks: Remarks,
    ) {
        let wanted = trimmed(path).to_string();
        let own: Vec<&Entry> = stage
            .draft
            .entries()
            .filter(|entry| !matches!(entry.what, What::User { .. } | What::Group { .. }))
            .collect();
        let under = into(&wanted);
        let below: Vec<Entry> =
            own.iter().filter(|entry| entry.path().starts_with(&under)).map(|entry| (*entry).clone()).collect();
        let exact = own.iter().rfind(|entry| entry.path() == wanted && entry.what != What::Dir);
        if let Some(entry) = exact.filter(|entry| !matches!(entry.what, What::Tree { .. })) {
            let taken = Entry { remarks, dest: goal.path.clone(), owner: None, replace: false, ..(*entry).clone() };
            self.know(&goal.plain);
            return self.put(taken, flags);
        }
        let covering = own.iter().rfind(|entry| covers(entry, &wanted));
        let part = covering.and_then(|entry| inside(entry, &wanted));
        if let Some(src) = part {
            let known = file.context.kind(&src);
            if stage.runs && known.is_none() {
                remarks.push(format!("The stage makes it: run its commands outside, so that `{src}` is there."));
            }
            let origin = Origin { plain: src.clone(), path: src.clone() };
            let directory = match known {
                Some(kind) => kind == Kind::Directory,
                None => {
                    path.ends_with('/')
                        || goal.plain.ends_with('/') && !src.rsplit('/').next().unwrap_or("").contains('.')
                }
            };
            return self.product(&origin, directory, goal, flags, remarks);
        }
        if !stage.runs && !below.is_empty() {
            for entry in below {
                let rest = entry.dest[wanted.len()..].trim_start_matches('/').to_string();
                let entry = Entry {
                    remarks: std::mem::take(&mut remarks),
                    owner: None,
                    dest: format!("{}{rest}", into(&goal.path)),
                    ..entry
                };
                self.put(entry, flags);
            }
            return;
        }
        if !stage.runs && stage.base != "scratch" {
            return self.taken(&stage.base.clone(), path, goal, flags, remarks);
        }
        self.built(file, stage, path, goal, flags, remarks);
    }

    /// What a stage made of its own, at a place that is guessed from its working directory.
    fn built(&mut self, file: &File<'_>, stage: &Stage, path: &str, goal: &Goal, flags: &Flags, mut remarks: Remarks) {
        let workdir = format!("{}/", trimmed(&stage.workdir));
        let src = path.strip_prefix(&workdir).filter(|_| workdir != "/").unwrap_or(path);
        let src = relative(src);
        let what = if src.is_empty() { "the results of this stage".to_string() } else { format!("`{src}`") };
        remarks.push(format!("The stage makes it: run its commands outside, and put {what} here."));
        let directory = path.ends_with('/') || src.is_empty() || file.context.kind(&src) == Some(Kind::Directory);
        let origin = Origin { plain: src.clone(), path: src };
        self.product(&origin, directory, goal, flags, remarks);
    }

    /// What a stage built: a program where it goes among programs.
    fn product(&mut self, origin: &Origin, directory: bool, goal: &Goal, flags: &Flags, remarks: Remarks) {
        let name = origin.path.rsplit('/').next().unwrap_or_default();
        let dest = if goal.path.ends_with('/') { format!("{}{name}", goal.path) } else { goal.path.clone() };
        let above = dest.rsplit_once('/').map_or("", |(above, _)| above);
        let starts = ["entrypoint", "cmd"]
            .iter()
            .any(|key| self.draft.image.value(key).is_some_and(|words| words.contains(&format!("\"{dest}\""))));
        if !directory
            && (PROGRAMS.contains(&above)
                || starts
                || goal.plain.rsplit('/').next() == Some("") && above.ends_with("/bin"))
        {
            self.know(&goal.plain);
            let entry = Entry { remarks, ..Entry::new(What::Binary { src: origin.path.clone() }, dest) };
            return self.put(entry, flags);
        }
        self.plain(origin, directory, goal, flags, remarks);
    }

    #[allow(clippy::too_many_arguments, reason = "one place calls it")]
    pub(super) fn take_from_image(
        &mut self,
        file: &File<'_>,
        at: usize,
        from: &str,
        path: &str,
        goal: &Goal,
        flags: &Flags,
        remarks: Remarks,
    ) {
        if from.parse::<Reference>().is_err() {
            let why = format!("`{from}` is neither a stage above nor the name of an image");
            return self.left_in_body(file, at, &why, "write a `[[copy]]` with the image's name and digest in `from`");
        }
        self.taken(from, path, goal, flags, remarks);
    }

    fn taken(&mut self, from: &str, path: &str, goal: &Goal, flags: &Flags, mut remarks: Remarks) {
        let reference = from.parse::<Reference>().ok();
        let mut from = from.to_string();
        if let Some(reference) = reference.filter(|reference| reference.digest.is_none()) {
            remarks.push("Not pinned yet: `stillframe update` writes the digest that the tag leads to.".into());
            if reference.tag.is_none() {
                from += ":latest";
            }
        }
        let what = What::Taken { from: escape(&from, false), src: trimmed(path).to_string() };
        self.know(&goal.plain);
        self.put(Entry { remarks, ..Entry::new(what, &goal.path) }, flags);
    }
}

/// Whether a copied directory may hold a path.
fn covers(entry: &Entry, path: &str) -> bool {
    let What::Tree { include, .. } = &entry.what else { return false };
    include.is_empty() && (path == trimmed(&entry.dest) || path.starts_with(&into(&entry.dest)))
}

/// The source of a path in a copied directory.
fn inside(entry: &Entry, path: &str) -> Option<String> {
    let What::Tree { src, .. } = &entry.what else { return None };
    let below = path.strip_prefix(trimmed(&entry.dest))?;
    Some(join(src, below.trim_matches('/')))
}
