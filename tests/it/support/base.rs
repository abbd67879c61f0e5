//! Base images, written by hand as OCI layouts: any entries, any compression, OCI or Docker media types.

use std::io::Write;

use serde_json::{Value, json};

use super::layout::digest;
use super::project::Project;

/// One entry of a base's layer.
#[derive(Clone)]
pub struct Entry {
    path: String,
    kind: tar::EntryType,
    mode: u32,
    owner: (u64, u64),
    link: String,
    content: Vec<u8>,
}

/// A directory, mode 0755.
pub fn dir(path: &str) -> Entry {
    Entry { kind: tar::EntryType::Directory, mode: 0o755, ..file(path, "") }
}

/// A link.
pub fn link(path: &str, target: &str) -> Entry {
    Entry { kind: tar::EntryType::Symlink, mode: 0o777, link: target.into(), ..file(path, "") }
}

/// A file, mode 0644.
pub fn file(path: &str, content: &str) -> Entry {
    Entry {
        path: path.into(),
        kind: tar::EntryType::Regular,
        mode: 0o644,
        owner: (0, 0),
        link: String::new(),
        content: content.into(),
    }
}

/// A program, mode 0755.
pub fn executable(path: &str, content: Vec<u8>) -> Entry {
    Entry { mode: 0o755, content, ..file(path, "") }
}

impl Entry {
    /// A named pipe in its place.
    pub fn pipe(self) -> Entry {
        Entry { kind: tar::EntryType::Fifo, ..self }
    }

    /// The same entry with this mode and owner.
    pub fn owned(self, mode: u32, uid: u64, gid: u64) -> Entry {
        Entry { mode, owner: (uid, gid), ..self }
    }
}

/// A base image in the making.
#[derive(Clone)]
pub struct Base {
    layers: Vec<Vec<Entry>>,
    compression: &'static str,
    docker: bool,
    config: Value,
    rest: Value,
}

impl Base {
    /// A base of one layer.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Base {
        let config = json!({});
        Base {
            layers: vec![entries.into_iter().collect()],
            compression: "gzip",
            docker: false,
            config,
            rest: json!({}),
        }
    }

    /// What Debian looks like: merged /usr, accounts, a sticky /tmp, links in etc.
    pub fn debian() -> Base {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n";
        let group = "root:x:0:\nadm:x:4:\nwww-data:x:33:\n";
        let base = Base::of([
            dir("etc"),
            file("etc/passwd", passwd),
            file("etc/group", group),
            file("etc/motd", "debian\n"),
            dir("tmp").owned(0o1777, 0, 0),
            dir("usr"),
            dir("usr/bin"),
            dir("usr/lib"),
            file("usr/lib/os-release", "ID=debian\nVERSION_ID=12\n"),
            dir("usr/share"),
            dir("usr/share/doc"),
            file("usr/share/doc/README", "read me\n"),
            dir("var"),
            dir("var/www").owned(0o750, 33, 33),
            link("bin", "usr/bin"),
            link("lib", "usr/lib"),
            link("etc/os-release", "../usr/lib/os-release"),
        ]);
        base.config(json!({
            "Env": ["PATH=/usr/bin:/bin", "LANG=C"],
            "Cmd": ["bash"],
            "Entrypoint": ["/entry"],
            "WorkingDir": "/root",
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/var/lib": {}},
            "Labels": {"vendor": "debian", "kept": "yes"},
            "StopSignal": "SIGQUIT",
        }))
    }

    /// The same base with one more layer on top.
    pub fn layer(mut self, entries: impl IntoIterator<Item = Entry>) -> Base {
        self.layers.push(entries.into_iter().collect());
        self
    }

    /// The same base, compressed in this way (`gzip`, `zstd`, `none`).
    pub fn compressed(self, compression: &'static str) -> Base {
        Base { compression, ..self }
    }

    /// The same base with Docker's media types.
    pub fn docker(self) -> Base {
        Base { docker: true, ..self }
    }

    /// The same base with this container config.
    pub fn config(self, config: Value) -> Base {
        Base { config, ..self }
    }

    /// The same base with more fields beside the container config.
    pub fn rest(self, rest: Value) -> Base {
        Base { rest, ..self }
    }

    /// Writes the base into the layout `path` of the project and gives the reference for its manifest.
    pub fn write(&self, project: &Project, path: &str) -> String {
        let descriptor = self.manifest(project, path, "amd64");
        finish(project, path, &descriptor)
    }

    /// Writes an index of two platforms; both have the same files but for `etc/arch`.
    pub fn write_index(&self, project: &Project, path: &str) -> String {
        let mut children = Vec::new();
        for arch in ["amd64", "arm64"] {
            let base = self.clone().layer([dir("etc"), file("etc/arch", arch)]);
            let mut child = base.manifest(project, path, arch);
            child["platform"] = json!({"os": "linux", "architecture": arch});
            children.push(child);
        }
        let attestation = put(project, path, INDEX_TYPES[0], b"{}");
        let unknown = json!({"os": "unknown", "architecture": "unknown"});
        children.push(json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": attestation["size"],
            "digest": attestation["digest"], "platform": unknown}));
        let media_type = INDEX_TYPES[usize::from(self.docker)];
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children});
        let descriptor = put(project, path, media_type, &serde_json::to_vec(&index).unwrap());
        finish(project, path, &descriptor)
    }

    fn manifest(&self, project: &Project, path: &str, arch: &str) -> Value {
        let (media_type, config_type) = if self.docker {
            ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json")
        } else {
            ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json")
        };
        let tars: Vec<Vec<u8>> = self.layers.iter().map(|layer| pack(layer)).collect();
        let diff_ids: Vec<String> = tars.iter().map(|tar| digest(tar)).collect();
        let layers: Vec<Value> =
            tars.iter().map(|tar| put(project, path, &self.layer_type(), &compress(tar, self.compression))).collect();
        let history: Vec<Value> = tars.iter().map(|_| json!({"created_by": "by hand"})).collect();
        let mut config = json!({"os": "linux", "architecture": arch, "created": "2024-01-02T03:04:05Z",
            "config": self.config, "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history});
        for (key, value) in self.rest.as_object().unwrap() {
            config[key] = value.clone();
        }
        let config = put(project, path, config_type, &serde_json::to_vec(&config).unwrap());
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
        put(project, path, media_type, &serde_json::to_vec(&manifest).unwrap())
    }

    fn layer_type(&self) -> String {
        match (self.docker, self.compression) {
            (true, "none") => "application/vnd.docker.image.rootfs.diff.tar".into(),
            (true, compression) => format!("application/vnd.docker.image.rootfs.diff.tar.{compression}"),
            (false, "none") => "application/vnd.oci.image.layer.v1.tar".into(),
            (false, compression) => format!("application/vnd.oci.image.layer.v1.tar+{compression}"),
        }
    }
}

const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

fn put(project: &Project, path: &str, media_type: &str, bytes: &[u8]) -> Value {
    let digest = digest(bytes);
    project.write(&format!("{path}/blobs/sha256/{}", digest.strip_prefix("sha256:").unwrap()), bytes);
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

fn finish(project: &Project, path: &str, descriptor: &Value) -> String {
    project.write(&format!("{path}/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    project.write(&format!("{path}/index.json"), serde_json::to_vec(&index).unwrap());
    format!("oci:{path}@{}", descriptor["digest"].as_str().unwrap())
}

fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_uid(entry.owner.0);
        header.set_gid(entry.owner.1);
        header.set_mtime(1_700_000_000);
        header.set_size(entry.content.len() as u64);
        let path = format!("{}{}", entry.path, if entry.kind.is_dir() { "/" } else { "" });
        if entry.link.is_empty() {
            builder.append_data(&mut header, path, entry.content.as_slice()).unwrap();
        } else {
            builder.append_link(&mut header, path, &entry.link).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn compress(tar: &[u8], compression: &str) -> Vec<u8> {
    match compression {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(tar).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(tar, 1).unwrap(),
        _ => tar.to_vec(),
    }
}
