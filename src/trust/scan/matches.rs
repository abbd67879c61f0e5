//! Stage 8: which records speak of what is in an image. Packages in, then records one by one; vulnerabilities, each once, out. Pure.
//!
//! Of the records only those are kept that affect a package, so that memory does not grow with the database. Records of one package
//! that share a name (`aliases`; `upstream`, where it is one) are one vulnerability. A distribution's notice on several vulnerabilities is
//! told with each of them, where each is found by a record of its own, and else by itself.

use std::collections::{BTreeMap, BTreeSet};

use super::affected::{Answer, judge};
use super::osv::{Affected, Record, Sketch};
use super::packages::{Asked, Contents, Seen};
use super::rating::{Gravity, gravity};

/// Most records that may affect the packages of the images that are asked about.
const MOST_HITS: usize = 200_000;

/// A vulnerability of a package.
#[derive(Clone, Debug, PartialEq)]
pub struct Vulnerability {
    /// The name that it is known best by.
    pub id: String,
    /// All its names.
    pub names: BTreeSet<String>,
    /// The vulnerabilities that it is a notice on, where it is one on several.
    pub upstream: BTreeSet<String>,
    /// The package.
    pub package: Asked,
    /// Where that is in the image.
    pub seen: Seen,
    /// The first later version without it, where one is known.
    pub fixed: Option<String>,
    /// How grave it is.
    pub gravity: Gravity,
    /// What it is, in a line; may be empty.
    pub summary: String,
    /// The page that says more.
    pub page: Option<String>,
    /// Why nobody can tell whether the package has it, if so.
    pub unsure: Option<String>,
}

impl Vulnerability {
    /// Whether one of its names is one of these; a notice on several is where all of them are.
    pub fn is(&self, named: &dyn Fn(&str) -> bool) -> bool {
        let all = !self.upstream.is_empty() && self.upstream.iter().all(|name| named(name));
        all || self.names.iter().any(|name| named(name))
    }
}

/// What records said of one package.
#[derive(Clone, Debug)]
struct Hit {
    id: String,
    names: BTreeSet<String>,
    upstream: BTreeSet<String>,
    fixed: Option<String>,
    gravity: Gravity,
    summary: String,
    page: Option<String>,
    unsure: Option<String>,
}

/// The packages of some images, and the records that speak of them so far.
pub struct Matches {
    wanted: BTreeMap<String, BTreeMap<String, Vec<Asked>>>,
    hits: BTreeMap<Asked, Vec<Hit>>,
    count: usize,
    /// The worlds of packages that were asked about and that a record speaks of.
    seen: BTreeSet<String>,
}

impl Matches {
    /// Nothing is known yet of these images.
    pub fn new(images: &[Contents]) -> Matches {
        let mut wanted: BTreeMap<String, BTreeMap<String, Vec<Asked>>> = BTreeMap::new();
        let all: BTreeSet<&Asked> = images.iter().flat_map(|contents| contents.asked.keys()).collect();
        for asked in all {
            for ecosystem in &asked.ecosystems {
                let names = wanted.entry(ecosystem.clone()).or_default();
                names.entry(asked.name.clone()).or_default().push(asked.clone());
            }
        }
        Matches { wanted, hits: BTreeMap::new(), count: 0, seen: BTreeSet::new() }
    }

    /// Whether a record may speak of a package that is asked about.
    pub fn wants(&mut self, sketch: &Sketch) -> bool {
        let mut wants = false;
        for package in sketch.affected.iter().filter_map(|about| about.package.as_ref()) {
            if let Some(names) = self.wanted.get(&package.ecosystem) {
                if !self.seen.contains(&package.ecosystem) {
                    self.seen.insert(package.ecosystem.clone());
                }
                wants |= names.contains_key(&package.name);
            }
        }
        wants && sketch.withdrawn.is_none()
    }

    /// Takes a record; half a sentence where there are too many.
    pub fn take(&mut self, record: &Record) -> Result<(), String> {
        for affected in &record.affected {
            let Some(package) = &affected.package else { continue };
            let found = self.wanted.get(&package.ecosystem).and_then(|names| names.get(&package.name));
            for asked in found.cloned().unwrap_or_default() {
                let Some(hit) = hit(&asked, record, affected) else { continue };
                self.count += 1;
                if self.count > MOST_HITS {
                    return Err(format!("over {MOST_HITS} records affect the packages, which is the limit"));
                }
                self.hits.entry(asked).or_default().push(hit);
            }
        }
        Ok(())
    }

    /// The vulnerabilities of one image, gravest first.
    pub fn of(&self, contents: &Contents) -> Vec<Vulnerability> {
        let found = contents.asked.iter().filter_map(|(asked, seen)| Some((asked, seen, self.hits.get(asked)?)));
        let mut all: Vec<Vulnerability> = found
            .flat_map(|(asked, seen, hits)| joined(asked, hits).into_iter().map(|hit| hit.told(asked, seen)))
            .collect();
        let score = |one: &Vulnerability| one.gravity.score.map(|score| (score * 10.0).round() as i64);
        all.sort_by(|one, other| {
            let gravity = (other.gravity.rating, score(other)).cmp(&(one.gravity.rating, score(one)));
            gravity.then_with(|| {
                (&one.package.name, &one.id, &one.package).cmp(&(&other.package.name, &other.id, &other.package))
            })
        });
        all
    }

    /// The worlds that no record speaks of, with how many packages of one image are of them.
    pub fn unknown(&self, contents: &Contents) -> BTreeMap<String, usize> {
        let mut unknown = BTreeMap::new();
        // A world without a release in its name says nothing of one with it.
        let exact = |asked: &&Asked, one: &&String| one.contains(':') || asked.ecosystems.len() == 1;
        let known =
            |asked: &&Asked| asked.ecosystems.iter().filter(|one| exact(asked, one)).any(|one| self.seen.contains(one));
        for asked in contents.asked.keys().filter(|asked| !known(asked)) {
            let first = asked.ecosystems.first().cloned().unwrap_or_default();
            *unknown.entry(first).or_default() += 1;
        }
        unknown
    }
}

fn hit(asked: &Asked, record: &Record, affected: &Affected) -> Option<Hit> {
    let (fixed, unsure) = match judge(&asked.version, asked.scheme, affected) {
        Answer::Yes(fixed) => (fixed, None),
        Answer::Unknown(why) => (None, Some(why)),
        Answer::No => return None,
    };
    let mut names: BTreeSet<String> = record.aliases.iter().cloned().chain([record.id.clone()]).collect();
    let mut upstream: BTreeSet<String> = record.upstream.iter().cloned().collect();
    if upstream.len() == 1 {
        names.append(&mut upstream);
    }
    Some(Hit {
        id: record.id.clone(),
        names,
        upstream,
        fixed,
        gravity: gravity(record, affected),
        summary: record.line(),
        page: record.page().map(str::to_string),
        unsure,
    })
}

/// The hits on one package, those that share a name joined.
fn joined(asked: &Asked, hits: &[Hit]) -> Vec<Hit> {
    let mut hits: Vec<Hit> = hits.to_vec();
    hits.sort_by(|one, other| one.id.cmp(&other.id));
    let (notices, single): (Vec<Hit>, Vec<Hit>) = hits.into_iter().partition(|hit| !hit.upstream.is_empty());
    let mut groups: Vec<Hit> = Vec::new();
    for hit in single {
        groups = with(asked, groups, hit);
    }
    for notice in notices {
        let told = |name: &String| groups.iter().any(|group| group.names.contains(name));
        if notice.upstream.iter().all(told) {
            for group in groups.iter_mut().filter(|group| !group.names.is_disjoint(&notice.upstream)) {
                group.names.insert(notice.id.clone());
                group.fixed = later(asked, group.fixed.take(), notice.fixed.clone());
            }
        } else {
            groups = with(asked, groups, notice);
        }
    }
    groups
}

/// The groups with one more hit, which may join several of them.
fn with(asked: &Asked, groups: Vec<Hit>, hit: Hit) -> Vec<Hit> {
    let (same, mut rest): (Vec<Hit>, Vec<Hit>) =
        groups.into_iter().partition(|group| !group.names.is_disjoint(&hit.names));
    rest.push(same.into_iter().fold(hit, |one, other| other.and(asked, one)));
    rest
}

/// The later of two versions that mend something.
fn later(asked: &Asked, one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let older = asked.scheme.compare(&one, &other).is_ok_and(|order| order == std::cmp::Ordering::Less);
            Some(if older { other } else { one })
        }
        (one, other) => one.or(other),
    }
}

impl Hit {
    fn and(self, asked: &Asked, other: Hit) -> Hit {
        // What one record can tell, another one need not.
        let unsure = if other.unsure.is_none() { None } else { self.unsure };
        Hit {
            id: self.id.min(other.id),
            names: self.names.into_iter().chain(other.names).collect(),
            upstream: self.upstream.into_iter().chain(other.upstream).collect(),
            fixed: later(asked, self.fixed, other.fixed),
            gravity: self.gravity.or(other.gravity),
            summary: if self.summary.is_empty() { other.summary } else { self.summary },
            page: self.page.or(other.page),
            unsure,
        }
    }

    fn told(self, asked: &Asked, seen: &Seen) -> Vulnerability {
        let best = self.names.iter().find(|name| name.starts_with("CVE-")).cloned();
        Vulnerability {
            id: best.unwrap_or(self.id),
            names: self.names,
            upstream: self.upstream,
            package: asked.clone(),
            seen: seen.clone(),
            fixed: self.fixed,
            gravity: self.gravity,
            summary: self.summary,
            page: self.page,
            unsure: self.unsure,
        }
    }
}
