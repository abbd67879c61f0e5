//! As much DER as certificates, time stamps and requests for them need. RFC 5280, RFC 3161, RFC 5652.

/// Object identifiers, encoded.
pub const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
pub const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
pub const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
pub const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
pub const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
pub const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
pub const SIGNING_CERTIFICATE_V2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x2f];
/// 1.3.6.1.4.1.57264.2, the policy of sigstore's own authority.
pub const POLICY: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x02];

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const OCTETS: u8 = 0x04;
pub const OID: u8 = 0x06;
pub const UTF8: u8 = 0x0c;
pub const TIME: u8 = 0x18;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;
/// Constructed and context-specific, number 0.
pub const CONTEXT_0: u8 = 0xa0;

/// A value with this tag.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=127 => out.push(short as u8),
        long => {
            let bytes = long.to_be_bytes();
            let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            out.push(0x80 | bytes.len() as u8);
            out.extend(bytes);
        }
    }
    out.extend(content);
    out
}

/// A constructed value.
pub fn all(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    tlv(tag, &parts.concat())
}

/// A sequence.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    all(SEQUENCE, parts)
}

/// A set of values in the order that DER wants.
pub fn set_of(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    tlv(SET, &parts.concat())
}

/// An identifier from its encoded form.
pub fn oid(encoded: &[u8]) -> Vec<u8> {
    tlv(OID, encoded)
}

/// A number that is not negative.
pub fn number(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let first = bytes.iter().take_while(|byte| **byte == 0).count().min(7);
    let zero: &[u8] = if bytes[first] & 0x80 != 0 { &[0] } else { &[] };
    all(INTEGER, &[zero, &bytes[first..]])
}

/// One value as it was read.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    /// With tag and length.
    pub whole: &'a [u8],
}

impl<'a> Value<'a> {
    /// The values inside.
    pub fn parts(&self) -> Option<Vec<Value<'a>>> {
        let (mut rest, mut parts) = (self.content, Vec::new());
        while !rest.is_empty() {
            let value = read(rest)?;
            rest = &rest[value.whole.len()..];
            parts.push(value);
        }
        Some(parts)
    }
}

/// The first value of these bytes.
pub fn read(bytes: &[u8]) -> Option<Value<'_>> {
    let (tag, first) = (*bytes.first()?, *bytes.get(1)?);
    let (head, length) = match first {
        0..=127 => (2, first as usize),
        _ => {
            let count = (first & 0x7f) as usize;
            let length = bytes.get(2..2 + count).filter(|_| (1..=4).contains(&count))?;
            (2 + count, length.iter().fold(0, |all, byte| all << 8 | *byte as usize))
        }
    };
    let whole = bytes.get(..head + length)?;
    Some(Value { tag, content: &whole[head..], whole })
}
