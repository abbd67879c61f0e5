//! Tests from outside: the program as its users meet it, run in a directory of its own, and the library against peers that run
//! in this process.

mod bad;
mod cli;
mod daily;
mod docs;
mod examples;
mod layers;
mod registry;
mod repro;
mod support;
