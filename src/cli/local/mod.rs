//! Stage 10: the local round: `images`, `rm`, `prune`, `run` and `watch`.

mod images;
mod prune;
mod remove;
mod run;
mod watch;

pub use images::images;
pub use prune::prune;
pub use remove::remove;
pub use run::run;
pub use watch::watch;
