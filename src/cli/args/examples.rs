//! Stage 10: examples for the help of each command. Pure.

use clap::{Command, CommandFactory};

use super::Arguments;

/// A command, and lines that could be typed.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("init", &["init", "init --ci github --name ghcr.io/acme/server", "init --from Dockerfile"]),
    ("fmt", &["fmt", "fmt --check services/api services/web"]),
    ("check", &["check", "check --explain secrets", "--format sarif check", "check --all"]),
    ("plan", &["plan", "--format json plan", "plan --changed-since origin/main"]),
    (
        "resolve",
        &[
            "resolve --yaml k8s/",
            "-f services/api resolve --yaml deployment.yaml",
            "resolve --render --yaml all.yaml.j2",
        ],
    ),
    ("build", &["build", "build -o docker", "build -o oci:out -o docker-archive:image.tar", "build --all --shard 2/5"]),
    ("push", &["push", "--set version=1.2.3 push --receipt pushed.json"]),
    ("release", &["release", "release --prepare --receipt receipt.json"]),
    ("sbom", &["sbom", "sbom --type cyclonedx --platform linux/arm64"]),
    ("provenance", &["provenance"]),
    ("update", &["update", "update base --dry-run", "update packages"]),
    ("outdated", &["outdated"]),
    ("reproduce", &["reproduce ghcr.io/acme/server:1.2", "reproduce --revision ghcr.io/acme/server:1.2"]),
    ("inspect", &["inspect", "inspect --verify ghcr.io/acme/server:1.2", "inspect oci:out"]),
    ("files", &["files", "files --waste ghcr.io/acme/server:1.2"]),
    ("diff", &["diff ghcr.io/acme/server:1.2", "diff oci:old oci:new"]),
    ("history", &["history ghcr.io/acme/server:1.2"]),
    ("pull", &["pull ghcr.io/acme/server:1.2", "pull ghcr.io/acme/server:1.2 -o oci:out"]),
    ("copy", &["copy ghcr.io/acme/server:1.2 registry.example.com/server:1.2", "copy oci:out ghcr.io/acme/server:1.2"]),
    ("tag", &["tag ghcr.io/acme/server:1.2.3 1.2 1 latest"]),
    ("scan", &["scan", "scan ghcr.io/acme/server:1.2 --severity high"]),
    ("update-db", &["update-db", "update-db --ecosystem Debian"]),
    ("verify", &["verify ghcr.io/acme/server:1.2 --key cosign.pub"]),
    ("sign", &["sign ghcr.io/acme/server:1.2 --key cosign.key", "sign --from receipt.json"]),
    ("attest", &["attest ghcr.io/acme/server:1.2 --type spdxjson --predicate spdx.json --key cosign.key"]),
    ("keygen", &["keygen", "keygen --output-prefix release"]),
    ("save", &["save ghcr.io/acme/server:1.2 server.tar", "save --docker --platform linux/amd64 oci:out server.tar"]),
    ("load", &["load server.tar"]),
    ("images", &["images", "images ghcr.io/acme/server"]),
    ("rm", &["rm ghcr.io/acme/server:1.2", "rm 3f2a91c0"]),
    (
        "prune",
        &[
            "prune --dry-run",
            "prune --all --older-than 7d",
            "prune --keep-size 10GiB",
            "prune --remote ghcr.io/acme/server --keep-last 10 --keep-semver",
        ],
    ),
    ("run", &["run -p 8080:8080", "run ./services/api -- --verbose", "run ghcr.io/acme/server:1.2"]),
    ("watch", &["watch", "watch --run -p 8080:8080"]),
    ("tags", &["tags ls ghcr.io/acme/server", "tags rm ghcr.io/acme/server:pr-12 --yes"]),
    ("login", &["login ghcr.io -u me", "login ghcr.io -u me --password-stdin"]),
    ("logout", &["logout ghcr.io"]),
    ("doctor", &["doctor", "doctor ghcr.io/acme/server"]),
    ("schema", &["schema", "schema --of inspect"]),
    ("man", &["man", "man --dir /usr/local/share/man/man1"]),
    ("completions", &["completions bash"]),
];

/// The grammar of the command line, with examples in the help of each command.
pub fn grammar() -> Command {
    let with = |command: Command, (name, lines): &(&'static str, &[&str])| {
        command.mut_subcommand(name, |inner| {
            let below: Vec<String> = inner.get_subcommands().map(|below| below.get_name().to_string()).collect();
            let inner = inner.after_help(shown(lines.iter()));
            below.into_iter().fold(inner, |inner, below| {
                let own = format!("{name} {below} ");
                let lines = lines.iter().filter(|line| line.starts_with(&own));
                inner.mut_subcommand(below, |below| below.after_help(shown(lines)))
            })
        })
    };
    EXAMPLES.iter().fold(Arguments::command(), with)
}

fn shown<'a>(lines: impl Iterator<Item = &'a &'a str>) -> String {
    format!("Examples:{}", lines.map(|line| format!("\n  stillframe {line}")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_examples_and_each_is_right() {
        let names: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
        for command in Arguments::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(names.contains(&command.get_name()), "`{}` has no example", command.get_name());
        }
        for (name, lines) in EXAMPLES {
            for line in *lines {
                let words = std::iter::once("stillframe").chain(line.split(' '));
                let parsed = grammar().try_get_matches_from(words);
                let parsed = parsed.unwrap_or_else(|error| panic!("{line}: {error}"));
                assert_eq!(parsed.subcommand_name(), Some(*name), "{line}");
            }
        }
    }
}
