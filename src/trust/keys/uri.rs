//! Stage 8: what a key in a token is called (RFC 7512). A text in, its parts out. Pure.

use std::fmt;
use std::path::PathBuf;

use crate::error::{Error, Result, printable};

/// What a URI says.
#[derive(Default)]
pub struct Uri {
    /// The token's label.
    pub token: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// The number of the slot that the token is in.
    pub slot: Option<u64>,
    /// The label of the key.
    pub object: Option<String>,
    /// The identifier of the key.
    pub id: Option<Vec<u8>>,
    /// The module's file.
    pub module: Option<PathBuf>,
    /// What opens the token, if the URI says so.
    pub pin: Option<Pin>,
}

/// What opens a token.
pub enum Pin {
    /// This.
    Value(String),
    /// What stands in this file.
    File(PathBuf),
}

impl Uri {
    /// Reads a URI. Attributes that do not tell which key it is are passed over, those that could are not.
    pub fn read(text: &str) -> Result<Uri> {
        let rest = text.strip_prefix("pkcs11:").ok_or_else(|| wrong("does not begin with `pkcs11:`"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Uri::default();
        for part in path.split(';').chain(query.split('&')).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| wrong("has a part without `=`"))?;
            let bytes = decoded(value).ok_or_else(|| wrong("is badly escaped"))?;
            uri.set(name, bytes)?;
        }
        match uri.object.is_some() || uri.id.is_some() {
            true => Ok(uri),
            false => Err(wrong("names no key: it needs `object` or `id`")),
        }
    }

    fn set(&mut self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let text = || String::from_utf8(bytes.clone()).map_err(|_| wrong("is not UTF-8"));
        match name {
            "token" => self.token = Some(text()?),
            "serial" => self.serial = Some(text()?),
            "object" => self.object = Some(text()?),
            "id" => self.id = Some(bytes),
            "slot-id" => self.slot = Some(text()?.parse().map_err(|_| wrong("has a `slot-id` that is no number"))?),
            "module-path" => self.module = Some(text()?.into()),
            "pin-value" => self.pin = Some(Pin::Value(text()?)),
            "pin-source" => self.pin = Some(Pin::File(source(&text()?)?)),
            "module-name" => return Err(wrong("has `module-name`, which is not supported").hint("use `module-path`")),
            "type" if text()? != "private" => return Err(wrong("has a `type` other than `private`")),
            _ => {}
        }
        Ok(())
    }
}

impl fmt::Display for Uri {
    /// The key's name in messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |id: &Vec<u8>| id.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let key = self.object.as_deref().map(printable).or_else(|| self.id.as_ref().map(hex)).unwrap_or_default();
        match &self.token {
            Some(token) => write!(f, "{key} of {}", printable(token)),
            None => f.write_str(&key),
        }
    }
}

/// The file of a PIN: an absolute path, or a `file:` URI of one. A program (`|…`) is not run.
fn source(text: &str) -> Result<PathBuf> {
    let path = text.strip_prefix("file://").or_else(|| text.strip_prefix("file:")).unwrap_or(text);
    match path.starts_with('/') {
        true => Ok(PathBuf::from(path)),
        false => Err(wrong("has a `pin-source` that is not the absolute path of a file")),
    }
}

fn wrong(why: &str) -> Error {
    Error::usage(format!("the PKCS#11 URI {why}"))
        .hint("write it as in `pkcs11:token=NAME;object=KEY?module-path=/usr/lib/softhsm/libsofthsm2.so`")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read_as_rfc_7512_says() {
        let uri = Uri::read("pkcs11:token=my%20token;object=key;id=%01%ff;type=private?module-path=/m.so&pin-value=12");
        let uri = uri.unwrap();
        assert_eq!((uri.token.as_deref(), uri.object.as_deref()), (Some("my token"), Some("key")));
        assert_eq!((uri.id.as_deref(), uri.module.clone()), (Some(&[1, 255][..]), Some("/m.so".into())));
        assert!(matches!(&uri.pin, Some(Pin::Value(pin)) if pin == "12"));
        assert_eq!(uri.to_string(), "key of my token");
        for source in ["/x", "file:/x", "file:///x"] {
            let uri = Uri::read(&format!("pkcs11:object=a?pin-source={source}")).unwrap();
            assert!(matches!(uri.pin, Some(Pin::File(path)) if path.to_str() == Some("/x")), "{source}");
        }
        for wrong in [
            "x",
            "pkcs11:",
            "pkcs11:token=a",
            "pkcs11:object",
            "pkcs11:object=%zz",
            "pkcs11:object=%1",
            "pkcs11:object=a;slot-id=b",
            "pkcs11:object=a;type=public",
            "pkcs11:object=a?pin-source=x",
            "pkcs11:object=a?pin-source=|x",
            "pkcs11:object=a?module-name=x",
        ] {
            assert_eq!(Uri::read(wrong).err().unwrap().kind().exit_code(), 2, "{wrong}");
        }
    }
}
