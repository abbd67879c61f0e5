//! Stage 6: certificates that an image trusts. PEM texts in, one bundle out. Pure.
//!
//! What is declared is parsed strictly: a bundle with one damaged certificate is read by some programs up to it, by some without it, by
//! some not at all. What the base has is taken as it is.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode;

use crate::oci::Digest;

/// Where programs look for a bundle, most usual first: Debian, Ubuntu, Alpine and Arch; Fedora and RHEL; OpenSSL's own default; openSUSE;
/// newer RHEL; old Go.
pub const PLACES: [&str; 6] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/cert.pem",
    "etc/ssl/ca-bundle.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/pki/tls/cacert.pem",
];

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Characters on a line of base64 (RFC 7468, section 2).
const LINE: usize = 64;

/// A certificate in DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate(Vec<u8>);

/// Reads a PEM text, which holds certificates and, between them, remarks; else the line that is wrong, and why.
pub fn read(text: &str) -> Result<Vec<Certificate>, (usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end();
        match &mut open {
            None if line == BEGIN => open = Some((number, String::new())),
            None if line.contains("PRIVATE KEY-----") => {
                return Err((number, "it holds a private key, which nobody else may see".into()));
            }
            None if line.starts_with("-----") => {
                return Err((number, "it holds something else than certificates".into()));
            }
            None => {}
            Some((start, base64)) if line == END => {
                let der = BASE64_STANDARD
                    .decode(base64.as_bytes())
                    .map_err(|cause| (*start, format!("its base64 is wrong: {cause}")))?;
                X509::from_der(&der).map_err(|cause| (*start, format!("it is no X.509 certificate: {cause}")))?;
                found.push(Certificate(der));
                open = None;
            }
            Some((_, base64)) => base64.push_str(line),
        }
    }
    match open {
        Some((start, _)) => Err((start, "its end is missing".into())),
        None if found.is_empty() => Err((1, "there is no certificate in it".into())),
        None => Ok(found),
    }
}

/// One bundle: what the base has, byte for byte, then each certificate that is not in it yet, once, in the order in which they are named.
pub fn bundle(base: &[u8], own: &[Certificate]) -> Vec<u8> {
    let mut known: BTreeSet<Digest> = loose(base).iter().map(|known| Digest::of(&known.0)).collect();
    let mut bundle = base.to_vec();
    if !bundle.is_empty() && !bundle.ends_with(b"\n") {
        bundle.push(b'\n');
    }
    for certificate in own {
        if known.insert(Digest::of(&certificate.0)) {
            bundle.extend(pem(&certificate.0).bytes());
        }
    }
    bundle
}

/// The certificates of somebody else's text, as far as they can be read.
pub fn loose(text: &[u8]) -> Vec<Certificate> {
    let text = String::from_utf8_lossy(text);
    let blocks = text.split(BEGIN).skip(1).filter_map(|block| block.split_once(END));
    let plain = |block: &str| block.split_ascii_whitespace().collect::<String>();
    blocks.filter_map(|(block, _)| BASE64_STANDARD.decode(plain(block)).ok()).map(Certificate).collect()
}

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(LINE).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"))
}

/// The way from the directory of one path to another one, both from the root.
pub fn relative(from: &str, to: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.split('/').collect(), to.split('/').collect());
    let most = from.len().min(to.len()).saturating_sub(1);
    let shared = from.iter().zip(&to).take(most).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..", from.len() - 1 - shared);
    up.chain(to.iter().skip(shared).copied()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(name: &str) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec![name.to_string()]).unwrap().self_signed(&key).unwrap().pem()
    }

    #[test]
    fn certificates_are_read_strictly() {
        let (one, two) = (certificate("one.test"), certificate("two.test"));
        let both = format!("# Example CA\n{one}\nsome = text\n{}", two.replace('\n', "\r\n"));
        assert_eq!(read(&both).unwrap().len(), 2);
        let lines: Vec<&str> = one.lines().collect();
        let body = lines[1..lines.len() - 1].join("\n");
        let damaged = |edit: &dyn Fn(&str) -> String| format!("{BEGIN}\n{}\n{END}\n", edit(&body));
        for (text, line, why) in [
            (String::new(), 1, "no certificate in it"),
            ("hello\n".into(), 1, "no certificate in it"),
            (format!("{one}{BEGIN}\n{body}\n"), lines.len() + 1, "its end is missing"),
            (format!("{one}{END}\n"), lines.len() + 1, "something else"),
            ("-----BEGIN PRIVATE KEY-----\n".into(), 1, "private key"),
            ("-----BEGIN EC PRIVATE KEY-----\n".into(), 1, "private key"),
            (one.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), 1, "something else"),
            (damaged(&|body| body.replacen('M', "*", 1)), 1, "base64"),
            (damaged(&|body| body[..body.len() - 4].to_string()), 1, "no X.509"),
            (damaged(&|_| BASE64_STANDARD.encode(b"no certificate")), 1, "no X.509"),
            (damaged(&|_| String::new()), 1, "no X.509"),
        ] {
            let (at, said) = read(&text).unwrap_err();
            assert!(at == line && said.contains(why), "{at} {said}: {text}");
        }
    }

    #[test]
    fn a_bundle_holds_each_once() {
        let [one, two, three] = ["a.test", "b.test", "c.test"].map(certificate);
        let own = read(&format!("{two}{one}{two}{three}")).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let plain = |pem: &str| pem.replace('\r', "");
        assert_eq!(text(bundle(b"", &own)), plain(&format!("{two}{one}{three}")));
        let base = format!("# base\n{}", one.trim_end());
        assert_eq!(text(bundle(base.as_bytes(), &own)), plain(&format!("{base}\n{two}{three}")));
        assert_eq!(bundle(b"garbage \xff", &[]), b"garbage \xff\n");
    }

    #[test]
    fn links_lead_from_one_place_to_another() {
        assert_eq!(relative("etc/ssl/cert.pem", "etc/ssl/certs/x.crt"), "certs/x.crt");
        assert_eq!(relative("etc/pki/tls/certs/y.crt", "etc/ssl/certs/x.crt"), "../../../ssl/certs/x.crt");
        assert_eq!(relative("a", "b/c"), "b/c");
        assert_eq!(relative("a/b", "a/c"), "c");
    }
}
