//! Stage 5: which packages are taken. Wishes and a table of all packages in, the packages of one consistent set out, or why there is
//! none. Pure; the search itself is resolvo's.
//!
//! Names that packages provide are taken apart before the search: a relation to `mail-transport-agent` becomes one to any of the
//! packages that are or provide it, in the order in which the table prefers them. So every thing that is searched for is a real package.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use resolvo::utils::{Pool, VersionSet};
use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider, Interner,
    KnownDependencies, NameId, Problem, Requirement, SolvableId, Solver, SolverCache, StringId, UnsolvableOrCancelled,
    VersionSetId, VersionSetUnionId,
};

use crate::error::{Error, Result, printable};

/// Most lines of an explanation that are shown.
const MOST_LINES: usize = 40;

/// How a version is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bound {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
    /// `~`: begins with it.
    Fuzzy,
}

impl Bound {
    /// The operator as a wish has it.
    pub fn of(operator: &str) -> Option<Bound> {
        Some(match operator {
            "<" => Bound::Less,
            "<=" => Bound::LessOrEqual,
            "=" => Bound::Equal,
            ">=" => Bound::GreaterOrEqual,
            ">" => Bound::Greater,
            "~" => Bound::Fuzzy,
            _ => return None,
        })
    }
}

/// A relation to a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relation {
    /// The name of a package, or one that packages provide.
    pub name: String,
    /// What stands behind a colon.
    pub qualifier: Option<String>,
    /// The versions that count.
    pub bound: Option<(Bound, String)>,
}

/// What a package needs, and what it does not bear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Of each group one must be there.
    pub depends: Vec<Vec<Relation>>,
    /// None of these may be there.
    pub conflicts: Vec<Relation>,
    /// Of each group one should be there.
    pub recommends: Vec<Vec<Relation>>,
}

/// A package that provides a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Which.
    pub package: u32,
    /// In which version, if it says.
    pub version: Option<String>,
}

/// All packages, by number.
pub trait Universe {
    /// The packages of this name, the best first.
    fn named(&self, name: &str) -> &[u32];
    /// The packages that provide this name, the best first.
    fn providers(&self, name: &str) -> &[Provider];
    /// A package's name.
    fn name(&self, package: u32) -> &str;
    /// A package's version.
    fn version(&self, package: u32) -> &str;
    /// Whether it is there already.
    fn is_installed(&self, package: u32) -> bool;
    /// What it needs; half a sentence where that is malformed.
    fn needs(&self, package: u32) -> Result<Needs, String>;
    /// Whether a version lies within a bound.
    fn within(&self, version: &str, bound: Bound, limit: &str) -> bool;
    /// Whether a package may stand for a name with this qualifier.
    fn qualifies(&self, package: u32, qualifier: &str) -> bool;
    /// The packages that come along by themselves once these are there.
    fn along(&self, _: &BTreeSet<u32>) -> Vec<u32> {
        Vec::new()
    }
}

/// The packages that fulfil all wishes and are not there already, by number.
pub fn solve(universe: &impl Universe, wishes: &[Relation], recommends: bool) -> Result<Vec<u32>> {
    let roots: Vec<Vec<Relation>> = wishes.iter().map(|wish| vec![wish.clone()]).collect();
    let mut chosen = search(universe, &roots)?;
    chosen = if recommends { recommended(universe, roots, chosen)? } else { along(universe, roots, chosen)? };
    Ok(chosen.into_iter().filter(|package| !universe.is_installed(*package)).collect())
}

/// Adds what comes along by itself, as far as it can.
fn along(universe: &impl Universe, mut roots: Vec<Vec<Relation>>, mut chosen: BTreeSet<u32>) -> Result<BTreeSet<u32>> {
    let mut tried = BTreeSet::new();
    loop {
        let fresh: Vec<u32> = universe.along(&chosen).into_iter().filter(|package| tried.insert(*package)).collect();
        if fresh.is_empty() {
            return Ok(chosen);
        }
        for package in fresh {
            let bound = Some((Bound::Equal, universe.version(package).to_string()));
            let relation = Relation { name: universe.name(package).to_string(), qualifier: None, bound };
            let more = [roots.clone(), vec![vec![relation]]].concat();
            if let Ok(found) = search(universe, &more) {
                (roots, chosen) = (more, found);
            }
        }
    }
}

/// Adds what is recommended, as far as it can be: all at once, else one after the other.
fn recommended(
    universe: &impl Universe,
    mut roots: Vec<Vec<Relation>>,
    mut chosen: BTreeSet<u32>,
) -> Result<BTreeSet<u32>> {
    let mut tried: BTreeSet<Vec<Relation>> = BTreeSet::new();
    loop {
        let mut fresh = Vec::new();
        for package in &chosen {
            let needs = universe.needs(*package).map_err(Error::remote)?;
            let met = |group: &[Relation]| matching(universe, group).iter().any(|package| chosen.contains(package));
            fresh.extend(
                needs.recommends.into_iter().filter(|group| !met(group)).filter(|group| tried.insert(group.clone())),
            );
        }
        // What nobody has cannot come along.
        fresh.retain(|group| !matching(universe, group).is_empty());
        if fresh.is_empty() {
            return Ok(chosen);
        }
        let all = [roots.clone(), fresh.clone()].concat();
        if let Ok(found) = search(universe, &all) {
            (roots, chosen) = (all, found);
            continue;
        }
        for group in fresh {
            let more = [roots.clone(), vec![group]].concat();
            if let Ok(found) = search(universe, &more) {
                (roots, chosen) = (more, found);
            }
        }
    }
}

/// The packages that a group of alternatives can be met with, the best first.
pub fn matching(universe: &impl Universe, group: &[Relation]) -> Vec<u32> {
    let mut found = Vec::new();
    for relation in group {
        let fits = |version: Option<&str>| match (&relation.bound, version) {
            (None, _) => true,
            (Some((bound, limit)), Some(version)) => universe.within(version, *bound, limit),
            (Some(_), None) => false,
        };
        let qualifies =
            |package: u32| relation.qualifier.as_ref().is_none_or(|qualifier| universe.qualifies(package, qualifier));
        let own = universe.named(&relation.name).iter().copied();
        let own = own.filter(|package| fits(Some(universe.version(*package))));
        let provided = universe.providers(&relation.name).iter();
        let provided = provided.filter(|provider| fits(provider.version.as_deref())).map(|provider| provider.package);
        for package in own.chain(provided).filter(|package| qualifies(*package)) {
            if !found.contains(&package) {
                found.push(package);
            }
        }
    }
    found
}

/// One consistent set in which every group of alternatives is met, and nothing that is not needed.
fn search(universe: &impl Universe, roots: &[Vec<Relation>]) -> Result<BTreeSet<u32>> {
    let search = Search { universe, pool: Pool::new(), solvables: RefCell::default() };
    let requirements = roots.iter().map(|group| search.requirement(group)).collect();
    let mut solver = Solver::new(search);
    let solved = match solver.solve(Problem::new().requirements(requirements)) {
        Ok(solved) => solved,
        Err(UnsolvableOrCancelled::Cancelled(_)) => return Err(Error::bug("a search for packages was cancelled")),
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            let text = conflict.display_user_friendly(&solver).to_string();
            let error = Error::usage("the packages that are wished for cannot be installed together");
            let lines = text.lines().filter(|line| !line.trim().is_empty()).take(MOST_LINES);
            return Err(lines.fold(error, |error, line| error.hint(printable(line.trim_end()))));
        }
    };
    let pool = &solver.provider().pool;
    let all: BTreeSet<u32> = solved.into_iter().map(|id| pool.resolve_solvable(id).record).collect();
    needed(universe, roots, &all)
}

/// Those of a set that somebody needs.
fn needed(universe: &impl Universe, roots: &[Vec<Relation>], all: &BTreeSet<u32>) -> Result<BTreeSet<u32>> {
    let mut needed = BTreeSet::new();
    let mut groups = roots.to_vec();
    while let Some(group) = groups.pop() {
        for package in matching(universe, &group).into_iter().filter(|package| all.contains(package)) {
            if needed.insert(package) {
                groups.extend(universe.needs(package).map_err(Error::remote)?.depends);
            }
        }
    }
    Ok(needed)
}

/// Packages of one name, by number.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Set(Vec<u32>);

impl VersionSet for Set {
    type V = u32;
}

/// What resolvo asks.
struct Search<'a, U> {
    universe: &'a U,
    pool: Pool<Set>,
    solvables: RefCell<BTreeMap<u32, SolvableId>>,
}

impl<U: Universe> Search<'_, U> {
    /// The number that resolvo knows a package by.
    fn solvable(&self, package: u32) -> SolvableId {
        let name = self.pool.intern_package_name(self.universe.name(package));
        *self.solvables.borrow_mut().entry(package).or_insert_with(|| self.pool.intern_solvable(name, package))
    }

    /// Packages as sets of one name each, in their order.
    fn sets(&self, packages: &[u32]) -> Vec<VersionSetId> {
        let mut sets: Vec<(&str, Vec<u32>)> = Vec::new();
        for package in packages {
            let name = self.universe.name(*package);
            match sets.iter_mut().find(|(known, _)| *known == name) {
                Some((_, set)) => set.push(*package),
                None => sets.push((name, vec![*package])),
            }
        }
        let intern =
            |(name, set): (&str, Vec<u32>)| self.pool.intern_version_set(self.pool.intern_package_name(name), Set(set));
        sets.into_iter().map(intern).collect()
    }

    fn requirement(&self, group: &[Relation]) -> ConditionalRequirement {
        let mut sets = self.sets(&matching(self.universe, group)).into_iter();
        let Some(first) = sets.next() else {
            // Nobody has it; the name stands for that.
            let named: Vec<String> = group.iter().map(shown).collect();
            let name = self.pool.intern_package_name(named.join(" or "));
            return Requirement::from(self.pool.intern_version_set(name, Set(Vec::new()))).into();
        };
        if sets.len() == 0 {
            return Requirement::from(first).into();
        }
        Requirement::from(self.pool.intern_version_set_union(first, sets)).into()
    }

    /// For each name that a package does not bear: those of the name that it does.
    fn constrains(&self, package: u32, conflicts: &[Relation]) -> Vec<VersionSetId> {
        let mut hostile: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for relation in conflicts {
            for other in matching(self.universe, std::slice::from_ref(relation)) {
                let name = self.universe.name(other);
                if name != self.universe.name(package) {
                    hostile.entry(name).or_default().insert(other);
                }
            }
        }
        let borne = |(name, hostile): (&str, BTreeSet<u32>)| {
            let rest = self.universe.named(name).iter().copied().filter(|other| !hostile.contains(other));
            self.pool.intern_version_set(self.pool.intern_package_name(name), Set(rest.collect()))
        };
        hostile.into_iter().map(borne).collect()
    }
}

fn shown(relation: &Relation) -> String {
    let Some((bound, version)) = &relation.bound else { return relation.name.clone() };
    let operator = match bound {
        Bound::Less => "<",
        Bound::LessOrEqual => "<=",
        Bound::Equal => "=",
        Bound::GreaterOrEqual => ">=",
        Bound::Greater => ">",
        Bound::Fuzzy => "~",
    };
    format!("{}{operator}{version}", relation.name)
}

/// Something that shows itself.
struct Shown(String);

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<U: Universe> Interner for Search<'_, U> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let package = self.pool.resolve_solvable(solvable).record;
        Shown(format!("{} {}", self.universe.name(package), self.universe.version(package)))
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        Shown(self.pool.resolve_package_name(name).clone())
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        let Set(packages) = self.pool.resolve_version_set(set);
        let versions: Vec<&str> = packages.iter().map(|package| self.universe.version(*package)).collect();
        Shown(versions.join(" or "))
    }

    fn display_string(&self, string: StringId) -> impl Display + '_ {
        Shown(self.pool.resolve_string(string).to_string())
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        self.pool.resolve_version_set_package_name(set)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.pool.resolve_solvable(solvable).name
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.pool.resolve_version_set_union(union)
    }

    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        self.pool.resolve_condition(condition).clone()
    }
}

impl<U: Universe> DependencyProvider for Search<'_, U> {
    async fn filter_candidates(&self, candidates: &[SolvableId], set: VersionSetId, inverse: bool) -> Vec<SolvableId> {
        let Set(packages) = self.pool.resolve_version_set(set);
        let within = |id: &SolvableId| packages.contains(&self.pool.resolve_solvable(*id).record);
        candidates.iter().copied().filter(|id| within(id) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let packages = self.universe.named(self.pool.resolve_package_name(name));
        let candidates: Vec<SolvableId> = packages.iter().map(|package| self.solvable(*package)).collect();
        (!candidates.is_empty()).then(|| Candidates { candidates, ..Candidates::default() })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        solvables.sort_by_key(|id| {
            let package = self.pool.resolve_solvable(*id).record;
            self.universe.named(self.universe.name(package)).iter().position(|other| *other == package)
        });
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let package = self.pool.resolve_solvable(solvable).record;
        match self.universe.needs(package) {
            Ok(needs) => Dependencies::Known(KnownDependencies {
                requirements: needs.depends.iter().map(|group| self.requirement(group)).collect(),
                constrains: self.constrains(package, &needs.conflicts),
            }),
            Err(why) => Dependencies::Unknown(self.pool.intern_string(why)),
        }
    }
}

#[cfg(test)]
mod tests;
