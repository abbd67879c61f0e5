//! Stage 8: a program that signs for us: a cloud's key service, a smart card. What it is asked in, what it answers out: one JSON
//! document each way (docs/signing.md). Runs `stillframe-signer-NAME` from the `PATH`, bounded in time and size.

use std::ffi::OsString;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::registry::program::{Failed, Program};
use crate::trust::verify::PublicKey;

/// Most bytes of an answer.
const MOST_BYTES: u64 = 64 << 10;
/// How long it may take; somebody may have to touch a key.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program and the key that it is asked for.
pub struct Signer {
    program: String,
    key: String,
    search: Option<OsString>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Public {
    public_key: String,
}

#[derive(Deserialize)]
struct Signature {
    signature: String,
}

impl Signer {
    /// The program for a name that was checked already.
    pub fn new(name: &str, key: &str, search: Option<&OsString>) -> Signer {
        Signer { program: format!("stillframe-signer-{name}"), key: key.to_string(), search: search.cloned() }
    }

    /// The other half of the key.
    pub async fn public(&self) -> Result<PublicKey> {
        let said: Public = self.ask("public-key", None).await?;
        PublicKey::from_pem(&said.public_key, &self.program)
    }

    /// Its signature of these bytes.
    pub async fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let said: Signature = self.ask("sign", Some(bytes)).await?;
        STANDARD.decode(said.signature.trim()).map_err(|_| self.wrong("a signature that is not base64"))
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, operation: &str, payload: Option<&[u8]>) -> Result<T> {
        let mut asked = json!({ "version": 1, "operation": operation, "key": self.key });
        if let Some(payload) = payload {
            asked["payload"] = Value::String(STANDARD.encode(payload));
        }
        let (what, name, search) = ("external signer", self.program.as_str(), self.search.as_ref());
        let program = Program { what, name, most: MOST_BYTES, search, patience: PATIENCE };
        let ran = program.run(&[], format!("{asked}\n").as_bytes()).await;
        let (success, output) = ran.map_err(Failed::into_error)?;
        if output.len() as u64 > MOST_BYTES {
            return Err(self.wrong(&format!("over {MOST_BYTES} bytes, which is the limit")));
        }
        if !success {
            return Err(Error::usage(format!("the external signer `{name}` failed to answer `{operation}`"))
                .hint("run it by hand to see why; what it prints may be secret and is not shown here"));
        }
        serde_json::from_slice(&output).map_err(|_| self.wrong("something that is not its JSON"))
    }

    fn wrong(&self, what: &str) -> Error {
        Error::usage(format!("the external signer `{}` printed {what}", self.program))
            .hint("`docs/signing.md` says what it is asked and what it answers")
    }
}
