//! Stage 8: certificate authorities (Fulcio v2). An identity token and a key in, a certificate of some minutes out, which says that this
//! key is that identity's. Asks the authority, with patience.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use sigstore_sign::crypto::KeyPair;
use sigstore_sign::oidc::IdentityToken;
use sigstore_sign::types::DerCertificate;

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::json::{canonical, read};
use crate::registry::Ask;

/// Largest answer, in bytes.
const MOST_BYTES: u64 = 256 << 10;
/// Most certificates of a chain.
const MOST_CERTIFICATES: usize = 10;
/// The media type of what is asked and answered.
const JSON: &str = "application/json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    signed_certificate_embedded_sct: Option<Signed>,
    #[serde(default)]
    signed_certificate_detached_sct: Option<Signed>,
}

#[derive(Deserialize)]
struct Signed {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

/// A certificate for a key, by the word of an identity token; the leaf first.
pub async fn certify(
    ctx: &Ctx,
    authority: &str,
    token: &IdentityToken,
    pair: &KeyPair,
    patience: Duration,
) -> Result<Vec<DerCertificate>> {
    let doing = || format!("asking `{authority}` for a certificate");
    let unfit = |cause| Error::bug("a fresh key cannot be used").because(cause);
    let key = pair.public_key_der().map_err(unfit)?.to_pem().replace("\r\n", "\n");
    // Whoever asks for a certificate shows that the key is theirs.
    let proof = pair.sign(token.identity().as_bytes()).map_err(unfit)?;
    let asked = json!({ "publicKeyRequest": {
        "publicKey": { "algorithm": "ECDSA", "content": key },
        "proofOfPossession": proof.to_base64(),
    }});
    let url = format!("{}/api/v2/signingCert", authority.trim_end_matches('/'));
    let (body, bearer) = (Some((JSON, canonical(&asked).into())), Some(token.expose_secret()));
    let ask = Ask { url: &url, body, accept: JSON, bearer, most: MOST_BYTES };
    let told = ctx.registries.ask_patiently(&ask, patience).await.map_err(|error| error.context(doing()))?;
    let refused = matches!(told.status, 400..=403);
    let bytes = told.success().map_err(|error| {
        let error = error.context(doing());
        match refused {
            true => error.hint(
                "the identity token may have expired, be of an issuer that the authority does not know, or be meant for somebody \
                 else (its audience must be `sigstore`)",
            ),
            false => error,
        }
    })?;
    let wrong = || Error::remote(format!("`{authority}` gave a certificate that cannot be read"));
    let answer: Answer = read(&bytes, "the certificate")?;
    let Some(signed) = answer.signed_certificate_embedded_sct else {
        return Err(match answer.signed_certificate_detached_sct {
            Some(_) => Error::remote(format!(
                "`{authority}` gave a certificate whose proof of being logged stands beside it, which bundles cannot carry"
            )),
            None => wrong(),
        });
    };
    let texts = &signed.chain.certificates;
    if texts.is_empty() || texts.len() > MOST_CERTIFICATES {
        return Err(wrong());
    }
    let certificates = texts.iter().map(|text| DerCertificate::from_pem(text.trim()));
    certificates.collect::<Result<_, _>>().map_err(|cause| wrong().because(cause))
}
