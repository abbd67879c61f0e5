//! Stage 1: the rules on an image as a whole: its user, its sizes, its names, what it stands on. Plain values.

use super::{Level, Rule, Value};
use crate::manifest::grammar::Kind;

/// The rules, in the order of the documentation.
pub(super) static RULES: [&Rule; 11] = [
    &ROOT_USER,
    &USER_NAME,
    &MAX_SIZE,
    &MAX_LAYER_SIZE,
    &MAX_LAYERS,
    &REQUIRED_LABELS,
    &SECRET_VALUES,
    &UNPINNED_BASE,
    &UNSIGNED_BASE,
    &MAX_BASE_AGE,
    &UNUSED_ALLOW,
];

/// The image runs as root.
pub static ROOT_USER: Rule = Rule {
    code: "root-user",
    about: "The image runs as root.",
    why: "A program that is broken into is then root in its container, and on the host where it gets out of that; many clusters \
          refuse to start it (`runAsNonRoot`). Set `user` under `[image]` to a number such as \"65532:65532\" or to a user of the \
          image; a directory that the program writes to gets `owner` in its `[[dir]]`. What must be root says \
          `root-user = \"allow\"`, alone or with a reason.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Whole { bare: true })),
};

/// The user of the image is a name and no number.
pub static USER_NAME: Rule = Rule {
    code: "user-name",
    about: "The user of the image is a name and no number.",
    why: "Kubernetes cannot tell whether a name is root, and refuses such an image under `runAsNonRoot`. Images made here have \
          numbers: a name is looked up in the `/etc/passwd` of the image. The rule is for images that others made.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Whole { bare: false })),
};

/// All layers together are too large.
pub static MAX_SIZE: Rule = Rule {
    code: "max-size",
    about: "All layers together, as they are stored, are larger than this.",
    why: "Counted are the compressed bytes of all layers of a platform, the base's too: what is stored and sent. A size is a \
          number with a unit (\"60MiB\", \"60MB\"), or a customary budget: \"large\" is 500 MiB (of an image), \"medium\" 200 MiB \
          (of a layer), \"small\" 100 MiB (of a file). `check` packs nothing: it refuses where the base alone is too large, and \
          says so where only a build can tell.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Size)),
};

/// A layer is too large.
pub static MAX_LAYER_SIZE: Rule = Rule {
    code: "max-layer-size",
    about: "A layer, as it is stored, is larger than this.",
    why: "A layer is sent whole, however little of it has changed. Put what changes at another pace into a layer of its own with \
          `layer = \"name\"`. Layers of the base count too. Sizes are written as for `max-size`.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Size)),
};

/// There are too many layers.
pub static MAX_LAYERS: Rule = Rule {
    code: "max-layers",
    about: "The image has more layers than this.",
    why: "Each layer is a request more for whoever pulls, and a directory more on the stack of each file that is opened. Without \
          a limit of your own it is 125, the most that a Docker engine takes.",
    default: Level::Warn,
    key: Some(Kind::Rule(Value::Count)),
};

/// A label is missing or empty.
pub static REQUIRED_LABELS: Rule = Rule {
    code: "required-labels",
    about: "A label is missing or empty.",
    why: "Labels say where an image comes from and who looks after it. Those that are listed must stand in the config with a \
          value, written under `[labels]` or inherited from the base.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Words)),
};

/// A value of the config looks like a secret.
pub static SECRET_VALUES: Rule = Rule {
    code: "secret-values",
    about: "A variable, label or annotation looks like a key or a password.",
    why: "The config of an image is shown to everybody who can pull it, `docker inspect` is enough. Give secrets to the program \
          when it runs. What is set in the manifest is judged, not what the base has; values are never printed.",
    default: Level::Warn,
    key: Some(Kind::Rule(Value::Whole { bare: false })),
};

/// The base lacks its digest.
pub static UNPINNED_BASE: Rule = Rule {
    code: "unpinned-base",
    about: "The base lacks its digest.",
    why: "A tag can move, and the same manifest would give another image. Paste the line that the finding prints, which is what \
          the tag is now. This is a mistake of the manifest (exit 2) and cannot be allowed.",
    default: Level::Deny,
    key: None,
};

/// Nobody is asked to vouch for the base.
pub static UNSIGNED_BASE: Rule = Rule {
    code: "unsigned-base",
    about: "Nobody is asked to vouch for the base.",
    why: "Without `[base.verify]` a base is whatever its digest says, whoever made it. Write who must have signed it; a base in a \
          layout or an archive has no signature that could be asked for, `scratch` needs none. Many bases are not signed, so \
          that this is only looked at where the manifest says so.",
    default: Level::Allow,
    key: Some(Kind::Rule(Value::Whole { bare: false })),
};

/// The base is too old.
pub static MAX_BASE_AGE: Rule = Rule {
    code: "max-base-age",
    about: "The base is more than this many days older than the image.",
    why: "An old base lacks the repairs of the time since. No clock is asked: `created` of the base's config is compared with \
          `created` of this image, which is its commit's time, so that a commit stays as right as it was. Where one of them says \
          nothing (bases that set 1970, manifests with `created = \"fixed\"`), that is told as a warning. Pin a newer base.",
    default: Level::Deny,
    key: Some(Kind::Rule(Value::Count)),
};

/// Something is allowed that was not found.
pub static UNUSED_ALLOW: Rule = Rule {
    code: "unused-allow",
    about: "Something is allowed that was not found.",
    why: "An exception that outlives its reason lets the next one through. Take it out.",
    default: Level::Warn,
    key: Some(Kind::Rule(Value::Whole { bare: false })),
};
