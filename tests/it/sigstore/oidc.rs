//! Who somebody is: tokens, the issuer's metadata, GitHub's way to fetch one, and the flows of a browser and of a device.

use std::sync::OnceLock;

use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

use super::der;
use super::keys::{Public, rsa, sha256, sign, un_url64, url64};
use super::{now, text};
use crate::http::{Request, Response, pairs};

/// How long a token is good, in seconds.
const LIFE: u64 = 600;

/// The secret that GitHub's runner hands to a job.
pub const RUNNER: &str = "CANARY-runner-token-of-the-mock";

pub struct Issuer {
    pub url: String,
    /// Made when it is needed: an RSA key takes long to make.
    key: OnceLock<KeyPair>,
    /// Who logs in at the browser.
    pub person: String,
    /// How often a device is told to ask again.
    pub pending: usize,
    /// What the browser flow asked for: the challenge and the nonce.
    asked: Option<(String, String)>,
}

/// The claims that GitHub's issuer makes for the workflow of a certificate.
fn claims(identity: &str) -> Value {
    let workflow = identity.strip_prefix("https://github.com/").and_then(|path| path.split_once('@'));
    if let Some((path, reference)) = workflow {
        let repository = path.split('/').take(2).collect::<Vec<_>>().join("/");
        return json!({
            "sub": format!("repo:{repository}:ref:{reference}"),
            "job_workflow_ref": format!("{path}@{reference}"),
            "repository": repository,
            "ref": reference,
            "workflow": "release",
            "event_name": "push",
            "sha": "0123456789abcdef0123456789abcdef01234567",
            "runner_environment": "github-hosted",
        });
    }
    if identity.contains('@') && !identity.contains("://") {
        return json!({"sub": "person-1", "email": identity, "email_verified": true});
    }
    json!({"sub": identity})
}

impl Issuer {
    pub fn new(url: &str) -> Issuer {
        Issuer { url: url.into(), key: OnceLock::new(), person: "dev@example.com".into(), pending: 0, asked: None }
    }

    fn key(&self) -> &KeyPair {
        self.key.get_or_init(rsa)
    }

    /// A token for a person (an address) or a machine (anything else), as the issuer would make it.
    pub fn token(&self, identity: &str, more: Value) -> String {
        let mut body = claims(identity);
        // A token that is shown or kept is found by the word in it (`support/canary.rs`).
        let times = json!({
            "iss": self.url, "aud": "sigstore", "iat": now(), "nbf": now(), "exp": now() + LIFE, "jti": "CANARY-token",
        });
        for (key, value) in times.as_object().into_iter().chain(more.as_object()).flatten() {
            body[key] = value.clone();
        }
        let head = json!({"alg": "RS256", "kid": "1", "typ": "JWT"});
        let signed = format!("{}.{}", url64(head.to_string()), url64(body.to_string()));
        let signature = sign(self.key(), signed.as_bytes());
        format!("{signed}.{}", url64(signature))
    }

    /// The claims of a token that is ours and good now.
    pub fn check(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let body: Value = serde_json::from_slice(&un_url64(signed.split_once('.')?.1)?).ok()?;
        let raw = un_url64(signature)?;
        let spki = Public::read(&self.key().subject_public_key_info())?;
        let good = spki.verifies(signed.as_bytes(), &raw);
        let fresh = body["exp"].as_u64()? > now();
        (good && fresh && body["aud"] == "sigstore" && body["iss"] == self.url.as_str()).then_some(body)
    }

    pub fn metadata(&self) -> Response {
        let url = &self.url;
        Response::json(
            200,
            &json!({
                "issuer": url,
                "authorization_endpoint": format!("{url}/oidc/auth"),
                "token_endpoint": format!("{url}/oidc/token"),
                "device_authorization_endpoint": format!("{url}/oidc/device"),
                "jwks_uri": format!("{url}/oidc/keys"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
            }),
        )
    }

    pub fn keys(&self) -> Response {
        let numbers = der::read(self.key().public_key_raw()).and_then(|value| value.parts()).unwrap();
        let [n, e] = [0, 1].map(|at| url64(numbers[at].content.strip_prefix(&[0]).unwrap_or(numbers[at].content)));
        let key = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": n, "e": e});
        Response::json(200, &json!({"keys": [key]}))
    }

    /// What a job on GitHub asks.
    pub fn github(&self, request: &Request) -> Response {
        let known = request.header("authorization").and_then(|text| text.split_once(' '));
        if !known.is_some_and(|(scheme, secret)| scheme.eq_ignore_ascii_case("bearer") && secret == RUNNER) {
            return Response::json(401, &json!({"message": "the runner's token is wrong"}));
        }
        let identity = request.parameter("identity").unwrap_or_else(|| self.person.clone());
        let audience = request.parameter("audience").unwrap_or_default();
        let token = self.token(&identity, json!({"aud": audience}));
        Response::json(200, &json!({"count": token.len(), "value": token}))
    }

    /// The page where a browser logs in: at once back to the program.
    pub fn authorize(&mut self, request: &Request) -> Response {
        let get = |name: &str| request.parameter(name).unwrap_or_default();
        self.asked = Some((get("code_challenge"), get("nonce")));
        let target = format!("{}?code=code-1&state={}", get("redirect_uri"), get("state"));
        Response::new(302).header("Location", target)
    }

    pub fn device(&self) -> Response {
        let page = format!("{}/oidc/activate", self.url);
        let whole = format!("{page}?user_code=ABCD-EFGH");
        Response::json(
            200,
            &json!({
                "device_code": "device-1", "user_code": "ABCD-EFGH", "verification_uri": page,
                "verification_uri_complete": whole, "expires_in": 300, "interval": 1,
            }),
        )
    }

    /// Gives the token of a browser or a device.
    pub fn exchange(&mut self, request: &Request) -> Response {
        let form = pairs(&text(&request.body));
        let get = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let refuse = |word: &str| Response::json(400, &json!({"error": word}));
        let mut more = json!({});
        match get("grant_type") {
            "authorization_code" => {
                let Some((challenge, nonce)) = self.asked.take() else { return refuse("invalid_grant") };
                if get("code") != "code-1" || url64(sha256(get("code_verifier").as_bytes())) != challenge {
                    return refuse("invalid_grant");
                }
                if !nonce.is_empty() {
                    more = json!({"nonce": nonce});
                }
            }
            "urn:ietf:params:oauth:grant-type:device_code" if get("device_code") != "device-1" => {
                return refuse("invalid_grant");
            }
            "urn:ietf:params:oauth:grant-type:device_code" if self.pending > 0 => {
                self.pending -= 1;
                return refuse("authorization_pending");
            }
            "urn:ietf:params:oauth:grant-type:device_code" => {}
            _ => return refuse("unsupported_grant_type"),
        }
        let token = self.token(&self.person, more);
        let access = "access-token-of-the-mock";
        Response::json(
            200,
            &json!({"access_token": access, "token_type": "Bearer", "expires_in": LIFE, "id_token": token}),
        )
    }
}
