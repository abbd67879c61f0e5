//! Stage 5: what a solver chooses, on small worlds written as Debian writes them.

use super::{Bound, Relation, Universe, solve};
use crate::source::packages::debian::{Packages, Text};

/// Packages as lines of `name version; Field: value; …`.
fn world(lines: &[&str]) -> Packages {
    on_base("", lines)
}

fn on_base(base: &str, lines: &[&str]) -> Packages {
    let stanza = |line: &&str| {
        let mut parts = line.split("; ");
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let rest: String = parts.map(|part| format!("{part}\n")).collect();
        format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n{rest}\n")
    };
    let text = lines.iter().map(stanza).collect();
    Packages::new(vec![Text { source: 1, name: "an index".into(), text }], base, "amd64").unwrap()
}

fn wish(text: &str) -> Relation {
    let wish: crate::manifest::Wish = text.parse().unwrap();
    let bound = wish.version.map(|(operator, version)| (Bound::of(operator).unwrap(), version));
    Relation { name: wish.name, qualifier: None, bound }
}

fn solved(world: &Packages, wishes: &[&str], recommends: bool) -> Result<String, String> {
    let wishes: Vec<Relation> = wishes.iter().map(|text| wish(text)).collect();
    let chosen = solve(world, &wishes, recommends).map_err(|error| error.hints().join("\n"))?;
    let mut names: Vec<String> =
        chosen.iter().map(|package| format!("{}={}", world.name(*package), world.version(*package))).collect();
    names.sort();
    Ok(names.join(" "))
}

#[test]
fn what_is_needed_comes_along_in_its_highest_version() {
    let world = world(&[
        "app 1; Depends: lib (>= 2), tool",
        "lib 1",
        "lib 2~rc1",
        "lib 10",
        "lib 9",
        "tool 1; Pre-Depends: base",
        "base 1",
        "other 1",
    ]);
    assert_eq!(solved(&world, &["app"], false).unwrap(), "app=1 base=1 lib=10 tool=1");
    assert_eq!(solved(&world, &["app", "lib=9"], false).unwrap(), "app=1 base=1 lib=9 tool=1");
    assert_eq!(solved(&world, &["app", "lib<10"], false).unwrap(), "app=1 base=1 lib=9 tool=1");
    let why = solved(&world, &["app", "lib<2"], false).unwrap_err();
    assert!(why.contains("app") && why.contains("lib"), "{why}");
    let why = solved(&world, &["nothing"], false).unwrap_err();
    assert!(why.contains("nothing"), "{why}");
}

#[test]
fn a_name_can_be_provided() {
    let world = world(&[
        "app 1; Depends: mail-transport-agent",
        "zmail 1; Provides: mail-transport-agent; Conflicts: mail-transport-agent; Priority: standard",
        "amail 1; Provides: mail-transport-agent; Conflicts: mail-transport-agent; Priority: optional",
        "strict 1; Depends: virtual (>= 2)",
        "old 1; Provides: virtual (= 1)",
        "unversioned 1; Provides: virtual",
        "new 1; Provides: virtual (= 2)",
    ]);
    assert_eq!(solved(&world, &["app"], false).unwrap(), "app=1 zmail=1", "the more important one");
    assert_eq!(solved(&world, &["app", "amail"], false).unwrap(), "amail=1 app=1");
    assert!(solved(&world, &["amail", "zmail"], false).is_err());
    assert_eq!(solved(&world, &["strict"], false).unwrap(), "new=1 strict=1");
}

#[test]
fn alternatives_are_tried_in_their_order() {
    let world = world(&[
        "app 1; Depends: first | second",
        "first 1",
        "second 1",
        "hostile 1; Breaks: first (<< 2)",
        "picky 1; Depends: first (>= 2) | second",
    ]);
    assert_eq!(solved(&world, &["app"], false).unwrap(), "app=1 first=1");
    assert_eq!(solved(&world, &["app", "second"], false).unwrap(), "app=1 second=1");
    assert_eq!(solved(&world, &["app", "hostile"], false).unwrap(), "app=1 hostile=1 second=1");
    assert_eq!(solved(&world, &["picky"], false).unwrap(), "picky=1 second=1");
}

#[test]
fn recommendations_come_along_where_they_can() {
    let world = world(&[
        "app 1; Recommends: nice, hostile, nowhere",
        "nice 1; Recommends: more | other",
        "more 1",
        "other 1",
        "hostile 1; Conflicts: app",
    ]);
    assert_eq!(solved(&world, &["app"], false).unwrap(), "app=1");
    assert_eq!(solved(&world, &["app"], true).unwrap(), "app=1 more=1 nice=1");
}

#[test]
fn what_the_base_has_stays_as_it_is() {
    let base = "Package: lib\nVersion: 1\nStatus: install ok installed\nDepends: gone\n\n\
        Package: removed\nVersion: 1\nStatus: deinstall ok config-files\n";
    let world = on_base(
        base,
        &["lib 2", "app 1; Depends: lib", "new 1; Depends: lib (>= 2)", "removed 2", "x 1; Breaks: lib (<< 2)"],
    );
    assert_eq!(solved(&world, &["app"], false).unwrap(), "app=1");
    assert!(solved(&world, &["new"], false).is_err());
    assert_eq!(solved(&world, &["removed"], false).unwrap(), "removed=2");
    assert!(solved(&world, &["app", "x"], false).is_err(), "x does not bear the base's lib");
}

#[test]
fn qualifiers_speak_of_architectures() {
    let world = world(&[
        "app 1; Depends: python3:any, tool:amd64",
        "python3 3; Multi-Arch: allowed",
        "tool 1",
        "wrong 1; Depends: tool:any",
        "far 1; Depends: tool:arm64",
    ]);
    assert_eq!(solved(&world, &["app"], false).unwrap(), "app=1 python3=3 tool=1");
    assert!(solved(&world, &["wrong"], false).is_err());
    assert!(solved(&world, &["far"], false).is_err());
}
