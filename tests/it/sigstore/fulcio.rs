//! The certificate authority and its certificate transparency log: a certificate of ten minutes for whoever has a token and a key.
//! Fulcio's API v1 and v2; RFC 6962 for the timestamp of the log.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};

use super::der::{self, OCTETS, UTF8, tlv};
use super::keys::{Public, b64, log_id, p256, pem, sha256, sign, unb64, unpem};
use super::{Flaw, Flaws, now, text};
use crate::http::{Request, Response};

/// How long a certificate usually is good, in seconds.
const LIFE: u64 = 600;

/// The arc of Fulcio's extensions.
const FULCIO: [u64; 8] = [1, 3, 6, 1, 4, 1, 57264, 1];
const SCTS: [u64; 10] = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
const KEY_ID: [u64; 4] = [2, 5, 29, 14];

pub type Ca = CertifiedIssuer<'static, KeyPair>;

pub struct Authority {
    pub root: Ca,
    pub intermediate: Ca,
    /// Has the intermediate's name and is not known to anybody.
    stranger: Ca,
    /// The key of the certificate transparency log.
    pub ct: KeyPair,
    serial: u64,
    /// How long a certificate is good, in seconds.
    pub life: u64,
}

/// The parameters of an authority that is good for long.
pub fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "mock.sigstore");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// The extension with this value as it is.
fn extension(oid: &[u64], content: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(oid, content)
}

/// What an asker sent: the key and the proof that it is his.
struct Ask {
    key: Public,
    signed: Vec<u8>,
    proof: Vec<u8>,
}

impl Authority {
    pub fn new() -> Authority {
        let root = Ca::self_signed(authority("root"), p256()).unwrap();
        let mut below = authority("intermediate");
        below.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        below.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let stranger = Ca::self_signed(below.clone(), p256()).unwrap();
        let intermediate = Ca::signed_by(below, p256(), &root).unwrap();
        Authority { root, intermediate, stranger, ct: p256(), serial: 1 << 40, life: LIFE }
    }

    /// The chain above a leaf, intermediate first.
    pub fn chain(&self) -> [&[u8]; 2] {
        [self.intermediate.der(), self.root.der()]
    }

    /// A certificate for the claims of a token.
    pub fn issue(&mut self, claims: &Value, key: &Public, flaws: &Flaws) -> Vec<u8> {
        let issuer = if flaws.has(Flaw::UnknownAuthority) { &self.stranger } else { &self.intermediate };
        let start = if flaws.has(Flaw::ExpiredCertificate) { now() - 12 * LIFE } else { now() };
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        self.serial += 1;
        params.serial_number = Some(SerialNumber::from(self.serial));
        params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(start);
        params.not_after = params.not_before + Duration::from_secs(self.life);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.use_authority_key_identifier_extension = true;
        params.subject_alt_names = vec![name(claims, flaws)];
        params.custom_extensions = facts(claims);
        let id = sha256(&key.spki)[..20].to_vec();
        params.custom_extensions.push(extension(&KEY_ID, tlv(OCTETS, &id)));
        if !flaws.has(Flaw::NoSct) {
            // The same certificate without the timestamp is what the log signs.
            let before = params.signed_by(key, issuer).unwrap();
            let body = der::read(before.der()).unwrap().parts().unwrap()[0].whole.to_vec();
            let list = self.timestamp(&body, &issuer.key().subject_public_key_info(), start, flaws);
            params.custom_extensions.push(extension(&SCTS, tlv(OCTETS, &list)));
        }
        params.signed_by(key, issuer).unwrap().der().to_vec()
    }

    /// A list of one signed certificate timestamp for what the issuer will sign.
    fn timestamp(&self, body: &[u8], issuer: &[u8], time: u64, flaws: &Flaws) -> Vec<u8> {
        let time = (time * 1000).to_be_bytes();
        let length = (body.len() as u32).to_be_bytes();
        // Version 1, certificate_timestamp; precert_entry; no extensions.
        let signed = [&[0, 0], &time[..], &[0, 1], &sha256(issuer), &length[1..], body, &[0, 0]].concat();
        let signature = match flaws.has(Flaw::WrongSct) {
            true => sign(&self.ct, b"something else"),
            false => sign(&self.ct, &signed),
        };
        let size = |bytes: &[u8]| (bytes.len() as u16).to_be_bytes();
        // SHA-256 with ECDSA.
        let sct = [&[0], &log_id(&self.ct)[..], &time, &[0, 0], &[4, 3], &size(&signature), &signature].concat();
        let one = [&size(&sct)[..], &sct].concat();
        [&size(&one)[..], &one].concat()
    }

    /// The newer API.
    pub fn v2(&mut self, claims: Option<Value>, request: &Value, flaws: &Flaws) -> Response {
        let Some(claims) = claims else { return refuse(401, 16, "there was an error processing the identity token") };
        let csr = request["certificateSigningRequest"].as_str();
        let ask = match csr {
            Some(csr) => unb64(csr).and_then(|pem| from_csr(&text(&pem))),
            None => from_key(&request["publicKeyRequest"], &claims),
        };
        let leaf = match self.grant(ask, &claims, flaws) {
            Ok(leaf) => leaf,
            Err(refusal) => return refusal,
        };
        let [intermediate, root] = self.chain();
        let chain: Vec<String> = [&leaf, intermediate, root].map(|der| pem("CERTIFICATE", der)).to_vec();
        Response::json(200, &json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}))
    }

    /// The older API, of cosign 2.
    pub fn v1(&mut self, claims: Option<Value>, request: &Value, flaws: &Flaws) -> Response {
        let Some(claims) = claims else { return refuse(401, 16, "there was an error processing the identity token") };
        let key = request["publicKey"]["content"].as_str().and_then(unb64).and_then(|content| {
            let text = text(&content);
            Public::from_pem(&text).or_else(|| Public::read(&content))
        });
        let proof = request["signedEmailAddress"].as_str().and_then(unb64);
        let ask = key.zip(proof).map(|(key, proof)| Ask { key, proof, signed: subject(&claims) });
        let leaf = match self.grant(ask, &claims, flaws) {
            Ok(leaf) => leaf,
            Err(refusal) => return refusal,
        };
        let [intermediate, root] = self.chain();
        let chain = [&leaf, intermediate, root].map(|der| pem("CERTIFICATE", der)).concat();
        Response::new(201).header("Content-Type", "application/pem-certificate-chain").body(chain)
    }

    fn grant(&mut self, ask: Option<Ask>, claims: &Value, flaws: &Flaws) -> Result<Vec<u8>, Response> {
        let ask = ask.ok_or_else(|| refuse(400, 3, "the public key supplied in the request could not be parsed"))?;
        if !ask.key.verifies(&ask.signed, &ask.proof) {
            return Err(refuse(400, 3, "the signature supplied in the request could not be verified"));
        }
        Ok(self.issue(claims, &ask.key, flaws))
    }

    pub fn bundle(&self) -> Response {
        let chain = self.chain().map(|der| pem("CERTIFICATE", der));
        Response::json(200, &json!({"chains": [{"certificates": chain}]}))
    }
}

/// The token of a request: of its head, or of its body.
pub fn token(request: &Request, body: &Value) -> Option<String> {
    let head = request.header("authorization").and_then(|text| text.split_once(' ')).map(|(_, token)| token);
    head.or(body["credentials"]["oidcIdentityToken"].as_str()).map(str::to_string)
}

fn from_key(request: &Value, claims: &Value) -> Option<Ask> {
    let key = Public::from_pem(request["publicKey"]["content"].as_str()?)?;
    let proof = unb64(request["proofOfPossession"].as_str()?)?;
    Some(Ask { key, proof, signed: subject(claims) })
}

/// A PKCS #10 request proves itself.
fn from_csr(text: &str) -> Option<Ask> {
    let (_, whole) = unpem(text)?;
    let parts = der::read(&whole)?.parts()?;
    let [body, _, signature] = parts.as_slice() else { return None };
    let key = Public::read(body.parts()?.get(2)?.whole)?;
    Some(Ask { key, signed: body.whole.to_vec(), proof: signature.content.get(1..)?.to_vec() })
}

/// What a proof of possession signs.
fn subject(claims: &Value) -> Vec<u8> {
    claims["email"].as_str().or(claims["sub"].as_str()).unwrap_or_default().as_bytes().to_vec()
}

/// The name in the certificate.
fn name(claims: &Value, flaws: &Flaws) -> SanType {
    if flaws.has(Flaw::OtherIdentity) {
        return SanType::Rfc822Name("mallory@example.com".try_into().unwrap());
    }
    let get = |key: &str| claims[key].as_str();
    match (get("email"), get("job_workflow_ref")) {
        (Some(email), _) => SanType::Rfc822Name(email.try_into().unwrap()),
        (_, Some(path)) => SanType::URI(format!("https://github.com/{path}").try_into().unwrap()),
        _ => SanType::URI(get("sub").unwrap_or_default().try_into().unwrap()),
    }
}

/// The issuer, raw as it once was and encoded as it is now, and what a workflow is.
fn facts(claims: &Value) -> Vec<CustomExtension> {
    let get = |key: &str| claims[key].as_str();
    let of = |number: u64, content: Vec<u8>| extension(&[&FULCIO[..], &[number]].concat(), content);
    let issuer = get("iss").unwrap_or_default();
    let mut facts = vec![of(1, issuer.into()), of(8, tlv(UTF8, issuer.as_bytes()))];
    let (Some(path), Some(repository)) = (get("job_workflow_ref"), get("repository")) else { return facts };
    let commit = get("sha").unwrap_or_default();
    let values = [
        (9, format!("https://github.com/{path}")),
        (10, commit.to_string()),
        (11, get("runner_environment").unwrap_or_default().to_string()),
        (12, format!("https://github.com/{repository}")),
        (13, commit.to_string()),
        (14, get("ref").unwrap_or_default().to_string()),
        (18, format!("https://github.com/{path}")),
        (20, get("event_name").unwrap_or_default().to_string()),
    ];
    // The older ones are raw, as the issuer is.
    let older = [(2, "event_name"), (3, "sha"), (4, "workflow"), (5, "repository"), (6, "ref")];
    facts.extend(older.map(|(number, key)| of(number, get(key).unwrap_or_default().into())));
    facts.extend(values.map(|(number, value)| of(number, tlv(UTF8, value.as_bytes()))));
    facts
}

fn refuse(status: u16, code: u16, message: &str) -> Response {
    Response::json(status, &json!({"code": code, "message": message, "details": []}))
}

/// The subject of a trusted root's entry.
pub fn described(name: &str) -> Value {
    json!({"organization": "mock.sigstore", "commonName": name})
}

/// Certificates as a trusted root lists them.
pub fn listed(chain: &[&[u8]]) -> Value {
    json!({"certificates": chain.iter().map(|der| json!({"rawBytes": b64(der)})).collect::<Vec<_>>()})
}
