//! Stage 5: the relations of Alpine's packages, `so:libc.musl-x86_64.so.1 busybox>=1.36 !other`. A field in, relations out. Pure.
//!
//! Source: apk-package(5) and apk-world(5).

use std::cmp::Ordering;

use crate::source::packages::solve::{Bound, Relation};
use crate::versions::Apk;

/// Most relations of one field.
const MOST_RELATIONS: usize = 50_000;
/// The operators, longer ones first.
const OPERATORS: [(&str, Bound); 7] = [
    (">=", Bound::GreaterOrEqual),
    ("<=", Bound::LessOrEqual),
    ("~=", Bound::Fuzzy),
    ("=", Bound::Equal),
    (">", Bound::Greater),
    ("<", Bound::Less),
    ("~", Bound::Fuzzy),
];

/// The relations of a field, and those that must not be met; half a sentence where it is malformed.
pub fn list(field: &str) -> Result<(Vec<Relation>, Vec<Relation>), String> {
    let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
    for word in field.split_ascii_whitespace() {
        match word.strip_prefix('!') {
            Some(rest) => unwanted.push(relation(rest)?),
            None => wanted.push(relation(word)?),
        }
        if wanted.len() + unwanted.len() > MOST_RELATIONS {
            return Err(format!("a field has more than {MOST_RELATIONS} relations"));
        }
    }
    Ok((wanted, unwanted))
}

fn relation(word: &str) -> Result<Relation, String> {
    let wrong = |why: &str| format!("`{}` is no relation: {why}", word.escape_debug());
    let end = word.find(['<', '>', '=', '~', '@']).unwrap_or(word.len());
    let (name, rest) = word.split_at(end);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("it has no name"));
    }
    let name = name.to_string();
    if rest.is_empty() {
        return Ok(Relation { name, qualifier: None, bound: None });
    }
    let operator = OPERATORS.iter().find_map(|(operator, bound)| Some((*bound, rest.strip_prefix(operator)?)));
    let (bound, version) = operator.ok_or_else(|| wrong("it names a repository, or its operator is not known"))?;
    if version.is_empty() || version.starts_with(['<', '>', '=', '~']) {
        return Err(wrong("it has no version"));
    }
    Ok(Relation { name, qualifier: None, bound: Some((bound, version.to_string())) })
}

/// Whether a version lies within a bound, by apk's order; one that is no version lies within none but its own.
pub fn within(version: &str, bound: Bound, limit: &str) -> bool {
    if bound == Bound::Fuzzy {
        let rest = version.strip_prefix(limit);
        return rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()));
    }
    let order = match (version.parse::<Apk>(), limit.parse::<Apk>()) {
        (Ok(version), Ok(limit)) => version.cmp(&limit),
        _ => return bound == Bound::Equal && version == limit,
    };
    match bound {
        Bound::Less => order == Ordering::Less,
        Bound::LessOrEqual => order != Ordering::Greater,
        Bound::Equal | Bound::Fuzzy => order == Ordering::Equal,
        Bound::GreaterOrEqual => order != Ordering::Less,
        Bound::Greater => order == Ordering::Greater,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read_as_apk_has_them() {
        let (wanted, unwanted) =
            list("so:libc.musl-x86_64.so.1 busybox>=1.36-r1 a~1.2 b~=1 c=1 d<2 !old !new>3").unwrap();
        let bounds: Vec<Option<Bound>> = wanted.iter().map(|one| one.bound.as_ref().map(|(bound, _)| *bound)).collect();
        let fuzzy = Some(Bound::Fuzzy);
        assert_eq!(bounds, [None, Some(Bound::GreaterOrEqual), fuzzy, fuzzy, Some(Bound::Equal), Some(Bound::Less)]);
        assert_eq!((wanted[0].name.as_str(), unwanted.len()), ("so:libc.musl-x86_64.so.1", 2));
        for wrong in ["=1", "a=", "a==1", "a@edge", "a><Q1x"] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bounds_follow_the_order_of_apk() {
        assert!(within("1.36.1-r2", Bound::Fuzzy, "1.36") && within("1.36-r0", Bound::Fuzzy, "1.36"));
        assert!(!within("1.360", Bound::Fuzzy, "1.36") && !within("1.3", Bound::Fuzzy, "1.36"));
        assert!(within("1.2_rc1-r0", Bound::Less, "1.2-r0") && within("1.10-r0", Bound::Greater, "1.9-r0"));
        assert!(within("odd!", Bound::Equal, "odd!") && !within("odd!", Bound::Less, "1"));
    }
}
