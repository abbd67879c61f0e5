//! Stage 5: what packages a base has. A base in, the text of its package database out.

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::manifest::Family;
use crate::source::blob::blocking;
use crate::source::packages::unpack::bytes;
use crate::source::{Base, FileIndex, Kind, files, parts};

/// Largest package database in bytes.
const MOST_DATABASE: u64 = 64 << 20;
/// The database of dpkg, and the directory of its twin in distroless images.
const DPKG: &str = "var/lib/dpkg/status";
const DPKG_PARTS: &str = "var/lib/dpkg/status.d";
/// Where apk keeps its database, before and after the merge of `/lib` into `/usr`.
const APK: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

/// The stanzas of all packages that a base has; empty where it has none.
pub async fn installed(ctx: &Ctx, base: &Base, family: Family) -> Result<String> {
    let index = files(ctx, base).await?;
    let mut wanted = Vec::new();
    for path in databases(&index, family) {
        let Some(path) = index.resolve(&path) else { continue };
        let Some(node) = index.get(&path) else { continue };
        let (Kind::File { size }, Some(bytes)) = (&node.kind, node.bytes) else { continue };
        if *size > MOST_DATABASE {
            return Err(Error::remote(format!("`/{path}` of the base has {size} bytes, {MOST_DATABASE} are allowed")));
        }
        wanted.push((bytes, *size));
    }
    let stretches = parts(ctx, base, &wanted).await?;
    let store = ctx.store.clone();
    blocking(move || {
        let mut text = String::new();
        for stretch in stretches {
            text += &String::from_utf8_lossy(&bytes(&store, &stretch)?);
            text += "\n\n";
        }
        Ok(text)
    })
    .await
}

fn databases(index: &FileIndex, family: Family) -> Vec<String> {
    match family {
        Family::Alpine => APK.iter().map(ToString::to_string).collect(),
        Family::Debian => {
            let parts = index.children(DPKG_PARTS).filter(|(name, _)| !name.ends_with(b".md5sums"));
            let parts = parts.map(|(name, _)| format!("{DPKG_PARTS}/{}", String::from_utf8_lossy(name)));
            [DPKG.to_string()].into_iter().chain(parts).collect()
        }
    }
}
