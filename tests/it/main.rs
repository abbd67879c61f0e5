//! Tests from outside: the program as its users meet it, run in a directory of its own, and the library against peers that run
//! in this process.

mod bad;
mod bases;
mod cli;
mod copies;
mod corpus;
mod daily;
mod docs;
mod examples;
mod git;
mod golden;
mod layers;
mod outputs;
mod registry;
mod regressions;
mod repro;
mod store;
mod support;
