//! Stage 7: what is inside of an image: its files as a container sees them, what is shipped and not seen, how two images differ, how the
//! layers came to be. What each layer holds in, plain values out. Pure.

mod diff;
mod dive;
mod history;
mod mtree;
mod name;
mod row;
mod settings;
#[cfg(test)]
mod tests;
mod tree;
mod waste;

pub use diff::{Change, Difference, Field, attribute, diff, time};
pub use dive::{Score, score};
pub use history::{Maker, Step, history};
pub use mtree::mtree;
pub use name::{raw, shown};
pub use row::{Row, What, of_layer, of_tree};
pub use settings::{Layers, Setting, layers, settings};
pub use tree::{Inode, Node, Tree, merge};
pub use waste::{Twins, Waste, Why, twins, waste};
