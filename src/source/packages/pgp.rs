//! Stage 5: OpenPGP signatures over an index. Keyrings, a text and its signature in, the text that was signed out, or a refusal.
//! Pure; the cryptography is rPGP's.
//!
//! A signature counts if a key of the keyring made it that may sign, is not revoked and has not expired, over a hash of the SHA-2 or
//! SHA-3 family. One that counts is enough: archives sign with the keys of several releases at once.

use std::io::BufReader;

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, PublicKey, PublicSubkey, Signature, SignatureType};
use pgp::types::{KeyDetails, Tag};

use crate::error::{Error, Result};

/// Largest keyring in bytes.
pub const MOST_KEYRING: u64 = 16 << 20;
/// Most signatures that are looked at.
const MOST_SIGNATURES: usize = 64;
/// How far the clocks of two machines may differ, in seconds.
const SKEW: i64 = 24 * 3600;
/// The hashes that count.
const HASHES: [HashAlgorithm; 5] = [
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha512,
    HashAlgorithm::Sha3_256,
    HashAlgorithm::Sha3_512,
];

/// The keys of some keyrings that may sign.
#[derive(Default)]
pub struct Keys(Vec<Key>);

struct Key {
    material: Material,
    /// When it ends, in seconds since 1970.
    expires: Option<i64>,
}

enum Material {
    Primary(PublicKey),
    Sub(PublicSubkey),
}

/// At which time the keys must have been good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// The time of day.
    pub now: i64,
    /// Whether a key that has ended since it signed still counts: for old snapshots.
    pub past: bool,
}

impl Keys {
    /// Adds the keys of a keyring, armoured or not; a key that cannot be used is passed over, a keyring without any is refused.
    pub fn add(&mut self, keyring: &[u8]) -> Result<()> {
        let wrong = || Error::usage("it is no keyring of OpenPGP public keys");
        let before = self.0.len();
        let (certificates, _) = SignedPublicKey::from_reader_many(keyring).map_err(|cause| wrong().because(cause))?;
        for certificate in certificates {
            self.certificate(certificate.map_err(|cause| wrong().because(cause))?);
        }
        if self.0.len() == before {
            return Err(Error::usage("it holds no key that may sign"));
        }
        Ok(())
    }

    fn certificate(&mut self, certificate: SignedPublicKey) {
        let key = &certificate.primary_key;
        let revoked = certificate.details.revocation_signatures.iter().any(|one| one.verify_key(key).is_ok());
        let users = certificate.details.users.iter();
        let own = users.flat_map(|user| {
            let good = |one: &&Signature| one.verify_certification(key, Tag::UserId, &user.id).is_ok();
            user.signatures.iter().filter(|one| one.is_certification()).filter(good)
        });
        let direct = certificate.details.direct_signatures.iter().filter(|one| one.verify_key(key).is_ok());
        let newest = own.chain(direct).max_by_key(|one| one.created().map(|time| time.as_secs()));
        let Some(newest) = newest.filter(|_| !revoked) else { return };
        let primary_ends = ends(key, newest);
        if newest.key_flags().sign() {
            self.0.push(Key { material: Material::Primary(key.clone()), expires: primary_ends });
        }
        for sub in &certificate.public_subkeys {
            let good = |one: &&Signature| one.verify_subkey_binding(key, &sub.key).is_ok();
            let mut good: Vec<&Signature> = sub.signatures.iter().filter(good).collect();
            if good.iter().any(|one| one.typ() == Some(SignatureType::SubkeyRevocation)) {
                continue;
            }
            good.sort_by_key(|one| one.created().map(|time| time.as_secs()));
            let Some(binding) = good.pop() else { continue };
            // A key that signs has signed that it belongs here: nobody can take another's for his own.
            let back = |one: &Signature| one.verify_primary_key_binding(&sub.key, key).is_ok();
            if binding.key_flags().sign() && binding.embedded_signature().is_some_and(back) {
                let expires = [primary_ends, ends(&sub.key, binding)].into_iter().flatten().min();
                self.0.push(Key { material: Material::Sub(sub.key.clone()), expires });
            }
        }
    }

    /// The text that was signed, of a text that holds its signature (`InRelease`): what stands around it is not part of it.
    pub fn inline(&self, text: &str, when: When) -> Result<String> {
        let wrong = || Error::policy("its signature cannot be read");
        let (message, _) = CleartextSignedMessage::from_string(text).map_err(|cause| wrong().because(cause))?;
        let signed = message.signed_text();
        self.judge(message.signatures(), signed.as_bytes(), when)?;
        Ok(signed.replace("\r\n", "\n"))
    }

    /// Whether a text is signed as a signature of its own says (`Release.gpg`), armoured or not.
    pub fn apart(&self, text: &[u8], signature: &[u8], when: When) -> Result<()> {
        let wrong = |cause: pgp::errors::Error| Error::policy("its signature cannot be read").because(cause);
        let plain = if signature.first().is_some_and(|byte| byte & 0x80 != 0) {
            signature.to_vec()
        } else {
            let mut bytes = Vec::new();
            let mut armour = pgp::armor::Dearmor::new(BufReader::new(signature));
            std::io::Read::read_to_end(&mut armour, &mut bytes)
                .map_err(|cause| Error::policy("its signature cannot be read").because(cause))?;
            bytes
        };
        let mut signatures = Vec::new();
        for packet in PacketParser::new(BufReader::new(plain.as_slice())) {
            match packet.map_err(wrong)? {
                Packet::Signature(signature) => signatures.push(signature),
                _ => return Err(Error::policy("its signature holds something else")),
            }
        }
        self.judge(&signatures, text, when)
    }

    fn judge(&self, signatures: &[Signature], text: &[u8], when: When) -> Result<()> {
        let mut why = Vec::new();
        for signature in signatures.iter().take(MOST_SIGNATURES) {
            match self.one(signature, text, when) {
                Ok(()) => return Ok(()),
                Err(reason) => why.push(reason),
            }
        }
        let error = Error::policy("it is not signed by a key of the keyring");
        let error = why.into_iter().fold(error, |error, reason| error.hint(reason));
        Err(error.hint("name the keys that the archive signs with in `keyring`"))
    }

    fn one(&self, signature: &Signature, text: &[u8], when: When) -> Result<(), String> {
        let made = signature.created().map(|time| i64::from(time.as_secs()));
        let made = made.ok_or("a signature does not say when it was made")?;
        let named: Vec<String> = signature.issuer_fingerprint().iter().map(|one| format!("{one:X}")).collect();
        let named =
            if named.is_empty() { signature.issuer_key_id().iter().map(ToString::to_string).collect() } else { named };
        let named = named.join(", ");
        if !signature.hash_alg().is_some_and(|hash| HASHES.contains(&hash)) {
            return Err(format!("the signature of {named} uses a hash that does not count any more"));
        }
        if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
            return Err(format!("the signature of {named} is not one over a text"));
        }
        if made > when.now.saturating_add(SKEW) {
            return Err(format!("the signature of {named} was made in the future"));
        }
        let at = if when.past { made } else { when.now };
        if let Some(life) = signature.signature_expiration_time().map(|life| i64::from(life.as_secs()))
            && life > 0
            && made.saturating_add(life) < at
        {
            return Err(format!("the signature of {named} has expired"));
        }
        let mine = self.0.iter().find(|key| match &key.material {
            Material::Primary(key) => signature.verify(key, text).is_ok(),
            Material::Sub(key) => signature.verify(key, text).is_ok(),
        });
        match mine {
            None => Err(format!("the signature of {named} is by a key that is not in the keyring, or of another text")),
            Some(key) if key.expires.is_some_and(|end| end < at) => Err(format!("the key {named} has expired")),
            Some(_) => Ok(()),
        }
    }
}

/// When a key ends, by the signature that binds it.
fn ends(key: &impl KeyDetails, binding: &Signature) -> Option<i64> {
    let life = binding.key_expiration_time().map(|life| i64::from(life.as_secs())).filter(|life| *life > 0)?;
    Some(i64::from(key.created_at().as_secs()).saturating_add(life))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyring_that_comes_along_has_keys_that_sign() {
        let mut keys = Keys::default();
        keys.add(include_bytes!("debian/debian-archive.gpg")).unwrap();
        assert!(keys.0.len() >= 6, "{}", keys.0.len());
        assert!(Keys::default().add(b"not a keyring").is_err());
        assert!(Keys::default().add(b"").is_err());
    }
}
