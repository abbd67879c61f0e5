//! Between stages 0 and 1: tokens of known services, by their documented form. What stands around a beginning in, what it is out. Pure.

use std::sync::OnceLock;

use regex::bytes::Regex;

use super::{dull, word};

/// A kind of token: its beginnings, and the form of what follows one.
struct Token {
    what: &'static str,
    beginnings: &'static [&'static str],
    rest: &'static str,
}

const fn token_of(what: &'static str, beginnings: &'static [&'static str], rest: &'static str) -> Token {
    Token { what, beginnings, rest }
}

/// All kinds. A form that needs more than its beginning to be told from other text says more than a length.
const TOKENS: [Token; 37] = [
    token_of("an AWS access key", &["AKIA", "ASIA"], "[A-Z2-7]{16}"),
    token_of(
        "an AWS secret key",
        &["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey", "secretAccessKey"],
        r#"["']?\s{0,4}[:=]\s{0,4}["']?[0-9A-Za-z/+]{40}"#,
    ),
    token_of("a GitHub token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], "[0-9A-Za-z]{36,255}"),
    token_of("a GitHub token", &["github_pat_"], "[0-9A-Za-z]{22}_[0-9A-Za-z]{59}"),
    token_of("a GitLab token", &["glpat-", "gldt-", "glrt-"], "[0-9A-Za-z_-]{20,64}"),
    token_of("a Slack token", &["xoxb-", "xoxp-", "xoxa-"], "[0-9]{8,14}-[0-9A-Za-z-]{18,200}"),
    token_of("a Slack token", &["xapp-1-"], "A[0-9A-Z]{8,12}-[0-9]{8,14}-[0-9a-f]{64}"),
    token_of("a Slack webhook", &["hooks.slack.com/services/"], "T[0-9A-Z]{8,12}/B[0-9A-Z]{8,12}/[0-9A-Za-z]{20,28}"),
    token_of("an npm token", &["npm_"], "[0-9A-Za-z]{36}"),
    token_of("an npm token", &["_authToken"], r#"\s?=\s?["']?[0-9A-Za-z_+/=.-]{20,255}"#),
    token_of("a PyPI token", &["pypi-AgEIcHlwaS5vcmc", "pypi-AgENdGVzdC5weXBpLm9yZ"], "[0-9A-Za-z_-]{50,1000}"),
    token_of("a Stripe key", &["sk_live_", "rk_live_"], "[0-9A-Za-z]{20,120}"),
    token_of("a Google API key", &["AIza"], "[0-9A-Za-z_-]{35}"),
    token_of("a Google OAuth secret", &["GOCSPX-"], "[0-9A-Za-z_-]{28}"),
    token_of("a Google OAuth token", &["ya29."], "[0-9A-Za-z_-]{60,1000}"),
    token_of("an Azure storage key", &["AccountKey="], "[0-9A-Za-z/+]{86}=="),
    token_of("a SendGrid key", &["SG."], r"[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}"),
    token_of("a DigitalOcean token", &["dop_v1_"], "[0-9a-f]{64}"),
    token_of("a Docker Hub token", &["dckr_pat_", "dckr_oat_"], "[0-9A-Za-z_-]{27,40}"),
    token_of("a Hugging Face token", &["hf_"], "[A-Za-z]{34}"),
    token_of("an OpenAI key", &["T3BlbkFJ"], "[0-9A-Za-z_-]{20,100}"),
    token_of("an Anthropic key", &["sk-ant-"], "[a-z]{3,6}[0-9]{2}-[0-9A-Za-z_-]{80,120}"),
    token_of("a Grafana token", &["glsa_"], "[0-9A-Za-z]{32}_[0-9a-f]{8}"),
    token_of("a Shopify token", &["shpat_", "shpss_", "shppa_", "shpca_"], "[0-9A-Fa-f]{32}"),
    token_of("a Vault token", &["hvs.", "hvb."], "[0-9A-Za-z_-]{90,300}"),
    token_of("a Terraform token", &[".atlasv1."], "[0-9A-Za-z_=-]{60,80}"),
    token_of("a Databricks token", &["dapi"], "[0-9a-f]{32}(-[0-9])?"),
    token_of("a Linear key", &["lin_api_"], "[0-9A-Za-z]{40}"),
    token_of("a Postman key", &["PMAK-"], "[0-9a-f]{24}-[0-9a-f]{34}"),
    token_of("a New Relic key", &["NRAK-"], "[0-9A-Z]{27}"),
    token_of("a Sentry token", &["sntrys_"], "[0-9A-Za-z_=/+]{80,400}"),
    token_of("a Pulumi token", &["pul-"], "[0-9a-f]{40}"),
    token_of("a RubyGems key", &["rubygems_"], "[0-9a-f]{48}"),
    token_of("an age key", &["AGE-SECRET-KEY-1"], "[0-9A-Z]{58}"),
    token_of("an Atlassian token", &["ATATT3xFfGF0"], "[0-9A-Za-z_=-]{150,250}"),
    token_of("a Tailscale key", &["tskey-"], "[a-z]{3,9}-[0-9A-Za-z]{6,20}-[0-9A-Za-z]{20,40}"),
    token_of("a Doppler token", &["dp.pt."], "[0-9A-Za-z]{40,44}"),
];

/// All beginnings in the order of the kinds.
pub fn beginnings() -> impl Iterator<Item = &'static str> {
    TOKENS.iter().flat_map(|token| token.beginnings).copied()
}

/// What they are all called.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    TOKENS.iter().map(|token| token.what)
}

/// What the token is whose beginning has this place among all, and how long the rest of it is.
pub fn token(at: usize, before: &[u8], rest: &[u8]) -> Option<(&'static str, usize)> {
    let mut first = 0;
    let kind = TOKENS.iter().position(|token| {
        first += token.beginnings.len();
        at < first
    })?;
    let token = TOKENS.get(kind)?;
    // These two are known by what stands in the middle of them.
    let inner = ["T3BlbkFJ", ".atlasv1."].contains(&token.beginnings[0]);
    let joined = before.last().is_some_and(|byte| word(*byte));
    if joined != inner {
        return None;
    }
    let found = form(kind)?.find(rest)?;
    let end = rest.get(found.end()).copied();
    let text = found.as_bytes();
    let body = text.iter().rposition(|byte| b"\"'=: ".contains(byte) && *byte != b'=').map_or(0, |at| at + 1);
    let body = text.get(body..).unwrap_or_default();
    (!end.is_some_and(word) && !dull(body.trim_ascii_start())).then_some((token.what, found.end()))
}

/// The form of a kind, compiled where it is first asked for.
fn form(kind: usize) -> Option<&'static Regex> {
    static FORMS: [OnceLock<Regex>; TOKENS.len()] = [const { OnceLock::new() }; TOKENS.len()];
    let form = FORMS.get(kind)?;
    let pattern = format!(r"\A(?-u:{})", TOKENS.get(kind)?.rest);
    Some(form.get_or_init(|| Regex::new(&pattern).expect("each form is tried by a test")))
}
