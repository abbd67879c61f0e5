//! docker-registry behind nginx: whom we trust (`SSL_CERT_FILE`, `ca`), and who is trusted (`client-cert`).

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::peers::{Server, docker_registry, output, said};
use crate::project::{Project, digest, noise, refused};
use crate::servers::{Authority, local, nginx};

/// A run with a `registries.toml` and, maybe, `SSL_CERT_FILE`.
fn run(project: &Project, host: &str, more: &str, authorities: Option<&Path>, words: &[&str]) -> Output {
    let hosts = project.out("registries.toml");
    fs::write(&hosts, format!("[host.\"{host}\"]\nhttp = false\n{more}")).unwrap();
    let mut command = project.command(words);
    command.env("STILLFRAME_REGISTRIES", hosts);
    if let Some(authorities) = authorities {
        command.env("SSL_CERT_FILE", authorities);
    }
    output(&mut command)
}

fn project(host: &str) -> Project {
    let image = format!(
        "[image]\nname = \"{host}/team/app\"\nbase = \"scratch\"\n[[file]]\nsrc = \"data\"\ndest = \"/data\"\n"
    );
    Project::new(&image).file("data", noise(1_500_000, 41))
}

struct Stage {
    authority: Authority,
    front: Server,
    _behind: Server,
}

fn stage(clients: Option<&Authority>) -> Stage {
    let behind = docker_registry(None, true);
    let authority = Authority::new();
    Stage { front: nginx(&authority, &behind.host, clients), authority, _behind: behind }
}

#[test]
fn an_authority_is_trusted_where_the_user_says_so_and_nowhere_else() {
    let stage = stage(None);
    let host = local(&stage.front);
    let project = project(&host);
    let ca = project.out("ca.pem");
    fs::write(&ca, stage.authority.pem()).unwrap();
    let other = project.out("other.pem");
    fs::write(&other, Authority::new().pem()).unwrap();
    let declared = |file: &Path| format!("ca = \"{}\"\n", file.display());
    for (more, authorities) in [(String::new(), Some(other.as_path())), (declared(&other), Some(other.as_path()))] {
        refused(&run(&project, &host, &more, authorities, &["push"]), 3, &["certificate", "registries.toml"]);
    }
    let first = digest(&run(&project, &host, "", Some(&ca), &["push"]));
    // Beside those of the system: the other authority is no obstacle.
    let name = format!("{host}/team/app@{first}");
    for (at, (more, authorities)) in [(declared(&ca), None), (declared(&ca), Some(other.as_path()))].iter().enumerate()
    {
        project.forget();
        let out = format!("oci:{}", project.out(&format!("out-{at}")).display());
        assert_eq!(digest(&run(&project, &host, more, *authorities, &["pull", &name, "-o", &out])), first);
    }
}

#[test]
fn a_client_certificate_is_shown_to_the_host_that_it_is_declared_for() {
    let clients = Authority::new();
    let stage = stage(Some(&clients));
    let host = local(&stage.front);
    let project = project(&host);
    let ca = project.out("ca.pem");
    fs::write(&ca, stage.authority.pem()).unwrap();
    let pair = |authority: &Authority, name: &str| {
        let (certificate, key) = authority.sign(name, project.room());
        format!("client-cert = \"{}\"\nclient-key = \"{}\"\n", certificate.display(), key.display())
    };
    let (mine, strange) = (pair(&clients, "me"), pair(&Authority::new(), "stranger"));
    for more in ["", strange.as_str()] {
        let stranger = run(&project, &host, more, Some(&ca), &["push"]);
        refused(&stranger, 3, &[&host, "400 Bad Request"]);
        assert!(!said(&stranger).contains("PRIVATE KEY"), "{}", said(&stranger));
    }
    let first = digest(&run(&project, &host, &mine, Some(&ca), &["push"]));
    let doctor = run(&project, &host, &mine, Some(&ca), &["doctor", &host]);
    assert!(said(&doctor).contains("with the certificate `"), "{}", said(&doctor));
    assert_eq!(doctor.status.code(), Some(0), "{}", said(&doctor));
    project.forget();
    let out = format!("oci:{}", project.out("out").display());
    let name = format!("{host}/team/app@{first}");
    assert_eq!(digest(&run(&project, &host, &mine, Some(&ca), &["pull", &name, "-o", &out])), first);
    // Files that are no pair say so, before anything is sent.
    let wrong = format!("client-cert = \"{0}\"\nclient-key = \"{0}\"\n", ca.display());
    refused(&run(&project, &host, &wrong, Some(&ca), &["push"]), 2, &["are not a PEM certificate and key"]);
    let gone = "client-cert = \"/no/such.pem\"\nclient-key = \"/no/such.key\"\n";
    refused(&run(&project, &host, gone, Some(&ca), &["push"]), 2, &["/no/such.key", "registries.toml"]);
}
