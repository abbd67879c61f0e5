//! Stage 1: the tables for signatures: who must have signed the base, and how the image is signed. Pure.

use super::{Kind, Table, key, required};

pub(super) static BASE: Table = Table {
    name: "base",
    about: "What is asked of the base.",
    keys: &[key("verify", Kind::Table(&VERIFY), "Who must have signed the base.")],
};

static VERIFY: Table = Table {
    name: "base.verify",
    about: "Who must have signed the base. A base that is not signed so is refused.",
    keys: &[
        key("key", Kind::Text, "The file of the public key, relative to this file."),
        key("identity", Kind::Text, "The signer's identity: a mail address, or the URI of a workflow."),
        key("identity-regexp", Kind::Text, "The same as a regular expression for the whole of it."),
        key("issuer", Kind::Text, "Who vouched for the identity: a URL."),
        key("issuer-regexp", Kind::Text, "The same as a regular expression for the whole of it."),
        key("require-log", Kind::Bool, "Whether a key's signature must stand in a transparency log. Default false."),
        key("trusted-root", Kind::Text, "The file of a trusted root of sigstore. Default: the public-good instance's."),
    ],
};

pub(super) static SIGN: Table = Table {
    name: "sign",
    about: "How the image is signed.",
    keys: &[
        required(
            "method",
            Kind::OneOf(&["key", "keyless"]),
            "\"key\", or \"keyless\" for the identity of a CI job or person.",
        ),
        key(
            "key",
            Kind::Text,
            "The private key: a file relative to this one, a variable (\"env://COSIGN_PRIVATE_KEY\"), a key in a token \
             (\"pkcs11:token=…;object=…\") or one behind a program (\"signer://NAME/KEY\").",
        ),
        key(
            "format",
            Kind::OneOf(&["bundle", "legacy", "both"]),
            "What is written beside the image. Default \"both\", or \"bundle\" where the services allow no legacy signatures.",
        ),
        key(
            "log",
            Kind::Bool,
            "Whether a key's signature is written to a transparency log too. Default false; true beside `signing-config`.",
        ),
        key(
            "signing-config",
            Kind::Text,
            "The file of a signing config of sigstore, which names the services that sign. Default: the public-good instance's.",
        ),
        key("trusted-root", Kind::Text, "The file of a trusted root of sigstore. Default: the public-good instance's."),
    ],
};
