//! Who somebody is: tokens, the issuer's metadata, GitHub's way to fetch one, and the flows of a browser and of a device.

use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

use super::keys::{Public, p256, sha256, sign_fixed, un_url64, url64};
use super::{now, text};
use crate::http::{Request, Response, pairs};

/// How long a token is good, in seconds.
const LIFE: u64 = 600;

/// The secret that GitHub's runner hands to a job.
pub const RUNNER: &str = "runner-token-of-the-mock";

pub struct Issuer {
    pub url: String,
    key: KeyPair,
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
        Issuer { url: url.into(), key: p256(), person: "dev@example.com".into(), pending: 0, asked: None }
    }

    /// A token for a person (an address) or a machine (anything else), as the issuer would make it.
    pub fn token(&self, identity: &str, more: Value) -> String {
        let mut body = claims(identity);
        let times = json!({"iss": self.url, "aud": "sigstore", "iat": now(), "nbf": now(), "exp": now() + LIFE});
        for (key, value) in times.as_object().into_iter().chain(more.as_object()).flatten() {
            body[key] = value.clone();
        }
        let head = json!({"alg": "ES256", "kid": "1", "typ": "JWT"});
        let signed = format!("{}.{}", url64(head.to_string()), url64(body.to_string()));
        let signature = sign_fixed(&self.key, signed.as_bytes());
        format!("{signed}.{}", url64(signature))
    }

    /// The claims of a token that is ours and good now.
    pub fn check(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let body: Value = serde_json::from_slice(&un_url64(signed.split_once('.')?.1)?).ok()?;
        let raw = un_url64(signature)?;
        let spki = Public::read(&self.key.subject_public_key_info())?;
        let good = raw.len() == 64 && spki.verifies(signed.as_bytes(), &numbers(&raw));
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
                "id_token_signing_alg_values_supported": ["ES256"],
                "code_challenge_methods_supported": ["S256"],
            }),
        )
    }

    pub fn keys(&self) -> Response {
        let point = self.key.public_key_raw();
        let (x, y) = (url64(&point[1..33]), url64(&point[33..65]));
        let key = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1", "x": x, "y": y});
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

/// A fixed signature as the two numbers of DER.
fn numbers(raw: &[u8]) -> Vec<u8> {
    use super::der::{INTEGER, all, sequence};
    let number = |half: &[u8]| {
        let zeros = half.iter().take_while(|byte| **byte == 0).count().min(31);
        let sign: &[u8] = if half[zeros] & 0x80 != 0 { &[0] } else { &[] };
        all(INTEGER, &[sign, &half[zeros..]])
    };
    sequence(&[&number(&raw[..32]), &number(&raw[32..])])
}
