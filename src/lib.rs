//! stillframe assembles container images from a committed `image.toml`.
//!
//! Programs use what is at the root: [`build`](build()) makes what a [`Request`] asks for, [`ship`](ship()) sends it. These items follow semantic
//! versioning; the rooms below are open to readers, and change when they have to. The rest of this page is the map of the code.
//!
//! One flow, in stages; data goes one way, and each stage hands the next one named value:
//!
//! ```text
//! image.toml ─ manifest ─→ Manifest ─ plan ─→ Plan ─ source ─→ Base, FileIndex ─ layer ─→ Layer ─ image ─→ Artifact ─ ship ─→ the world
//! ```
//!
//! | stage | room | takes → gives | may touch |
//! |---|---|---|---|
//! | – | [`error`], [`event`] | what went wrong, what is happening | nothing |
//! | 0 | [`oci`] | text and JSON → digests, references, documents | nothing |
//! | 0 | [`versions`] | two versions of packages → which is the newer one | nothing |
//! | – | [`facts`] | bytes → what the content of a file says, and what a program is to its loader | nothing |
//! | 1 | [`manifest`] | `image.toml` → [`manifest::Manifest`] and every mistake in it | the manifest; git and the environment in `values` |
//! | – | [`import`] | a Dockerfile, or the file of jib, ko or apko → the text of an `image.toml` | nothing |
//! | 2 | [`plan`] | Manifest + Lock → [`plan::Plan`] | nothing |
//! | 3 | [`store`] | digests → bytes, verified or to be verified while they are read | the store's directory |
//! | 4 | [`registry`] | names → documents and blobs on the wire | the network, credentials |
//! | 4 | [`shared`] | an address → a cache that several machines share, which the store asks | its folder, registries, buckets |
//! | – | [`ctx`] | the permission to touch the world, five things | – |
//! | 5 | [`source`] | pinned names → bases and what files they have; wishes → pinned packages; any image → what its layers hold | layouts, archives, keyrings, store, registries, mirrors |
//! | 6 | [`layer`] | items → trees → blobs in the store | files of the context, the store |
//! | 7 | [`image`] | layers → [`image::Artifact`]; what layers hold → files, waste, differences, history | nothing |
//! | 8 | [`trust`] | images → what they are made of; keys, signatures, policies → who vouches for them | key and root files, registries, the services of sigstore, programs and tokens that sign |
//! | 9 | [`ship`](mod@ship) | Artifact → layout, archive, engine, registry | destinations, engines' sockets and programs |
//! | – | [`build`](mod@build) | a request → something made and judged; the verbs of this crate | what the stages above may |
//! | 10 | [`cli`] | arguments → exit code | arguments, environment, the terminal |
//! | – | [`fuzzing`] | bytes → a panic where a reader breaks its promise | a temporary file |
//!
//! # Rules, kept by `tests/tidy.rs`
//!
//! 1. **Direction.** A stage uses only stages above it, by name. `ctx` stands between 4 and 5, because it holds the store and the
//!    client.
//! 2. **Who touches the world.** A function that takes `&Ctx` may; one that does not cannot. A table in the test names the files
//!    that may use `fs`, `env`, processes, sockets, the clock and the terminal.
//! 3. **Purity.** The plan is a function of texts: `plan` walks 1 to 7 and ships nothing.
//! 4. **Size.** A file of 400 lines becomes a folder, a function fits a screen.
//! 5. **No leftovers.**
//!
//! # Where the design page was changed, and why
//!
//! * [`manifest::Base`] lives in stage 1, because the reader already knows it whole; `plan` hands it on.
//! * A registry, a layout, an archive and an engine are one enum, [`ship::Destination`], and one verb, [`ship::send`], not four
//!   implementations of a trait: they share no state, and only two of them can skip blobs.
//! * The way from a manifest to an artifact is a room of its own, [`build`](mod@build), not a part of the command line: programs that use this crate
//!   walk it too.
//! * The cache that machines share is behind the store's door, but who fetches from it stands in stage 4, [`shared`], because the store touches no
//!   network.
//! * `layer` is handed the base's file index by the caller, so that placing is pure and is tested without a disk.

pub mod build;
pub mod cli;
pub mod ctx;
pub mod error;
pub mod event;
pub mod facts;
#[doc(hidden)]
pub mod fuzzing;
pub mod image;
pub mod import;
pub mod layer;
pub mod manifest;
pub mod oci;
pub mod plan;
pub mod registry;
pub mod shared;
pub mod ship;
pub mod source;
pub mod store;
pub mod trust;
pub mod versions;

pub use build::{Made, Request, build, ship};
pub use ctx::Ctx;
pub use error::{Error, Result};
pub use manifest::Manifest;
pub use plan::Plan;
pub use ship::Destination;

/// The examples of the book's page are tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
pub struct Library;
