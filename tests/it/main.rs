//! The command line as its users meet it: the real program, run in a directory of its own.

mod bad;
mod bases;
mod cli;
mod layers;
mod outputs;
mod repro;
mod store;
mod support;
