//! Between stages 1 and 2: what to do instead of a command. Pure.

/// Programs, and what does their work.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["npm", "yarn", "pnpm", "bun", "npx"],
        "run it before `stillframe build`, and copy its result (`node_modules`, `dist`) with `[[file]]`",
    ),
    (
        &["pip", "pip3", "poetry", "uv", "pipenv", "python", "python3"],
        "run it before `stillframe build` (`pip install --target DIR`), and copy that directory with `[[file]]`",
    ),
    (
        &["go", "cargo", "rustup", "make", "cmake", "gcc", "cc", "ninja", "meson", "zig"],
        "build it before `stillframe build`, and put the program in with `[[binary]]`",
    ),
    (
        &["mvn", "mvnw", "gradle", "gradlew", "javac", "sbt", "jlink", "jdeps"],
        "build it before `stillframe build`, and copy the archive or directory with `[[file]]`",
    ),
    (
        &["bundle", "gem", "composer", "mix", "dotnet", "hugo", "jekyll"],
        "run it before `stillframe build`, and copy its result with `[[file]]`",
    ),
    (
        &["curl", "wget", "fetch"],
        "`[[archive]]` with `url` and `sha256` fetches an archive and takes it apart; fetch a single file outside, and check its sum there",
    ),
    (&["git"], "check it out before `stillframe build`, and copy it with `[[file]]`"),
    (&["tar", "unzip", "gunzip", "xz"], "`[[archive]]` takes an archive apart, local or from a URL"),
    (&["update-ca-certificates"], "`[trust-store]` puts certificates into every usual place"),
    (
        &["apt-get", "apt", "dpkg", "apt-key", "add-apt-repository"],
        "`[packages.debian]` installs packages of Debian; more sources go into `[[packages.debian.source]]`",
    ),
    (&["apk"], "`[packages.alpine]` installs packages of Alpine"),
    (
        &["dnf", "yum", "microdnf", "rpm", "zypper", "pacman"],
        "packages of this distribution are not installed; take their files with `[[copy]]` out of an image that has them, or choose a base that does",
    ),
    (
        &["sed", "awk", "perl", "envsubst", "printf", "cat", "tee", "echo"],
        "write the file as it shall be: `[[file]]` with `content`, or with `template = true`",
    ),
    (&["chmod"], "say `mode` (and `dir-mode`) in the entry that brings the file"),
    (&["chown", "chgrp"], "say `owner` in the entry that brings the files"),
    (&["mkdir", "install"], "declare it with `[[dir]]`, with `mode` and `owner`"),
    (&["ln"], "declare it with `[[symlink]]`"),
    (&["rm", "rmdir", "find"], "leave the files out with `exclude`; `[[remove]]` hides what the base has"),
    (&["cp", "mv"], "give the entry that brings the file its last place in `dest`"),
    (&["useradd", "adduser", "usermod", "deluser", "passwd"], "declare the account with `[[user]]`, with its number"),
    (&["groupadd", "addgroup", "groupmod"], "declare it with `[[group]]`, with its number"),
    (&["setcap"], "say `capabilities` in the `[[binary]]`"),
    (&["ldconfig"], "the loader knows the usual directories by itself; nothing is needed for them"),
    (
        &["locale-gen", "localedef", "dpkg-reconfigure"],
        "run it outside, and copy what it makes; `C.UTF-8` needs nothing",
    ),
    (&["a2enmod", "a2ensite", "update-alternatives"], "declare the link that it makes with `[[symlink]]`"),
];

/// What to do instead of a command or a script, by the first program in it that is known.
pub fn advice(script: &str) -> String {
    let separators = |one: char| one.is_whitespace() || ";&|(){}`".contains(one);
    let words = script.split(separators).filter(|word| !word.is_empty());
    let known = words.filter_map(|word| {
        let program = word.rsplit('/').next().unwrap_or_default();
        ADVICE.iter().find(|(programs, _)| programs.contains(&program)).map(|(_, advice)| *advice)
    });
    let first = known.into_iter().next();
    first
        .unwrap_or("run it before `stillframe build`, and copy what it makes with `[[file]]` or `[[binary]]`")
        .to_string()
}
