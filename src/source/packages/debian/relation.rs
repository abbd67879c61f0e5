//! Stage 5: the relations of Debian's packages, `a (>= 1) | b:any, c`. A field in, groups of alternatives out. Pure.
//!
//! Source: deb-control(5) and Debian Policy, section 7.1.

use std::cmp::Ordering;

use crate::source::packages::solve::{Bound, Relation};
use crate::versions::Dpkg;

/// Most relations of one field.
const MOST_RELATIONS: usize = 10_000;

/// The groups of a field, each a list of alternatives; half a sentence where it is malformed.
pub fn groups(field: &str) -> Result<Vec<Vec<Relation>>, String> {
    let mut groups = Vec::new();
    let mut count = 0;
    for group in field.split(',').map(str::trim_ascii).filter(|group| !group.is_empty()) {
        let alternatives: Vec<Relation> = group.split('|').map(relation).collect::<Result<_, _>>()?;
        count += alternatives.len();
        if count > MOST_RELATIONS {
            return Err(format!("a field has more than {MOST_RELATIONS} relations"));
        }
        groups.push(alternatives);
    }
    Ok(groups)
}

/// The relations of a field that knows no alternatives (`Conflicts`, `Provides` …).
pub fn list(field: &str) -> Result<Vec<Relation>, String> {
    let groups = groups(field)?;
    let single = |mut group: Vec<Relation>| match (group.pop(), group.pop()) {
        (Some(relation), None) => Ok(relation),
        _ => Err(format!("`{}` has alternatives where none may be", field.escape_debug())),
    };
    groups.into_iter().map(single).collect()
}

fn relation(text: &str) -> Result<Relation, String> {
    let text = text.trim_ascii();
    let wrong = |why: &str| format!("`{}` is no relation: {why}", text.escape_debug());
    let end = text.find(['(', '[', '<', ' ']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let (name, qualifier) = match name.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier.to_string())),
        None => (name, None),
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte)) {
        return Err(wrong("it has no name"));
    }
    let mut relation = Relation { name: name.to_string(), qualifier, bound: None };
    let rest = rest.trim_ascii();
    if rest.is_empty() {
        return Ok(relation);
    }
    let inner = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let Some((inner, after)) = inner else { return Err(wrong("its version does not stand in parentheses")) };
    // Lists of architectures and profiles stand in sources only.
    if !after.trim_ascii().is_empty() {
        return Err(wrong("something follows its version"));
    }
    let inner = inner.trim_ascii();
    let end = inner.find(|byte: char| !"<>=".contains(byte)).unwrap_or(inner.len());
    let (operator, version) = inner.split_at(end);
    // The short `<` and `>` once meant `<=` and `>=`, which dpkg still takes them for.
    let bound = match operator {
        "<<" => Bound::Less,
        "<=" | "<" => Bound::LessOrEqual,
        "=" | "" => Bound::Equal,
        ">=" | ">" => Bound::GreaterOrEqual,
        ">>" => Bound::Greater,
        _ => return Err(wrong("its operator is not known")),
    };
    let version = version.trim_ascii();
    version.parse::<Dpkg>().map_err(|why| wrong(&why))?;
    relation.bound = Some((bound, version.to_string()));
    Ok(relation)
}

/// Whether a version lies within a bound, by dpkg's order; one that is no version lies within none.
pub fn within(version: &str, bound: Bound, limit: &str) -> bool {
    let (Ok(version), Ok(limit)) = (version.parse::<Dpkg>(), limit.parse::<Dpkg>()) else { return false };
    let order = version.cmp(&limit);
    match bound {
        Bound::Less => order == Ordering::Less,
        Bound::LessOrEqual => order != Ordering::Greater,
        Bound::Equal => order == Ordering::Equal,
        Bound::GreaterOrEqual => order != Ordering::Less,
        Bound::Greater => order == Ordering::Greater,
        // An operator of Alpine's.
        Bound::Fuzzy => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read_as_policy_has_them() {
        let groups = groups("libc6 (>= 2.34), a | b (<< 1:2~) , python3:any,\n c(=1)").unwrap();
        assert_eq!(groups.len(), 4);
        assert_eq!(groups[0][0].bound, Some((Bound::GreaterOrEqual, "2.34".to_string())));
        assert_eq!(groups[1][1].bound, Some((Bound::Less, "1:2~".to_string())));
        assert_eq!((groups[2][0].name.as_str(), groups[2][0].qualifier.as_deref()), ("python3", Some("any")));
        assert_eq!(groups[3][0].bound, Some((Bound::Equal, "1".to_string())));
        assert!(super::groups("").unwrap().is_empty());
        for wrong in ["(>= 1)", "a (>= 1", "a (>= 1) [amd64]", "a (=> 1)", "a (>= )", "a b", "a (>= 1:)"] {
            assert!(super::groups(wrong).is_err(), "{wrong}");
        }
        assert!(list("a | b").is_err());
    }

    #[test]
    fn bounds_follow_the_order_of_dpkg() {
        assert!(within("1.0~rc1", Bound::Less, "1.0"));
        assert!(within("1:0.1", Bound::Greater, "9"));
        assert!(within("1.0", Bound::Equal, "1.0-0"));
        assert!(!within("not a version", Bound::Less, "1"));
    }
}
