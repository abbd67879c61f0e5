//! Stage 0: the orders of versions, as tables. That dpkg itself orders its versions so is judged in `tests/interop`.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::{Apk, Dpkg, Scheme, go_release};

/// Each version is older than the next one, and so than all that follow.
fn ascending(scheme: Scheme, versions: &[&str]) {
    for (at, one) in versions.iter().enumerate() {
        for (other_at, other) in versions.iter().enumerate() {
            let found = scheme.compare(one, other).unwrap();
            assert_eq!(found, at.cmp(&other_at), "{one} and {other}");
        }
    }
}

fn same(scheme: Scheme, versions: &[&str]) {
    for one in versions {
        for other in versions {
            assert_eq!(scheme.compare(one, other), Ok(Ordering::Equal), "{one} and {other}");
        }
    }
}

fn refused(scheme: Scheme, versions: &[&str]) {
    for version in versions {
        assert!(scheme.compare(version, "1").is_err(), "{version}");
        assert!(scheme.compare("1", version).is_err(), "{version}");
    }
}

#[test]
fn dpkg_orders_tildes_letters_epochs_and_revisions() {
    ascending(
        Scheme::Dpkg,
        &[
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0a",
            "0+",
            "1.0~rc1-1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0-10",
            "1.0a-1",
            "1.0.1",
        ],
    );
    ascending(Scheme::Dpkg, &["999.9-9", "1:0.1", "1:0.1-0.1", "2:0~"]);
    ascending(Scheme::Dpkg, &["2.36-9+deb12u7", "2.36-9+deb12u10", "2.36-10"]);
    ascending(Scheme::Dpkg, &["1.0-1-1", "1.0-1-2", "1.0.0"]);
    ascending(Scheme::Dpkg, &["9", "18446744073709551616", "18446744073709551617"]);
    same(Scheme::Dpkg, &["1.0", "0:1.0", "1.0-0", "1.00", "01.0", " 1.0 "]);
    refused(
        Scheme::Dpkg,
        &["", " ", "1 0", ":1", "a:1", "-1:1", "2147483648:1", "1-", "-1", "1:", "1_0", "1-1:1", "ü"],
    );
}

#[test]
fn a_dpkg_version_is_written_as_it_was_read() {
    for text in ["1.0", "1:1.0-1", "0:1:2-3", "2.36-9+deb12u7"] {
        assert_eq!(text.parse::<Dpkg>().unwrap().to_string(), text);
    }
}

#[test]
fn apk_orders_suffixes_letters_and_revisions() {
    ascending(
        Scheme::Apk,
        &[
            "1.0_alpha",
            "1.0_alpha1",
            "1.0_alpha2",
            "1.0_alpha10",
            "1.0_beta",
            "1.0_pre3",
            "1.0_rc1-r5",
            "1.0",
            "1.0-r0",
            "1.0-r2",
            "1.0-r10",
            "1.0_cvs",
            "1.0_svn",
            "1.0_git20240101",
            "1.0_hg",
            "1.0_p1",
            "1.0_p2",
            "1.0a",
            "1.0b-r1",
            "1.0.1",
            "1.1",
            "1.10",
            "2",
        ],
    );
    ascending(Scheme::Apk, &["1.2_p1_alpha", "1.2_p1", "1.2_p1_p1"]);
    ascending(Scheme::Apk, &["1.0~12ab-r1", "1.0~12ac-r0"]);
    // A leading zero behind a dot makes both sides texts; the first number stays a number.
    ascending(Scheme::Apk, &["1.0015", "1.002", "1.1", "1.15"]);
    same(Scheme::Apk, &["7.1", "07.1", "7.1"]);
    same(Scheme::Apk, &["3.0_rc01-r1", "3.0_rc1-r01"]);
    refused(
        Scheme::Apk,
        &[
            "",
            "a",
            "1.",
            "1..2",
            "1.0ab",
            "1.0_foo",
            "1.0_",
            "1.0-1",
            "1.0-r",
            "1.0-r1-r2",
            "1.0-r1_p1",
            "1.0a.1",
            "1.0~",
            "1.0A",
        ],
    );
}

#[test]
fn semantic_versions_order_prereleases_and_leave_builds_aside() {
    let versions =
        ["0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.0.1"];
    ascending(Scheme::Semantic, &versions);
    same(Scheme::Semantic, &["1.2.0", "v1.2", "1.2.0+incompatible", "v1.2.0+build.7"]);
    ascending(
        Scheme::Semantic,
        &[
            "v0.0.0-20190101000000-0123456789ab",
            "v0.0.0-20200101000000-000000000000",
            "v0.0.1-0.20200101000000-abcdefabcdef",
            "v0.0.1",
        ],
    );
    refused(Scheme::Semantic, &["", "v", "1.2.3.4", "01.2.3", "1.x", "(devel)"]);
}

#[test]
fn a_release_of_go_is_a_semantic_version() {
    let check = |text: &str, expect: &str| assert_eq!(go_release(text).map(|it| it.to_string()).as_deref(), Ok(expect));
    check("1.22.1", "1.22.1");
    check("go1.21", "1.21.0");
    check("1.21rc2", "1.21.0-rc.2");
    check("1.4beta1", "1.4.0-beta.1");
    check("1.22.1-vendor", "1.22.1");
    for wrong in ["", "devel", "gccgo"] {
        assert!(go_release(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn every_order_is_total(one in "[0-9a-z.~+:-]{1,12}", other in "[0-9a-z.~+:-]{1,12}", third in "[0-9a-z.~+:-]{1,12}") {
        if let (Ok(one), Ok(other), Ok(third)) = (one.parse::<Dpkg>(), other.parse::<Dpkg>(), third.parse::<Dpkg>()) {
            prop_assert_eq!(one.cmp(&other), other.cmp(&one).reverse());
            prop_assert!(one > other || other > third || one <= third);
        }
    }

    #[test]
    fn the_order_of_apk_turns_around(
        one in "[0-9]{1,2}(\\.[0-9]{1,2}){0,2}[ab]?(_(alpha|rc|p)[0-9]?){0,2}(-r[0-9])?",
        other in "[0-9]{1,2}(\\.[0-9]{1,2}){0,2}[ab]?(_(alpha|rc|p)[0-9]?){0,2}(-r[0-9])?",
    ) {
        let (one, other) = (one.parse::<Apk>().unwrap(), other.parse::<Apk>().unwrap());
        prop_assert_eq!(one.cmp(&other), other.cmp(&one).reverse());
        prop_assert_eq!(one.cmp(&one), Ordering::Equal);
    }
}
