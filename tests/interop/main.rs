//! What other people's programs make of our images, and what machines do to us: skopeo, umoci, docker, docker-registry, nginx, crane,
//! oras, cosign, SoftHSM, Chromium, four tars, nine file systems, strace, qemu, two judges of SBOMs, apt and dpkg, the compilers of Go and Rust. Needs root and
//! `bash .ci/peers`; run by `bash .ci/run`.
//! A peer that is missing fails the test: nothing is skipped.

mod alone;
mod bases;
mod browser;
mod buildah;
mod carried;
mod clients;
mod completions;
mod cosign;
mod debian;
mod disk;
mod docker;
mod doctor;
mod examples;
#[allow(dead_code, reason = "shared with tests/it, which uses other parts")]
#[path = "../it/faults.rs"]
mod faults;
mod hard_links;
#[allow(dead_code, reason = "shared with tests/it, which uses other parts")]
#[path = "../it/http.rs"]
mod http;
mod imports;
mod init;
mod inside;
mod judges;
mod keyless;
mod keys;
mod kill;
mod layout;
mod machines;
#[allow(dead_code, reason = "shared with tests/it, which uses other parts")]
#[path = "../it/sigstore/mod.rs"]
mod mock;
mod nginx;
mod offline;
mod own;
mod packages;
mod peers;
mod places;
mod policies;
mod programs;
mod project;
mod registry;
mod release;
mod sarif;
mod sbom;
mod scan;
mod servers;
mod shared;
mod signing;
mod sigstore;
mod size;
mod upkeep;
mod versions;
mod wire;
mod world;
mod writers;
