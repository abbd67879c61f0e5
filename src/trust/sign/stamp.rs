//! Stage 8: timestamp authorities (RFC 3161). A signature in, the authority's word on when it was there out. Asks it once.

use sigstore_sign::crypto::sha256;
use sigstore_sign::types::{SignatureBytes, TimestampToken};

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::registry::{Ask, Stop};

/// Largest answer, in bytes: a signature and a few certificates.
const MOST_BYTES: u64 = 256 << 10;
/// A request in DER but for the digest and its end: version 1, SHA-256. What follows the digest asks for the certificate.
const BEFORE: [u8; 24] = [
    0x30, 0x39, 0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
    0x01, 0x05, 0x00, 0x04, 0x20,
];
const AFTER: [u8; 3] = [0x01, 0x01, 0xff];

/// A timestamp of a signature. Whether it holds is seen when the whole signature is verified.
pub async fn ask(ctx: &Ctx, url: &str, signature: &SignatureBytes) -> Result<TimestampToken, Stop> {
    let doing = || format!("asking `{url}` for a timestamp");
    let query = [&BEFORE[..], sha256(signature.as_bytes()).as_bytes(), &AFTER].concat();
    let body = Some(("application/timestamp-query", query.into()));
    let ask = Ask { url, body, accept: "application/timestamp-reply", bearer: None, most: MOST_BYTES };
    let told = ctx.registries.ask(&ask).await.map_err(|stop| stop.context(doing()))?;
    let reply = told.success().map_err(|error| error.context(doing()))?;
    match granted(&reply) {
        true => Ok(TimestampToken::new(reply)),
        false => Err(Stop::Fatal(Error::remote("it was not granted").context(doing()))),
    }
}

/// Whether an answer says that a timestamp is in it: two sequences begin, and then comes 0 (granted) or 1 (granted with changes).
fn granted(reply: &[u8]) -> bool {
    fn inside(der: &[u8]) -> Option<&[u8]> {
        let (tag, rest) = der.split_first()?;
        let (length, rest) = rest.split_first()?;
        let more = if *length < 0x80 { 0 } else { usize::from(*length & 0x7f) };
        (*tag == 0x30).then(|| rest.get(more..)).flatten()
    }
    matches!(inside(reply).and_then(inside), Some([0x02, 0x01, 0 | 1, ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_granted_timestamp_is_one() {
        assert!(granted(&[0x30, 0x82, 0x01, 0x00, 0x30, 0x03, 0x02, 0x01, 0x00, 0x30]));
        assert!(granted(&[0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x01]));
        assert!(!granted(&[0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02]));
        for wrong in [&b""[..], b"{}", &[0x30, 0x82], &[0x30, 0xff, 0x30]] {
            assert!(!granted(wrong));
        }
    }
}
