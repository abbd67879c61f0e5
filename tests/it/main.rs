//! Tests from outside: the library as its users see it, against real peers that run in this process.

mod registry;
