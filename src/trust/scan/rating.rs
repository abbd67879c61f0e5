//! Stage 8: how grave a vulnerability is. What records say of it in, one word and maybe a score out. Pure.
//!
//! Sources: CVSS 2.0, 3.x and 4.0 for vectors; the words of GitHub (`MODERATE`), of Ubuntu's priorities and of Debian's urgencies
//! (`not yet assigned` says nothing). Debian's `unimportant` counts above any vector: there it is no security problem.

use std::str::FromStr;

use cvss::Cvss;
use serde_json::Value;

use super::osv::{Affected, Record, Score};
use crate::manifest::Rating;

/// What is known of the gravity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gravity {
    /// The word; none where nobody has judged it.
    pub rating: Option<Rating>,
    /// The score from 0 to 10, where a vector gives one.
    pub score: Option<f64>,
    /// The vector.
    pub vector: Option<String>,
    /// Why it is no vulnerability in the usual sense: `unmaintained`, `unsound` …
    pub informational: Option<String>,
}

impl Gravity {
    /// The graver one.
    pub fn or(self, other: Gravity) -> Gravity {
        let key = |one: &Gravity| (one.rating, one.score.map(|score| (score * 10.0).round() as i64));
        if key(&other) > key(&self) { other } else { self }
    }
}

/// What a record says, for one of its packages.
pub fn gravity(record: &Record, affected: &Affected) -> Gravity {
    let special = |key: &str| {
        let values = [&affected.ecosystem_specific, &affected.database_specific, &record.database_specific];
        values.into_iter().flatten().find_map(|value| word(value, key))
    };
    let urgency = special("urgency");
    if urgency.as_deref() == Some("unimportant") {
        return Gravity { rating: Some(Rating::Negligible), ..Gravity::default() };
    }
    if let Some(judged) = vectors(&affected.severity).or_else(|| vectors(&record.severity)) {
        return judged;
    }
    let scores = affected.severity.iter().chain(&record.severity);
    let mut words = scores.map(|score| score.score.clone()).chain(special("severity")).chain(urgency);
    let informational = special("informational");
    let rating = words.find_map(|word| named(&word)).or(informational.as_ref().map(|_| Rating::Negligible));
    Gravity { rating, informational, ..Gravity::default() }
}

/// The judgement of the newest vector that can be read.
fn vectors(scores: &[Score]) -> Option<Gravity> {
    let read = |score: &Score| {
        let text = score.score.trim();
        let vector = Cvss::from_str(text).ok()?;
        whole(&vector, text).then(|| (vector, text.to_string()))
    };
    let age = |vector: &Cvss| match vector {
        Cvss::CvssV40(_) => 4,
        Cvss::CvssV31(_) => 3,
        Cvss::CvssV30(_) => 2,
        _ => 1,
    };
    let (vector, text) = scores.iter().filter_map(read).max_by_key(|(vector, _)| age(vector))?;
    let rating = match vector.severity() {
        cvss::Severity::None => Rating::Negligible,
        cvss::Severity::Low => Rating::Low,
        cvss::Severity::Medium => Rating::Medium,
        cvss::Severity::High => Rating::High,
        cvss::Severity::Critical => Rating::Critical,
    };
    Some(Gravity { rating: Some(rating), score: Some(vector.score()), vector: Some(text), informational: None })
}

/// Whether a vector has all metrics of its base group; one without some of them would have too low a score.
fn whole(vector: &Cvss, text: &str) -> bool {
    let needed: &[&str] = match vector {
        Cvss::CvssV40(_) => &["AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"],
        Cvss::CvssV20(_) => &["AV", "AC", "Au", "C", "I", "A"],
        _ => &["AV", "AC", "PR", "UI", "S", "C", "I", "A"],
    };
    let has = |name: &&str| text.split('/').any(|part| part.split_once(':').is_some_and(|(metric, _)| metric == *name));
    needed.iter().all(has)
}

fn word(value: &Value, key: &str) -> Option<String> {
    Some(value.get(key)?.as_str()?.to_lowercase())
}

/// A rating by the words of the databases.
fn named(word: &str) -> Option<Rating> {
    match word.trim_end_matches('*').trim().to_lowercase().as_str() {
        "none" | "negligible" | "unimportant" | "minor" => Some(Rating::Negligible),
        "low" => Some(Rating::Low),
        "medium" | "moderate" => Some(Rating::Medium),
        "high" | "important" => Some(Rating::High),
        "critical" | "urgent" => Some(Rating::Critical),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(record: &str, rating: Option<Rating>, score: Option<f64>) {
        let record: Record = serde_json::from_str(&format!("{{\"id\":\"X\",{record}}}")).unwrap();
        let found = gravity(&record, &record.affected[0]);
        assert_eq!((found.rating, found.score), (rating, score), "{record:?}");
    }

    #[test]
    fn vectors_are_scored_the_newest_first() {
        let three = r#"{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}"#;
        let four = r#"{"type":"CVSS_V4","score":"CVSS:4.0/AV:L/AC:H/AT:P/PR:H/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"}"#;
        let two = r#"{"type":"CVSS_V2","score":"AV:N/AC:L/Au:N/C:P/I:P/A:P"}"#;
        check(&format!(r#""severity":[{three}],"affected":[{{}}]"#), Some(Rating::Critical), Some(9.8));
        check(&format!(r#""severity":[{three},{four},{two}],"affected":[{{}}]"#), Some(Rating::Low), Some(1.0));
        check(&format!(r#""severity":[{two}],"affected":[{{}}]"#), Some(Rating::High), Some(7.5));
        // The package's own judgement counts above that of the whole record.
        check(&format!(r#""severity":[{three}],"affected":[{{"severity":[{two}]}}]"#), Some(Rating::High), Some(7.5));
        check(r#""severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N"}],"affected":[{}]"#, None, None);
        let nothing = r#"{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"}"#;
        check(&format!(r#""severity":[{nothing}],"affected":[{{}}]"#), Some(Rating::Negligible), Some(0.0));
    }

    #[test]
    fn words_count_where_there_is_no_vector() {
        check(r#""affected":[{}],"database_specific":{"severity":"MODERATE"}"#, Some(Rating::Medium), None);
        check(r#""affected":[{"ecosystem_specific":{"urgency":"high**"}}]"#, Some(Rating::High), None);
        check(r#""affected":[{"ecosystem_specific":{"urgency":"not yet assigned"}}]"#, None, None);
        check(r#""affected":[{}],"severity":[{"type":"Ubuntu","score":"low"}]"#, Some(Rating::Low), None);
        check(r#""affected":[{"database_specific":{"informational":"unmaintained"}}]"#, Some(Rating::Negligible), None);
        check(r#""affected":[{"database_specific":{"severity":["odd"]}}],"severity":null"#, None, None);
        let vector = r#"{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}"#;
        let text =
            format!(r#""severity":[{vector}],"affected":[{{"ecosystem_specific":{{"urgency":"unimportant"}}}}]"#);
        check(&text, Some(Rating::Negligible), None);
    }

    #[test]
    fn the_graver_judgement_counts() {
        let of = |rating, score| Gravity { rating, score, ..Gravity::default() };
        assert_eq!(of(None, None).or(of(Some(Rating::Low), None)).rating, Some(Rating::Low));
        assert_eq!(of(Some(Rating::High), Some(7.5)).or(of(Some(Rating::High), Some(8.1))).score, Some(8.1));
        assert_eq!(of(Some(Rating::High), None).or(of(Some(Rating::Low), Some(3.0))).rating, Some(Rating::High));
    }
}
