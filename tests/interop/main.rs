//! What other people's programs make of our images, and what machines do to us: skopeo, umoci, docker, docker-registry, crane,
//! oras, four tars, nine file systems, strace, qemu. Needs root and `bash .ci/peers`; run by `bash .ci/run`.
//! A peer that is missing fails the test: nothing is skipped.

mod debian;
mod disk;
mod docker;
mod examples;
mod kill;
mod layout;
mod machines;
mod peers;
mod places;
mod project;
mod registry;
mod size;
mod wire;
mod world;
