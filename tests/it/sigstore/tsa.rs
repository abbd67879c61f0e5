//! The time stamp authority. RFC 3161, in the narrow form that strict readers take: positive serial, whole seconds, the nonce back.

use jiff::Timestamp;
use rcgen::{CustomExtension, IsCa, KeyPair, KeyUsagePurpose};

use super::der::{
    self, BOOLEAN, CONTENT_TYPE, CONTEXT_0, ECDSA_SHA256, INTEGER, MESSAGE_DIGEST, OCTETS, OID, POLICY, SEQUENCE, SET,
    SHA256, SIGNED_DATA, SIGNING_CERTIFICATE_V2, TIME, TST_INFO, all, number, oid, sequence, set_of, tlv,
};
use super::fulcio::{Ca, authority};
use super::keys::{p256, sha256, sign};
use super::{Flaw, Flaws, now};
use crate::http::{Request, Response};

pub struct Stamps {
    root: Ca,
    key: KeyPair,
    leaf: Vec<u8>,
    stranger: KeyPair,
    serial: u64,
}

/// What is asked.
struct Ask {
    /// The digest with its algorithm, as it came.
    imprint: Vec<u8>,
    nonce: Vec<u8>,
    certificates: bool,
}

impl Stamps {
    pub fn new() -> Stamps {
        let root = Ca::self_signed(authority("time root"), p256()).unwrap();
        let key = p256();
        let mut params = authority("time");
        params.is_ca = IsCa::NoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        // The purpose has to be critical: id-kp-timeStamping.
        let purpose = sequence(&[&oid(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08])]);
        let mut usage = CustomExtension::from_oid_content(&[2, 5, 29, 37], purpose);
        usage.set_criticality(true);
        params.custom_extensions = vec![usage];
        let leaf = params.signed_by(&key, &root).unwrap().der().to_vec();
        Stamps { root, key, leaf, stranger: p256(), serial: 1 << 32 }
    }

    /// The leaf and the root.
    pub fn chain(&self) -> [&[u8]; 2] {
        [&self.leaf, self.root.der()]
    }

    pub fn post(&mut self, request: &Request, flaws: &Flaws) -> Response {
        match read(&request.body) {
            Some(ask) => {
                let body = self.stamp(&ask, flaws);
                Response::new(201).header("Content-Type", "application/timestamp-reply").body(body)
            }
            None => Response::new(400).body("the request cannot be read"),
        }
    }

    fn stamp(&mut self, ask: &Ask, flaws: &Flaws) -> Vec<u8> {
        self.serial += 1;
        let time = if flaws.has(Flaw::LateStamp) { now() + 3600 } else { now() };
        let time = Timestamp::from_second(time as i64).unwrap().strftime("%Y%m%d%H%M%SZ").to_string();
        let sha = sequence(&[&oid(SHA256)]);
        let other = sequence(&[&sha, &tlv(OCTETS, &sha256(b"something else"))]);
        let imprint = if flaws.has(Flaw::WrongStamp) { &other } else { &ask.imprint };
        let info = sequence(&[
            &number(1),
            &oid(POLICY),
            imprint,
            &number(self.serial),
            &tlv(TIME, time.as_bytes()),
            &sequence(&[&number(1)]),
            &ask.nonce,
        ]);
        let attribute = |kind: &[u8], value: Vec<u8>| sequence(&[&oid(kind), &tlv(SET, &value)]);
        let certificate = sequence(&[&sequence(&[&sequence(&[&tlv(OCTETS, &sha256(&self.leaf))])])]);
        let attributes = set_of(vec![
            attribute(CONTENT_TYPE, oid(TST_INFO)),
            attribute(MESSAGE_DIGEST, tlv(OCTETS, &sha256(&info))),
            attribute(SIGNING_CERTIFICATE_V2, certificate),
        ]);
        let key = if flaws.has(Flaw::UnknownStamp) { &self.stranger } else { &self.key };
        let signature = sign(key, &attributes);
        // The issuer and the serial of the leaf: in `tbsCertificate` after the version, around the algorithm.
        let body = der::read(&self.leaf).unwrap().parts().unwrap()[0].parts().unwrap();
        let signer = sequence(&[
            &number(1),
            &sequence(&[body[3].whole, body[1].whole]),
            &sha,
            &all(CONTEXT_0, &[der::read(&attributes).unwrap().content]),
            &sequence(&[&oid(ECDSA_SHA256)]),
            &tlv(OCTETS, &signature),
        ]);
        let content = sequence(&[&oid(TST_INFO), &tlv(CONTEXT_0, &tlv(OCTETS, &info))]);
        let certificates = if ask.certificates { tlv(CONTEXT_0, &self.leaf) } else { Vec::new() };
        let data = sequence(&[&number(3), &tlv(SET, &sha), &content, &certificates, &tlv(SET, &signer)]);
        sequence(&[&sequence(&[&number(0)]), &sequence(&[&oid(SIGNED_DATA), &tlv(CONTEXT_0, &data)])])
    }
}

fn read(body: &[u8]) -> Option<Ask> {
    let parts = der::read(body).filter(|value| value.tag == SEQUENCE)?.parts()?;
    let imprint = parts.get(1)?;
    let digest = imprint.parts()?;
    let algorithm = digest.first()?.parts()?.first().filter(|value| value.tag == OID)?.content;
    if algorithm != SHA256 || digest.get(1)?.content.len() != 32 {
        return None;
    }
    let rest = parts.get(2..)?;
    let nonce = rest.iter().find(|value| value.tag == INTEGER).map(|value| value.whole.to_vec());
    let certificates = rest.iter().any(|value| value.tag == BOOLEAN && value.content != [0]);
    Some(Ask { imprint: imprint.whole.to_vec(), nonce: nonce.unwrap_or_default(), certificates })
}
