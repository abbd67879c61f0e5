//! Stage 10: what a manifest reads. A manifest in, the files and directories that it names out. Pure.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::manifest::{Base, Manifest, What, Whence};

/// The files and directories that a manifest names.
pub fn inputs(manifest: &Manifest) -> BTreeSet<PathBuf> {
    // What all members have in common is an input of each.
    let mut paths: BTreeSet<PathBuf> = manifest.shared.iter().map(|shared| shared.root.file.clone()).collect();
    for image in &manifest.images {
        if let Base::Layout(local) | Base::Archive(local) = &image.base.0 {
            paths.insert(local.path.clone());
        }
        for item in &image.items {
            match &item.what {
                What::Binary { source, .. } => drop(paths.insert(source.path.clone())),
                What::Copy(copy) => drop(paths.insert(copy.source.path.clone())),
                What::Template(template) => drop(paths.insert(template.source.path.clone())),
                What::Archive(archive) => {
                    if let Whence::File(source, _) = &archive.location {
                        paths.insert(source.path.clone());
                    }
                }
                What::TrustStore(store) => paths.extend(store.files.iter().map(|file| file.path.clone())),
                _ => {}
            }
        }
    }
    paths
}
