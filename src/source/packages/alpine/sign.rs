//! Stage 5: the signature of an Alpine index. Its bytes and the keys in, the bytes that were signed out, or a refusal. Pure.
//!
//! Source: the page "Apk spec" of Alpine's wiki. An index is two gzip streams one behind the other: a tar with signatures, and what they
//! sign, as it is packed. A signature is RSA (PKCS #1 v1.5) over SHA-1 (`.SIGN.RSA.`) or SHA-256 (`.SIGN.RSA256.`), and names its key.

use std::collections::BTreeMap;
use std::io::Read;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::bufread::GzDecoder;

use crate::error::{Error, Result, printable};
use crate::source::tar::entries;

/// Most bytes of a stream that signatures or control files stand in, unpacked.
const MOST_HEAD: u64 = 16 << 20;
/// Largest signature in bytes.
const MOST_SIGNATURE: u64 = 64 << 10;
/// What the names of signatures begin with, and what they are over.
const KINDS: [(&str, &RsaParameters); 2] =
    [(".SIGN.RSA256.", &RSA_PKCS1_2048_8192_SHA256), (".SIGN.RSA.", &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY)];

/// The keys that may sign, by name, in DER.
pub type Keys = BTreeMap<String, Vec<u8>>;

/// Reads a public key in PEM.
pub fn key(pem: &[u8]) -> Result<Vec<u8>> {
    let wrong = || Error::usage("it is no RSA public key in PEM");
    let text = std::str::from_utf8(pem).map_err(|_| wrong())?;
    let (_, rest) = text.split_once("-----BEGIN PUBLIC KEY-----").ok_or_else(wrong)?;
    let (body, _) = rest.split_once("-----END PUBLIC KEY-----").ok_or_else(wrong)?;
    let body: String = body.split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(body).map_err(|cause| wrong().because(cause))
}

/// Splits the first gzip stream off: its plain bytes, and where the next one begins.
pub fn head(bytes: &[u8]) -> Result<(Vec<u8>, usize)> {
    let mut rest = bytes;
    let mut plain = Vec::new();
    let unpacked = GzDecoder::new(&mut rest).take(MOST_HEAD + 1).read_to_end(&mut plain);
    unpacked.map_err(|cause| Error::remote("a gzip stream in it is damaged").because(cause))?;
    if plain.len() as u64 > MOST_HEAD {
        return Err(Error::remote(format!("a gzip stream in it has more than {MOST_HEAD} bytes")));
    }
    Ok((plain, bytes.len() - rest.len()))
}

/// The part of an index that is signed by one of the keys.
pub fn signed<'a>(bytes: &'a [u8], keys: &Keys) -> Result<&'a [u8]> {
    let unreadable = |cause: Error| Error::policy("its signature cannot be read").because(cause);
    let (plain, end) = head(bytes).map_err(unreadable)?;
    let signed = bytes.get(end..).unwrap_or_default();
    let mut tar = entries(plain.as_slice());
    let mut why = Vec::new();
    while let Some(entry) = tar.step().map_err(|cause| Error::policy("its signature cannot be read").because(cause))? {
        let name = String::from_utf8_lossy(&entry.path).into_owned();
        let kind = KINDS.iter().find_map(|(start, over)| Some((name.strip_prefix(start)?, *over)));
        let Some((by, over)) = kind else { continue };
        let mut signature = Vec::new();
        let read = (&mut tar).take(MOST_SIGNATURE).read_to_end(&mut signature);
        read.map_err(|cause| Error::policy("its signature cannot be read").because(cause))?;
        let by = printable(by);
        match keys.get(&by) {
            None => why.push(format!("it is signed by `{by}`, and there is no file of this name in `keyring`")),
            Some(key) => match UnparsedPublicKey::new(over, key).verify(signed, &signature) {
                Ok(()) => return Ok(signed),
                Err(_) => why.push(format!("the signature of `{by}` is wrong")),
            },
        }
    }
    let error = Error::policy("it is not signed by a key of the keyring");
    Err(why.into_iter().fold(error, Error::hint))
}
