//! Stage 1: the rules on the files of an image: their modes, names, sizes and contents. Plain values.

use super::{CHECK_FILE, Level, Rule, Value};
use crate::manifest::grammar::Kind;

/// The rules, in the order of the documentation.
pub(super) static RULES: [&Rule; 10] = [
    &SECRETS,
    &SETUID,
    &WORLD_WRITABLE,
    &DEVICES,
    &MAX_FILE_SIZE,
    &MAX_WASTED,
    &FORBIDDEN_PATHS,
    &REQUIRED_PATHS,
    &CASE,
    &FILE,
];

/// A file is a secret.
pub static SECRETS: Rule = Rule {
    code: "secrets",
    about: "A file is a secret, by its content or by its name.",
    why: "Whoever can pull an image reads every file of every layer, and a later layer that removes one does not help. By content: \
          private keys with their body, and tokens of known services that have the right form. By name: what `.env`, `.git`, \
          `.docker/config.json`, `id_ed25519`, `.netrc`, `.aws/credentials` and their like are always called. Leave it out with \
          `exclude` or an `.imageignore`, and mount it when the program runs; a secret that was pushed once must be changed. \
          Judged is all that the manifest puts into the image, inline content and rendered templates too, but not `[packages]`, \
          which everybody has already; the found text is never printed.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Paths)),
};

/// A file is setuid or setgid.
pub static SETUID: Rule = Rule {
    code: "setuid",
    about: "A file is setuid or setgid.",
    why: "Whoever runs it gets the rights of its owner, which is the usual way up once a program is broken into. File \
          `capabilities` give one right in place of all. Where the manifest sets a level, files of the base are judged too.",
    default: Level::Warn,
    key: Some(Kind::Rule(Value::Paths)),
};

/// A file or directory can be written by everybody.
pub static WORLD_WRITABLE: Rule = Rule {
    code: "world-writable",
    about: "A file, or a directory without the sticky bit, can be written by everybody.",
    why: "Any user of the container can change what others run or read. Give it an `owner`; a directory for all has the sticky \
          bit, `mode = \"1777\"`. Where the manifest sets a level, files of the base are judged too.",
    default: Level::Warn,
    key: Some(Kind::Rule(Value::Paths)),
};

/// There is a device or a named pipe.
pub static DEVICES: Rule = Rule {
    code: "devices",
    about: "There is a device or a named pipe in the image.",
    why: "Engines make the devices that a container has; one in a layer is a door to the host's for a container that may use it. \
          The manifest cannot make any, but a base can have them; `[[remove]]` hides them.",
    default: Level::Warn,
    key: Some(Kind::Rule(Value::Paths)),
};

/// A file is too large.
pub static MAX_FILE_SIZE: Rule = Rule {
    code: "max-file-size",
    about: "A file is larger than this.",
    why: "Counted are the bytes of the file itself, and files of the base count too. Large files are mostly debug data, dumps or \
          models that were copied by mistake. Sizes are written as for `max-size`.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::SizePaths)),
};

/// Too many bytes are stored for nothing.
pub static MAX_WASTED: Rule = Rule {
    code: "max-wasted",
    about: "More bytes than this are stored for nothing: hidden by a later layer, or the same as another file's.",
    why: "A file of the base that is written again or removed is still sent with the base, and the same content under two names \
          is sent twice. Take another base, or put a `[[symlink]]` in the place of the copy. Sizes are written as for `max-size`; \
          counted are the bytes of the files, and copies from 4 KiB on.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Size)),
};

/// There is something that must not be there.
pub static FORBIDDEN_PATHS: Rule = Rule {
    code: "forbidden-paths",
    about: "There is something in the image that must not be there.",
    why: "The globs follow gitignore, and are held against every path of the image, the base's too where nothing hides it. Leave \
          it out with `exclude`, or hide what the base has with `[[remove]]`.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Words)),
};

/// Something that must be there is not.
pub static REQUIRED_PATHS: Rule = Rule {
    code: "required-paths",
    about: "Something that must be in the image is not there.",
    why: "Each glob, which follows gitignore, must fit a path of the image, its own or the base's: certificates, time zones, a \
          licence.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Words)),
};

/// Two names differ only in case.
pub static CASE: Rule = Rule {
    code: "case",
    about: "Two names differ only in upper and lower case.",
    why: "A file system that folds case, as on macOS and Windows, cannot hold both: whoever unpacks the image there loses one.",
    default: Level::Warn,
    key: Some(Kind::Rule(Value::Paths)),
};

/// What must hold of a file.
pub static FILE: Rule = Rule {
    code: "file",
    about: "What must hold of a file: one table each.",
    why: "`[[check.file]]` names a `path` of the image, and what must hold of it: `mode`, `owner` in numbers, and for a file that \
          the manifest puts there `contains`, `starts-with` and `matches` (a regular expression) of its first 16 MiB. A path that \
          is not there fits none of it.",
    default: Level::Deny,
    key: Some(Kind::Tables(&CHECK_FILE)),
};
