//! Between stages 0 and 1: names that secrets always have. A path in, what it is known as out. Pure.

/// Names of files, whatever directory they are in.
const FILES: [(&str, &str); 27] = [
    ("id_rsa", "a private key of SSH"),
    ("id_dsa", "a private key of SSH"),
    ("id_ecdsa", "a private key of SSH"),
    ("id_ed25519", "a private key of SSH"),
    ("id_ecdsa_sk", "a private key of SSH"),
    ("id_ed25519_sk", "a private key of SSH"),
    (".netrc", "passwords of hosts"),
    ("_netrc", "passwords of hosts"),
    (".pgpass", "passwords of PostgreSQL"),
    (".my.cnf", "passwords of MySQL"),
    (".git-credentials", "passwords of git"),
    (".dockercfg", "passwords of registries"),
    (".htpasswd", "passwords of a web site"),
    (".pypirc", "a token of a package index"),
    (".vault-token", "a token of Vault"),
    (".boto", "keys of a cloud"),
    (".s3cfg", "keys of a cloud"),
    (".terraformrc", "a token of Terraform"),
    ("credentials.tfrc.json", "a token of Terraform"),
    ("terraform.tfstate", "the state of Terraform, which holds secrets"),
    ("application_default_credentials.json", "keys of a cloud"),
    ("kubeconfig", "the credentials of a cluster"),
    (".bash_history", "the history of a shell"),
    (".zsh_history", "the history of a shell"),
    (".psql_history", "the history of a database"),
    (".mysql_history", "the history of a database"),
    ("cosign.key", "a key that images are signed with"),
];

/// Ends of paths, of more than one part.
const PATHS: [(&str, &str); 11] = [
    (".docker/config.json", "passwords of registries"),
    (".config/containers/auth.json", "passwords of registries"),
    (".aws/credentials", "keys of a cloud"),
    (".azure/accessTokens.json", "keys of a cloud"),
    (".azure/msal_token_cache.json", "keys of a cloud"),
    (".config/gcloud/credentials.db", "keys of a cloud"),
    (".config/gcloud/access_tokens.db", "keys of a cloud"),
    (".kube/config", "the credentials of a cluster"),
    (".cargo/credentials", "a token of a package index"),
    (".cargo/credentials.toml", "a token of a package index"),
    (".config/gh/hosts.yml", "a token of GitHub"),
];

/// Directories all of whose contents are told by one finding.
const DIRECTORIES: [(&str, &str); 4] = [
    (".git", "the history of the sources"),
    (".hg", "the history of the sources"),
    (".svn", "the history of the sources"),
    (".gnupg", "private keys of GnuPG"),
];

/// What follows `.env.` in files that hold no secrets but show which ones there are.
const SHOWN: [&str; 6] = ["example", "sample", "template", "dist", "defaults", "schema"];

/// What the name of a path says it is, and the part of the path that says so: all of it, or a directory above.
pub fn name(path: &str) -> Option<(&'static str, &str)> {
    let mut end = 0;
    for part in path.split('/') {
        end += part.len();
        if let Some((_, what)) = DIRECTORIES.iter().find(|(name, _)| *name == part) {
            return Some((what, path.get(..end)?));
        }
        end += 1;
    }
    let name = path.rsplit('/').next()?;
    let ends = |end: &str| path.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    let env = || match name.strip_prefix(".env")? {
        "" => Some("the environment of a program"),
        rest => {
            let kind = rest.strip_prefix('.')?;
            (!SHOWN.contains(&kind.rsplit('.').next()?)).then_some("the environment of a program")
        }
    };
    let file = || FILES.iter().find(|(known, _)| *known == name).map(|(_, what)| *what);
    let long = || PATHS.iter().find(|(known, _)| ends(known)).map(|(_, what)| *what);
    Some((env().or_else(file).or_else(long)?, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        let check =
            |path: &str, expect: &str| assert_eq!(name(path).map(|(_, part)| part).unwrap_or(""), expect, "{path}");
        for path in
            ["app/.env", ".env", ".env.production", "srv/.env.local", "root/.ssh/id_ed25519", "a/.docker/config.json"]
        {
            check(path, path);
        }
        check("app/.git", "app/.git");
        check("app/.git/config", "app/.git");
        check(".kube/config", ".kube/config");
        for path in [
            ".env.example",
            "app/.env.sample",
            ".env.local.example",
            "environment",
            ".environment",
            "id_ed25519.pub",
            "docker/config.json",
            "x.docker/config.json",
            "app/.gitignore",
            ".github/workflows/a.yml",
            "git/config",
            "",
        ] {
            check(path, "");
        }
    }
}
