//! Stage 0: how the files of an image are seen by who looks for libraries: the contract between this room and those that know the files.
//! Pure.

use super::Facts;

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// It is this.
    Facts(&'a Facts),
    /// It is data.
    Data,
    /// It was not looked at: too large, or in a form that is not read.
    Unread,
}

/// The files of an image, all layers merged.
pub trait View {
    /// The real path of the file that a path leads to, all links followed inside of the image; `None` where it leads to no file.
    fn file(&self, path: &str) -> Option<String>;

    /// What is known of the file at a real path.
    fn known(&self, real: &str) -> Known<'_>;

    /// The content of a text that a loader reads ([`super::is_text`]), at a path; links are followed.
    fn text(&self, path: &str) -> Option<Vec<u8>>;

    /// The names in a directory, sorted; none where there is no directory.
    fn names(&self, path: &str) -> Vec<String>;
}
