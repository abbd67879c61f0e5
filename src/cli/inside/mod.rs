//! Stage 10: `stillframe inspect`, `files`, `diff` and `history`: what is inside of an image, wherever it is.

mod describe;
mod diff;
mod files;
mod history;
mod inspect;
mod look;
mod overview;
mod page;
mod text;
mod tree;

pub use diff::run as diff;
pub use files::run as files;
pub use history::run as history;
pub use inspect::run as inspect;
pub use text::{count, human};
