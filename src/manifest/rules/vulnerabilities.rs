//! Stage 1: the rule on known vulnerabilities, which takes a table of its own. Plain values.

use super::{Level, Rule, text};
use crate::manifest::Rating;
use crate::manifest::grammar::{Key, Kind, Table};

/// The rules, in the order of the documentation.
pub(super) static RULES: [&Rule; 1] = [&VULNERABILITIES];

/// The image has known vulnerabilities.
pub static VULNERABILITIES: Rule = Rule {
    code: "vulnerabilities",
    about: "A package, crate or Go module of the image has a known vulnerability.",
    why: "Most images that are broken into are broken into by what everybody knows. Asked is a database in the OSV format that lies on \
          this machine (`stillframe update-db` fetches one; no build does), for every package of the whole image and every crate and \
          module in its programs. Where the manifest says nothing, nothing is asked. What could not be found out is refused like what \
          was found. Take a newer base or newer packages; where it does no harm, say so with an OpenVEX statement or an `allow` with \
          a reason and a last day.",
    default: Level::Allow,
    key: Some(Kind::Table(&TABLE)),
};

static TABLE: Table = Table {
    name: "check.vulnerabilities",
    about: "Which known vulnerabilities the image may not have.",
    keys: &[
        key("severity", Kind::OneOf(Rating::WORDS), "From which gravity on it is refused. Default \"high\"."),
        key(
            "unknown",
            Kind::OneOf(&["deny", "warn"]),
            "What is done about what could not be found out: a distribution that the database does not know, versions that cannot be compared, a gravity that nobody has judged. Default \"deny\".",
        ),
        text(
            "database",
            "A directory, or a zip or tar archive, of OSV records, relative to this file. Default: what `update-db` fetched.",
        ),
        key("vex", Kind::List { some: true }, "OpenVEX documents, relative to this file."),
        key("allow", Kind::Tables(&ALLOW), "Vulnerabilities that are let through."),
    ],
};

static ALLOW: Table = Table {
    name: "check.vulnerabilities.allow",
    about: "A vulnerability that is let through.",
    keys: &[
        Key { required: true, ..text("id", "Any of its names, as in \"CVE-2024-3094\".") },
        text("package", "Only in this package, by its own name or its source's."),
        Key { required: true, ..text("reason", "Why; is shown with it.") },
        text("until", "The last day, as in \"2027-06-30\"; after it the vulnerability counts again."),
    ],
};

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, required: false, about }
}
