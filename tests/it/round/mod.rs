//! The local round: `images`, `rm`, `prune`, `run`, `watch`, and the upkeep of registries.

mod containers;
mod defaults;
mod local;
mod resolve;
mod upkeep;
mod workspace;
