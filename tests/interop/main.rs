//! What other people's programs make of our images, and what machines do to us: skopeo, umoci, docker, docker-registry, crane,
//! oras, four tars, nine file systems, strace, qemu, cosign. Needs root and `bash .ci/peers`; run by `bash .ci/run`.
//! A peer that is missing fails the test: nothing is skipped.

mod cosign;
mod debian;
mod disk;
mod docker;
mod examples;
#[allow(dead_code, reason = "shared with tests/it, which uses other parts")]
#[path = "../it/faults.rs"]
mod faults;
#[allow(dead_code, reason = "shared with tests/it, which uses other parts")]
#[path = "../it/http.rs"]
mod http;
mod kill;
mod layout;
mod machines;
#[allow(dead_code, reason = "shared with tests/it, which uses other parts")]
#[path = "../it/sigstore/mod.rs"]
mod mock;
mod peers;
mod places;
mod project;
mod registry;
mod sigstore;
mod size;
mod world;
