//! Stage 0: the door to versions for fuzzing (`crate::fuzzing`). Bytes in; a panic where an order breaks a promise.

use std::cmp::Ordering;

use super::{Dpkg, Scheme, go_release};

/// Three versions, one a line: each is itself, turned around the order turns, and it goes on from the first to the last.
pub fn versions(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.lines();
    let (one, other, third) =
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    for scheme in [Scheme::Dpkg, Scheme::Apk, Scheme::Semantic] {
        let order = |one: &str, other: &str| scheme.compare(one, other);
        if let Ok(found) = order(one, one) {
            assert_eq!(found, Ordering::Equal, "{scheme:?} {one}");
        }
        if let (Ok(there), Ok(back)) = (order(one, other), order(other, one)) {
            assert_eq!(there, back.reverse(), "{scheme:?} {one} {other}");
        }
        if (order(one, other), order(other, third)) == (Ok(Ordering::Less), Ok(Ordering::Less)) {
            assert_eq!(order(one, third), Ok(Ordering::Less), "{scheme:?} {one} {other} {third}");
        }
    }
    if let Ok(version) = one.parse::<Dpkg>() {
        assert_eq!(version.to_string().parse::<Dpkg>(), Ok(version), "{one}");
    }
    let _ = go_release(one);
}
