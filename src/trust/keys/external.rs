//! Stage 8: a program that signs for us: a cloud's key service, a vault, a smart card. What it is asked in, what it answers out: one
//! JSON document each way (`docs/signing.md`). Runs `stillframe-signer-NAME` of the `PATH`, bounded in time and size.

use std::ffi::OsString;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sigstore_sign::types::SignatureBytes;

use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::registry::program::{self, Failed, Ran};
use crate::trust::sign::{By, Signer};
use crate::trust::verify::PublicKey;

/// What the names of external signers begin with.
const PREFIX: &str = "stillframe-signer-";
/// The version of what is said.
const VERSION: u32 = 1;
/// Most bytes of an answer.
const MOST_BYTES: u64 = 64 << 10;
/// How long it may take; somebody may have to touch a key.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program, and the key that it is asked for.
pub struct Program {
    name: String,
    key: String,
    search: Option<OsString>,
    public: PublicKey,
}

/// The answer to `public-key`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Public {
    public_key: String,
}

/// The answer to `sign`.
#[derive(Deserialize)]
struct Signature {
    signature: String,
}

impl Program {
    /// The program of a name that was checked already; it is asked for its public key.
    pub async fn open(_: &Ctx, name: &str, key: &str, search: Option<OsString>) -> Result<Program> {
        let name = format!("{PREFIX}{name}");
        let said: Public = ask(&name, search.as_ref(), json!({ "operation": "public-key", "key": key })).await?;
        let public = PublicKey::from_pem(&said.public_key, &name)?;
        Ok(Program { name, key: key.to_string(), search, public })
    }

    async fn signature(&self, bytes: &[u8]) -> Result<SignatureBytes> {
        let digest = json!({ "algorithm": "sha256", "value": STANDARD.encode(Digest::of(bytes).bytes()) });
        let asked = json!({ "operation": "sign", "key": self.key, "digest": digest });
        let said: Signature = ask(&self.name, self.search.as_ref(), asked).await?;
        let signature = STANDARD.decode(said.signature.trim());
        Ok(SignatureBytes::new(signature.map_err(|_| wrong(&self.name, "a signature that is not base64"))?))
    }
}

impl Signer for Program {
    fn who<'a>(&'a self, _: &'a Ctx) -> BoxFuture<'a, Result<By>> {
        Box::pin(async { Ok(By::Key(self.public.clone())) })
    }

    fn sign<'a>(&'a self, _: &'a Ctx, bytes: &'a [u8]) -> BoxFuture<'a, Result<(SignatureBytes, By)>> {
        Box::pin(async { Ok((self.signature(bytes).await?, By::Key(self.public.clone()))) })
    }
}

async fn ask<T: DeserializeOwned>(name: &str, search: Option<&OsString>, mut asked: Value) -> Result<T> {
    asked["version"] = json!(VERSION);
    let program = program::Program { name, most: MOST_BYTES, search, patience: PATIENCE };
    let failed = |what: &str| Error::usage(format!("the external signer `{name}` {what}"));
    let by_hand = "run it by hand to see why; what it prints may be secret and is not shown here";
    let ran = program.run(&[], format!("{asked}\n").as_bytes()).await;
    let Ran { success, output } = ran.map_err(|error| match error {
        Failed::Missing => failed("is not in the `PATH` or cannot be executed")
            .hint(format!("install `{name}`; `docs/signing.md` says how one is written")),
        Failed::Start(cause) => failed("does not start").because(cause),
        Failed::Broke(cause) => failed("failed").because(cause).hint(by_hand),
        Failed::Slow => failed(&format!("did not answer within {} s", PATIENCE.as_secs())).hint(by_hand),
    })?;
    if output.len() as u64 > MOST_BYTES {
        return Err(wrong(name, &format!("over {MOST_BYTES} bytes, which is the limit")));
    }
    if !success {
        return Err(failed(&format!("did not do what it was asked for ({})", asked["operation"])).hint(by_hand));
    }
    serde_json::from_slice(&output).map_err(|_| wrong(name, "something that is not its JSON"))
}

fn wrong(name: &str, what: &str) -> Error {
    Error::usage(format!("the external signer `{name}` printed {what}"))
        .hint("`docs/signing.md` says what it is asked and what it answers")
}
