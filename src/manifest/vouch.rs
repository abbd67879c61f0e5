//! Stage 1: what `[base.verify]` means: who must have signed the base. Written values in, checked ones out. Pure.

use std::path::PathBuf;

use super::base::Base;
use super::matcher::Matcher;
use super::read::{Meaning, tidy};
use super::written::{View, Written};
use crate::error::{Finding, Place};

/// What `[base.verify]` asks of the base.
#[derive(Clone, Debug)]
pub struct Vouched {
    /// Who must have signed it.
    pub who: Voucher,
    /// Whether a key's signature must stand in a transparency log.
    pub require_log: bool,
    /// The trusted root that counts, absolute.
    pub trusted_root: Option<PathBuf>,
    /// Where that is said.
    pub place: Place,
}

/// Somebody who signs.
#[derive(Clone, Debug)]
pub enum Voucher {
    /// The holder of the key in this file, absolute.
    Key(PathBuf),
    /// Whoever is certified as this.
    Identity {
        /// The certificate's subject.
        identity: Matcher,
        /// Who said so.
        issuer: Matcher,
    },
}

/// Who must have signed the base, if the manifest says so. Mistakes go into the report.
pub(super) fn read(meaning: &mut Meaning, written: &Written, bases: &[&Base]) -> Option<Vouched> {
    let view = written.verify.as_ref()?;
    // `scratch` also stands in for a base that is wrong, which is told elsewhere.
    let scratch = written.image.text("base").is_some_and(|spot| spot.value == "scratch");
    let local = |base: &&&Base| matches!(base, Base::Layout(_) | Base::Archive(_)) || scratch;
    if let Some(base) = bases.iter().find(local) {
        if meaning.inherits(&view.place) {
            return None; // a default counts where it can
        }
        let what = format!("`{base}` is in no registry, so no signature of it can be looked for");
        meaning.report.add(Finding::error("base-verify", what).at(&view.place, "").help("take `[base.verify]` out"));
    }
    let path = |meaning: &mut Meaning, key: &str| -> Option<PathBuf> {
        let spot = view.text(key)?;
        let text = meaning.text(spot)?;
        Some(tidy(&meaning.beside(&spot.place).join(text)))
    };
    let (key, trusted_root) = (path(meaning, "key"), path(meaning, "trusted-root"));
    let identity = rule(meaning, view, "identity", "identity-regexp");
    let issuer = rule(meaning, view, "issuer", "issuer-regexp");
    let named = |key: &str| view.text(key).or_else(|| view.text(&format!("{key}-regexp"))).is_some();
    let wrong = match (view.text("key").is_some(), named("identity"), named("issuer")) {
        (true, false, false) | (false, true, true) => None,
        (true, ..) => Some("`key` stands beside `identity` or `issuer`"),
        (false, true, false) => Some("`identity` says nothing without `issuer`"),
        (false, false, true) => Some("`issuer` says nothing without `identity`"),
        (false, false, false) => Some("nothing says who must have signed the base"),
    };
    if let Some(what) = wrong {
        let finding = Finding::error("base-verify", what).at(&view.place, "");
        meaning.report.add(finding.help("write `key = \"cosign.pub\"`, or `identity = \"…\"` and `issuer = \"…\"`"));
        return None;
    }
    let who = match (key, identity, issuer) {
        (Some(key), ..) => Voucher::Key(key),
        (None, Some(identity), Some(issuer)) => Voucher::Identity { identity, issuer },
        _ => return None,
    };
    Some(Vouched { who, require_log: view.is("require-log"), trusted_root, place: view.place.clone() })
}

/// A rule by one of two keys.
fn rule(meaning: &mut Meaning, view: &View, exact: &'static str, pattern: &'static str) -> Option<Matcher> {
    match (view.text(exact), view.text(pattern)) {
        (Some(_), Some(spot)) => {
            let what = format!("`{exact}` and `{pattern}` cannot both stand there");
            meaning.report.add(Finding::error("base-verify", what).at(&spot.place, ""));
            None
        }
        (Some(spot), None) => meaning.parsed(spot, "base-verify", Matcher::exact),
        (None, Some(spot)) => meaning.parsed(spot, "base-verify", Matcher::pattern),
        (None, None) => None,
    }
}
