//! Stage 8: keys in tokens (PKCS#11): smart cards, hardware security modules. A URI (RFC 7512) and a PIN in, a key that signs out.
//! Loads the module that the URI or `COSIGN_PKCS11_MODULE_PATH` names. P-256 keys only.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, printable};
use crate::trust::verify::PublicKey;

/// The variables that cosign has for the same.
pub const PIN: &str = "COSIGN_PKCS11_PIN";
pub const MODULE: &str = "COSIGN_PKCS11_MODULE_PATH";
/// What stands before the point of a P-256 key (SubjectPublicKeyInfo, RFC 5480).
const SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// What stands before the same point in a token: an octet string of 65 bytes.
const POINT: [u8; 2] = [0x04, 0x41];
/// Bytes of one half of a signature.
const HALF: usize = 32;

/// What a URI says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Uri {
    token: Option<String>,
    slot: Option<u64>,
    object: Option<String>,
    id: Option<Vec<u8>>,
    module: Option<PathBuf>,
    /// The PIN, if it stands there.
    pub pin: Option<String>,
}

/// A key in a token that is open.
pub struct Token {
    session: Mutex<Session>,
    key: ObjectHandle,
    point: Vec<u8>,
}

impl Uri {
    /// Reads a URI; parts that do not tell which key it is are passed over.
    pub fn read(text: &str) -> Result<Uri> {
        let wrong = |why: &str| {
            Error::usage(format!("the PKCS#11 URI {why}"))
                .hint("write it as in `pkcs11:token=NAME;object=KEY?module-path=/usr/lib/softhsm/libsofthsm2.so`")
        };
        let rest = text.strip_prefix("pkcs11:").ok_or_else(|| wrong("does not begin with `pkcs11:`"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Uri::default();
        for part in path.split(';').chain(query.split('&')).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| wrong("has a part without `=`"))?;
            let bytes = decoded(value).ok_or_else(|| wrong("is badly escaped"))?;
            let text = || String::from_utf8(bytes.clone()).map_err(|_| wrong("is not UTF-8"));
            match name {
                "token" => uri.token = Some(text()?),
                "object" => uri.object = Some(text()?),
                "id" => uri.id = Some(bytes),
                "slot-id" => uri.slot = Some(text()?.parse().map_err(|_| wrong("has a `slot-id` that is no number"))?),
                "module-path" => uri.module = Some(text()?.into()),
                "pin-value" => uri.pin = Some(text()?),
                "pin-source" | "module-name" => return Err(wrong(&format!("has `{name}`, which is not supported"))),
                _ => {}
            }
        }
        match uri.object.is_some() || uri.id.is_some() {
            true => Ok(uri),
            false => Err(wrong("names no key: it needs `object` or `id`")),
        }
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
                u8::try_from(high << 4 | low).ok()?
            }
            byte => byte,
        });
    }
    Some(bytes)
}

fn failed(doing: &str) -> impl FnOnce(cryptoki::error::Error) -> Error {
    let doing = doing.to_string();
    move |cause| Error::local(doing).because(cause)
}

impl Token {
    /// Opens a token and finds the key in it.
    pub fn open(uri: &Uri, pin: &str, module: Option<&str>) -> Result<Token> {
        let module = uri.module.clone().or_else(|| module.map(PathBuf::from)).ok_or_else(|| {
            Error::usage("nothing names the PKCS#11 module")
                .hint(format!("add `?module-path=FILE` to the URI, or set `{MODULE}`"))
        })?;
        let context =
            Pkcs11::new(&module).map_err(failed(&format!("loading the PKCS#11 module `{}`", module.display())))?;
        let begin = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        context.initialize(begin).map_err(failed("starting the PKCS#11 module"))?;
        let slot = slot(&context, uri)?;
        let session = context.open_ro_session(slot).map_err(failed("opening the token"))?;
        let login = session.login(UserType::User, Some(&AuthPin::new(pin.into())));
        // The cause is told in the module's own words, which hold no PIN.
        login.map_err(|cause| Error::usage("the token does not take the PIN").because(cause))?;
        let key = one(&session, uri, ObjectClass::PRIVATE_KEY)?;
        let public = one(&session, uri, ObjectClass::PUBLIC_KEY)?;
        let point =
            session.get_attributes(public, &[AttributeType::EcPoint]).map_err(failed("reading the public key"))?;
        let Some(Attribute::EcPoint(point)) = point.into_iter().next() else {
            return Err(Error::usage("the key in the token is not an elliptic one").hint("P-256 keys are signed with"));
        };
        let point = point.strip_prefix(&POINT).unwrap_or(&point).to_vec();
        Ok(Token { session: Mutex::new(session), key, point })
    }

    /// The other half.
    pub fn public(&self) -> Result<PublicKey> {
        if self.point.len() != 2 * HALF + 1 {
            return Err(Error::usage("the key in the token is not a P-256 key"));
        }
        PublicKey::from_spki(&[&SPKI[..], &self.point].concat())
    }

    /// The signature of these bytes.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = Sha256::digest(bytes);
        let raw = session.sign(&Mechanism::Ecdsa, self.key, &digest).map_err(failed("signing with the token"))?;
        if raw.len() != 2 * HALF {
            return Err(Error::local(format!("the token gave a signature of {} bytes", raw.len())));
        }
        let inner: Vec<u8> = raw.chunks(HALF).flat_map(integer).collect();
        Ok([&[0x30, inner.len() as u8][..], &inner].concat())
    }
}

/// A positive number as DER has it.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let mut number = bytes[start..].to_vec();
    if number[0] & 0x80 != 0 {
        number.insert(0, 0);
    }
    [&[0x02, number.len() as u8][..], &number].concat()
}

fn slot(context: &Pkcs11, uri: &Uri) -> Result<Slot> {
    let slots = context.get_slots_with_initialized_token().map_err(failed("listing the tokens"))?;
    let mut fits = Vec::new();
    for slot in slots {
        let label = context.get_token_info(slot).map_err(failed("reading a token"))?.label().to_string();
        let named = uri.token.as_ref().is_none_or(|token| *token == label);
        if named && uri.slot.is_none_or(|number| number == slot.id()) {
            fits.push(slot);
        }
    }
    match fits.as_slice() {
        [slot] => Ok(*slot),
        [] => Err(Error::usage("no token is there that the URI names")),
        _ => Err(Error::usage(format!("the URI fits {} tokens", fits.len())).hint("add `token=NAME`")),
    }
}

fn one(session: &Session, uri: &Uri, class: ObjectClass) -> Result<ObjectHandle> {
    let what = if class == ObjectClass::PRIVATE_KEY { "private key" } else { "public key" };
    let mut wanted = vec![Attribute::Class(class)];
    wanted.extend(uri.object.as_ref().map(|label| Attribute::Label(label.as_bytes().to_vec())));
    wanted.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
    let found = session.find_objects(&wanted).map_err(failed("looking for the key in the token"))?;
    let shown = printable(uri.object.as_deref().unwrap_or("of that id"));
    match found.as_slice() {
        [object] => Ok(*object),
        [] => Err(Error::usage(format!("the token holds no {what} `{shown}`"))),
        _ => {
            Err(Error::usage(format!("the token holds {} {what}s `{shown}`", found.len()))
                .hint("add `id=%…` to the URI"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        let uri = Uri::read("pkcs11:token=my%20token;object=key;id=%01%ff;type=private?module-path=/m.so&pin-value=12")
            .unwrap();
        assert_eq!(
            (uri.token.as_deref(), uri.object.as_deref(), uri.pin.as_deref()),
            (Some("my token"), Some("key"), Some("12"))
        );
        assert_eq!((uri.id.as_deref(), uri.module), (Some(&[1, 255][..]), Some("/m.so".into())));
        for wrong in [
            "x",
            "pkcs11:",
            "pkcs11:token=a",
            "pkcs11:object",
            "pkcs11:object=%zz",
            "pkcs11:object=%1",
            "pkcs11:object=a;slot-id=b",
            "pkcs11:object=a?pin-source=/x",
        ] {
            assert_eq!(Uri::read(wrong).unwrap_err().kind().exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_short_and_positive() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
    }
}
