//! Stage 4, the wire: distribution API, authentication, retries, uploads, referrers. The only HTTP to registries.

/// The one client for all registries. Cheap to clone.
#[derive(Clone)]
pub struct Client;
