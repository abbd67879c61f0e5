//! Between stages 0 and 1: how the files of an image are seen by who looks for libraries: the contract between this room and those that know the files.
//! Pure.

use super::Nature;

/// The files of an image, all layers merged.
pub trait View {
    /// The real path of the file that a path leads to, all links followed inside of the image; `None` where it leads to no file.
    fn file(&self, path: &str) -> Option<String>;

    /// The nature of the file at a real path; `None` for data.
    fn nature(&self, real: &str) -> Option<&Nature>;

    /// The content of a text that a loader reads ([`super::is_text`]), at a path; links are followed.
    fn text(&self, path: &str) -> Option<Vec<u8>>;

    /// The names in a directory, sorted; none where there is no directory.
    fn names(&self, path: &str) -> Vec<String>;
}
