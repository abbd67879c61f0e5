//! Tests from outside: the program as its users meet it, run in a directory of its own, and the library against peers that run
//! in this process.

mod attest;
mod bad;
mod bases;
mod bots;
mod caching;
mod ci;
mod cli;
mod conformance;
mod copies;
mod corpus;
mod daily;
mod dockerfiles;
mod docs;
mod examples;
mod faults;
mod fmt;
mod git;
mod golden;
mod hard_links;
mod http;
mod imports;
mod init;
mod inside;
mod layers;
mod mock;
mod outputs;
mod packages;
mod programs;
mod registry;
mod regressions;
mod release;
mod repro;
mod requests;
mod round;
mod rules;
mod scan;
mod shared;
mod sign;
#[allow(dead_code, reason = "shared with tests/interop, which uses other parts")]
mod sigstore;
mod store;
mod support;
mod tags;
mod verify;
mod yamls;
