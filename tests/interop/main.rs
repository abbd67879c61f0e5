//! What other people's programs make of our images, and what machines do to us: skopeo, umoci, docker, docker-registry, nginx, crane,
//! oras, cosign, four tars, nine file systems, strace, qemu, two judges of SBOMs, the compilers of Go and Rust. Needs root and
//! `bash .ci/peers`; run by `bash .ci/run`.
//! A peer that is missing fails the test: nothing is skipped.

mod carried;
mod clients;
mod cosign;
mod debian;
mod disk;
mod docker;
mod doctor;
mod examples;
#[allow(dead_code, reason = "shared with tests/it, which uses other parts")]
#[path = "../it/faults.rs"]
mod faults;
#[allow(dead_code, reason = "shared with tests/it, which uses other parts")]
#[path = "../it/http.rs"]
mod http;
mod imports;
mod keyless;
mod kill;
mod layout;
mod machines;
#[allow(dead_code, reason = "shared with tests/it, which uses other parts")]
#[path = "../it/sigstore/mod.rs"]
mod mock;
mod nginx;
mod peers;
mod places;
mod project;
mod registry;
mod release;
mod sbom;
mod servers;
mod sigstore;
mod size;
mod wire;
mod world;
