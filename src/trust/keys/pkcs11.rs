//! Stage 8: keys in tokens (PKCS#11): smart cards, hardware security modules. A URI and a PIN in, a key that signs out. Loads the module
//! that the URI or the environment names, which is code of somebody else in this process. ECDSA on P-256, and RSA.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};
use sigstore_sign::types::{DerPublicKey, SignatureBytes};

use super::uri::Uri;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::trust::sign::{By, Signer};
use crate::trust::verify::PublicKey;

/// The variable that holds the PIN, as cosign calls it.
pub const PIN: &str = "COSIGN_PKCS11_PIN";
/// The variable that names the module, as cosign calls it.
pub const MODULE: &str = "COSIGN_PKCS11_MODULE_PATH";
/// How long a token may take; somebody may have to touch it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of one half of a signature, and of one coordinate.
const HALF: usize = 32;

/// Tags of DER.
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// The name of the curve P-256 (RFC 5480).
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// `ecPublicKey` on it (RFC 5480), and `rsaEncryption` (RFC 8017), as algorithms of keys.
const ECDSA_KEY: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07,
];
const RSA_KEY: [u8; 15] = [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// What stands before a SHA-256 digest that RSA signs (RFC 8017, 9.2).
const DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// A key in a token that is open.
pub struct Token {
    open: Arc<Mutex<Open>>,
    public: PublicKey,
}

struct Open {
    session: Session,
    key: ObjectHandle,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ecdsa,
    Rsa,
}

impl Token {
    /// Opens a token and finds the key in it.
    pub async fn open(_: &Ctx, uri: Uri, module: PathBuf, pin: String) -> Result<Token> {
        aside("opening the token", move || {
            let (open, spki) = Open::new(&uri, &module, &pin)?;
            let public = PublicKey::from_der(DerPublicKey::new(spki))?;
            Ok(Token { open: Arc::new(Mutex::new(open)), public })
        })
        .await
    }

    async fn signature(&self, bytes: &[u8]) -> Result<SignatureBytes> {
        let (open, digest) = (self.open.clone(), Sha256::digest(bytes));
        let signed =
            aside("signing with the token", move || open.lock().unwrap_or_else(PoisonError::into_inner).sign(&digest));
        signed.await.map(SignatureBytes::new)
    }
}

impl Signer for Token {
    fn who<'a>(&'a self, _: &'a Ctx) -> BoxFuture<'a, Result<By>> {
        Box::pin(async { Ok(By::Key(self.public.clone())) })
    }

    fn sign<'a>(&'a self, _: &'a Ctx, bytes: &'a [u8]) -> BoxFuture<'a, Result<(SignatureBytes, By)>> {
        Box::pin(async { Ok((self.signature(bytes).await?, By::Key(self.public.clone()))) })
    }
}

/// Does something in the module, on a thread where it may block, for so long and no longer.
async fn aside<T: Send + 'static>(doing: &str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(work)).await {
        Ok(done) => done.map_err(|cause| Error::local(doing).because(cause))?,
        Err(_) => Err(Error::local(format!("{doing} took over {} s, which is the limit", PATIENCE.as_secs()))),
    }
}

fn failed(doing: &str) -> impl FnOnce(cryptoki::error::Error) -> Error {
    let doing = doing.to_string();
    move |cause| Error::local(doing).because(cause)
}

impl Open {
    /// The open key, and its public half.
    fn new(uri: &Uri, module: &PathBuf, pin: &str) -> Result<(Open, Vec<u8>)> {
        let loading = format!("loading the PKCS#11 module `{}`", module.display());
        let context = Pkcs11::new(module).map_err(failed(&loading))?;
        let begin = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        context.initialize(begin).map_err(failed("starting the PKCS#11 module"))?;
        let session = context.open_ro_session(slot(&context, uri)?).map_err(failed("opening the token"))?;
        // The cause is in the module's own words, which hold no PIN.
        let refused = |cause| Error::usage("the token does not take the PIN").because(cause);
        session.login(UserType::User, Some(&AuthPin::new(pin.into()))).map_err(refused)?;
        let key = one(&session, uri, ObjectClass::PRIVATE_KEY)?;
        let public = one(&session, uri, ObjectClass::PUBLIC_KEY)?;
        let (kind, spki) = spki(&session, public)?;
        Ok((Open { session, key, kind }, spki))
    }

    fn sign(&self, digest: &[u8]) -> Result<Vec<u8>> {
        let doing = || failed("signing with the token");
        if self.kind == Kind::Rsa {
            let signed = [&DIGEST_INFO[..], digest].concat();
            return self.session.sign(&Mechanism::RsaPkcs, self.key, &signed).map_err(doing());
        }
        let raw = self.session.sign(&Mechanism::Ecdsa, self.key, digest).map_err(doing())?;
        match raw.len() == 2 * HALF {
            true => Ok(tlv(SEQUENCE, &raw.chunks(HALF).flat_map(integer).collect::<Vec<u8>>())),
            false => Err(Error::local(format!("the token gave a signature of {} bytes", raw.len()))),
        }
    }
}

/// The public half of a key in the form that everybody reads.
fn spki(session: &Session, key: ObjectHandle) -> Result<(Kind, Vec<u8>)> {
    let read = |wanted: &[AttributeType]| session.get_attributes(key, wanted).map_err(failed("reading the public key"));
    let unfit = |what: &str| {
        Error::usage(format!("the key in the token {what}")).hint("ECDSA on P-256 and RSA are signed with")
    };
    let all = match read(&[AttributeType::KeyType])?.as_slice() {
        [Attribute::KeyType(KeyType::EC)] => read(&[AttributeType::EcParams, AttributeType::EcPoint])?,
        [Attribute::KeyType(KeyType::RSA)] => read(&[AttributeType::Modulus, AttributeType::PublicExponent])?,
        _ => return Err(unfit("is neither elliptic nor RSA")),
    };
    match all.as_slice() {
        [Attribute::EcParams(curve), Attribute::EcPoint(point)] if *curve == P256 => {
            // Most tokens wrap the point in an octet string, some do not.
            let point = point.strip_prefix(&[OCTETS, 2 * HALF as u8 + 1]).unwrap_or(point);
            if point.len() != 2 * HALF + 1 {
                return Err(unfit("has no point that could be read"));
            }
            let bits = tlv(BITS, &[&[0], point].concat());
            Ok((Kind::Ecdsa, tlv(SEQUENCE, &[&ECDSA_KEY[..], &bits].concat())))
        }
        [Attribute::Modulus(modulus), Attribute::PublicExponent(exponent)] => {
            let numbers = tlv(SEQUENCE, &[integer(modulus), integer(exponent)].concat());
            let bits = tlv(BITS, &[&[0], &numbers[..]].concat());
            Ok((Kind::Rsa, tlv(SEQUENCE, &[&RSA_KEY[..], &bits].concat())))
        }
        _ => Err(unfit("is on another curve")),
    }
}

/// A value in DER.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let head = match content.len() {
        0..0x80 => vec![tag, digits[0]],
        _ => [&[tag, 0x80 | digits.len() as u8], digits].concat(),
    };
    [head.as_slice(), content].concat()
}

/// A positive number in DER: as short as it can be, and without a sign.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    let mut number = bytes[start..].to_vec();
    if number.first().is_none_or(|first| first & 0x80 != 0) {
        number.insert(0, 0);
    }
    tlv(INTEGER, &number)
}

fn slot(context: &Pkcs11, uri: &Uri) -> Result<Slot> {
    let mut fits = Vec::new();
    for slot in context.get_slots_with_initialized_token().map_err(failed("listing the tokens"))? {
        let info = context.get_token_info(slot).map_err(failed("reading a token"))?;
        let named = uri.token.as_ref().is_none_or(|token| *token == info.label());
        let numbered = uri.serial.as_ref().is_none_or(|serial| *serial == info.serial_number());
        if named && numbered && uri.slot.is_none_or(|number| number == slot.id()) {
            fits.push(slot);
        }
    }
    match fits.as_slice() {
        [slot] => Ok(*slot),
        [] => Err(Error::usage("no token is there that the PKCS#11 URI names")),
        _ => Err(Error::usage(format!("the PKCS#11 URI fits {} tokens", fits.len())).hint("add `token=NAME` to it")),
    }
}

fn one(session: &Session, uri: &Uri, class: ObjectClass) -> Result<ObjectHandle> {
    let what = if class == ObjectClass::PRIVATE_KEY { "private key" } else { "public key" };
    let mut wanted = vec![Attribute::Class(class)];
    wanted.extend(uri.object.as_ref().map(|label| Attribute::Label(label.as_bytes().to_vec())));
    wanted.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
    let found = session.find_objects(&wanted).map_err(failed("looking for the key in the token"))?;
    match found.as_slice() {
        [object] => Ok(*object),
        [] => Err(Error::usage(format!("the token holds no {what} `{uri}`"))),
        _ => {
            Err(Error::usage(format!("the token holds {} {what}s `{uri}`", found.len())).hint("add `id=%…` to the URI"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_are_der() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(tlv(SEQUENCE, &[0; 127])[..2], [0x30, 127]);
        assert_eq!(tlv(SEQUENCE, &[0; 128])[..3], [0x30, 0x81, 128]);
        assert_eq!(tlv(SEQUENCE, &[0; 300])[..4], [0x30, 0x82, 1, 44]);
    }
}
