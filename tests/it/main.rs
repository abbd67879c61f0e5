//! The command line as its users meet it: the real program, run in a directory of its own.

mod bad;
mod cli;
mod layers;
mod repro;
mod support;
