//! The order of dpkg's versions, as dpkg itself says it.

use std::cmp::Ordering;
use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use stillframe::versions::Scheme;

/// How many pairs are tried; each asks dpkg once or twice.
const PAIRS: u32 = 1500;

fn dpkg(one: &str, word: &str, other: &str) -> bool {
    let done = Command::new("dpkg").args(["--compare-versions", one, word, other]).output().unwrap();
    assert!(done.stderr.is_empty(), "{one} {word} {other}: {}", String::from_utf8_lossy(&done.stderr));
    done.status.success()
}

fn judged(one: &str, other: &str) -> Ordering {
    if dpkg(one, "lt", other) {
        Ordering::Less
    } else if dpkg(one, "eq", other) {
        Ordering::Equal
    } else {
        Ordering::Greater
    }
}

/// Versions from few pieces, so that two of them often begin alike.
fn version() -> impl Strategy<Value = String> {
    let upstream = "[0-9]((~|\\+|\\.|-|a|rc|dfsg)?(0|1|9|00|10)?){0,5}";
    let revision = "(-(0|1|1~|1\\+b1|1\\+deb12u1|1\\+deb12u10|0ubuntu1|~1|01))?";
    ("((0|1|2):)?", upstream, revision).prop_map(|(epoch, upstream, revision)| {
        let upstream = upstream.trim_end_matches('-');
        format!("{epoch}{upstream}{revision}")
    })
}

#[test]
fn dpkg_orders_versions_as_we_do() {
    let mut runner = TestRunner::new(Config { cases: PAIRS, failure_persistence: None, ..Config::default() });
    runner
        .run(&(version(), version()), |(one, other)| {
            prop_assert_eq!(Scheme::Dpkg.compare(&one, &other), Ok(judged(&one, &other)), "{} and {}", one, other);
            Ok(())
        })
        .unwrap();
}

/// Every two neighbours of the versions that are installed here.
#[test]
fn dpkg_orders_the_versions_of_this_machine_as_we_do() {
    let done = Command::new("dpkg-query").args(["--show", "--showformat", "${Version}\\n"]).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let versions: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert!(versions.len() > 50, "there are {} packages", versions.len());
    for pair in versions.windows(2) {
        assert_eq!(Scheme::Dpkg.compare(pair[0], pair[1]), Ok(judged(pair[0], pair[1])), "{pair:?}");
    }
}
