//! Stage 5: one platform out of an image. An image and a platform in, the part of it that is for that platform out. Pure.

use std::collections::BTreeMap;

use super::{Image, Paper};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Document, Platform, media};

impl Image {
    /// The images in it that can run, with the platform that an index says they are for.
    pub fn runnable(&self) -> Vec<(Option<Platform>, &Paper)> {
        let mut listed: BTreeMap<_, Platform> = BTreeMap::new();
        for paper in &self.documents {
            if let Document::Index(index) = &paper.document {
                let said = index.manifests.iter().filter_map(|child| Some((child.digest, child.platform.as_ref()?)));
                listed.extend(said.map(|(digest, platform)| (digest, platform.platform())));
            }
        }
        let image = |paper: &&Paper| match &paper.document {
            Document::Manifest(manifest) => {
                [media::CONFIG, media::DOCKER_CONFIG].contains(&manifest.config.media_type.as_str())
            }
            Document::Index(_) => false,
        };
        let known = |platform: &Option<Platform>| platform.as_ref().is_none_or(|platform| platform.os != "unknown");
        let papers = self.documents.iter().filter(image);
        papers.map(|paper| (listed.get(&paper.descriptor.digest).cloned(), paper)).filter(|(on, _)| known(on)).collect()
    }

    /// The image for one platform. Without one asked for, there must be only one.
    pub fn only(&self, wanted: Option<&Platform>) -> Result<Image> {
        let all = self.runnable();
        let serves = |on: &Option<Platform>| match (on, wanted) {
            (Some(on), Some(wanted)) => on.serves(wanted),
            _ => true,
        };
        let found: Vec<&Paper> = all.iter().filter(|(on, _)| serves(on)).map(|(_, paper)| *paper).collect();
        let names = || {
            let shown =
                |(on, _): &(Option<Platform>, &Paper)| on.as_ref().map_or("unnamed".into(), Platform::to_string);
            all.iter().map(shown).collect::<Vec<_>>().join(", ")
        };
        match found.as_slice() {
            [only] => Ok(self.part(only)),
            [first, ..] if wanted.is_some() => Ok(self.part(first)),
            [] if all.is_empty() => Err(Error::usage("there is no image in it that could run, only artifacts")),
            [] => Err(Error::usage(format!("it is not made for that platform; it has {}", names()))
                .hint("choose one of these with `--platform`")),
            _ => Err(Error::usage(format!("one platform is needed, the image has {}", names()))
                .hint("choose one, as in `--platform linux/amd64`")),
        }
    }

    /// Each image in it that can run, by itself.
    pub fn each(&self) -> Vec<(Option<Platform>, Image)> {
        self.runnable().into_iter().map(|(on, paper)| (on, self.part(paper))).collect()
    }

    fn part(&self, paper: &Paper) -> Image {
        let blobs: Vec<Descriptor> = match &paper.document {
            Document::Manifest(manifest) => {
                std::iter::once(&manifest.config).chain(&manifest.layers).cloned().collect()
            }
            Document::Index(_) => Vec::new(),
        };
        let mut once: Vec<Descriptor> = Vec::new();
        for blob in blobs {
            if !once.iter().any(|known| known.digest == blob.digest) {
                once.push(blob);
            }
        }
        Image { root: paper.descriptor.clone(), documents: vec![paper.clone()], blobs: once, ..self.clone() }
    }
}
