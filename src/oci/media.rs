//! Stage 0: media types and the annotation keys we write. Pure.

/// OCI image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image config.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, plain tar.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer, gzip.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, zstd.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Annotation: the reference of the base image.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// Annotation: the digest of the base image as it was named.
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// Annotation of a layout's index entry: its name.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// How a layer blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip, one member when we write it.
    Gzip,
    /// zstd.
    Zstd,
}

impl Compression {
    /// The name in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }

    /// The highest level that layers are made at; there is none without compression. The lowest is 1.
    pub fn most(self) -> Option<u8> {
        match self {
            Compression::None => None,
            Compression::Gzip => Some(12),
            Compression::Zstd => Some(19),
        }
    }

    /// The OCI media type of a layer that is compressed in this way.
    pub fn layer(self) -> &'static str {
        match self {
            Compression::None => LAYER,
            Compression::Gzip => LAYER_GZIP,
            Compression::Zstd => LAYER_ZSTD,
        }
    }
}

/// How the layers made here are compressed: by what, and how hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// By what.
    pub kind: Compression,
    /// The level of the encoder; 0 where there is none.
    pub level: u8,
}

impl From<Compression> for Encoding {
    /// At the default level.
    fn from(kind: Compression) -> Encoding {
        let level = match kind {
            Compression::None => 0,
            Compression::Gzip => 6,
            Compression::Zstd => 3,
        };
        Encoding { kind, level }
    }
}

/// The compression that a layer's media type (OCI or Docker, foreign ones too) stands for; `None` where it is no file-system layer.
pub fn layer(media_type: &str) -> Option<Compression> {
    Some(match media_type {
        LAYER
        | "application/vnd.oci.image.layer.nondistributable.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => Compression::None,
        LAYER_GZIP
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Compression::Gzip,
        LAYER_ZSTD
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Compression::Zstd,
        _ => return None,
    })
}

/// The OCI twin of a media type; types that have none pass unchanged.
pub fn oci_twin(media_type: &str) -> &str {
    match media_type {
        DOCKER_MANIFEST => MANIFEST,
        DOCKER_LIST => INDEX,
        DOCKER_CONFIG => CONFIG,
        "application/vnd.docker.image.rootfs.diff.tar" => LAYER,
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => LAYER_GZIP,
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => LAYER_ZSTD,
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => {
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        }
        other => other,
    }
}
