//! `stillframe doctor` tells the truth about each make of registry: what it says is held against what the registry does when it is asked
//! directly. A credential helper that does not work is named, with what to do about it, and no secret.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::{Value, json};

use crate::peers::{done, output, peer, said};
use crate::project::{Project, digest};
use crate::servers::{ALL, AUTH, LOGIN, Make, Place};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const PIECE: &str = "a piece";
const SECRET: &str = "canary-4711";

fn pushed(place: &Place) -> (Project, String) {
    let name = place.name("team/app");
    let project = Project::new(&format!("[image]\nname = \"{name}\"\nbase = \"scratch\"\n"));
    let digest = digest(&output(&mut place.ours(&project, &["push"])));
    done(&mut place.ours(&project, &["tag", &format!("{name}@{digest}"), "latest"]));
    (project, digest)
}

/// The lines of a doctor's answer: what is looked at, and how it is.
fn told(document: &str) -> BTreeMap<String, String> {
    let document: Value = serde_json::from_str(document).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    document["checks"].as_array().unwrap().iter().map(|check| (text(&check["what"]), text(&check["state"]))).collect()
}

/// A text's digest.
fn sum(text: &str) -> String {
    let sum = done(peer("sh").args(["-c", "printf %s \"$0\" | sha256sum", text]));
    format!("sha256:{}", sum.split(' ').next().unwrap())
}

/// What the registry does when it is asked by somebody else, in the doctor's words.
fn truth(place: &Place, digest: &str) -> BTreeMap<&'static str, &'static str> {
    let ask = |method: &str, path: &str, body: Option<(&str, &str)>| place.ask(method, path, body);
    let word = |yes: bool| if yes { "ok" } else { "no" };
    let manifest: Value =
        serde_json::from_str(&ask("GET", &format!("/v2/team/app/manifests/{digest}"), None).body).unwrap();
    let blob = manifest["config"]["digest"].as_str().unwrap();

    let mount = ask("POST", &format!("/v2/team/app/blobs/uploads/?mount={blob}&from=team/app"), None);
    assert!(matches!(mount.status, 201 | 202), "{}", mount.status);
    let begun = ask("POST", "/v2/team/app/blobs/uploads/", None);
    let piece = ask("PATCH", begun.location.as_ref().unwrap(), Some(("application/octet-stream", PIECE)));
    let rest = piece.location.as_ref().unwrap();
    let joint = if rest.contains('?') { '&' } else { '?' };
    let whole = ask("PUT", &format!("{rest}{joint}digest={}", sum(PIECE)), Some(("application/octet-stream", "")));
    let referrers = ask("GET", &format!("/v2/team/app/referrers/{digest}"), None);
    let listed =
        referrers.status == 200 && serde_json::from_str::<Value>(&referrers.body).unwrap()["manifests"].is_array();

    // Another manifest of the same config, which is put there to be deleted.
    let mut other = manifest.clone();
    other["annotations"] = json!({ "to": "be deleted" });
    let put = ask("PUT", "/v2/team/app/manifests/moved", Some((MANIFEST, &other.to_string())));
    assert_eq!(put.status, 201, "{}", put.body);
    let moved = ask("PUT", "/v2/team/app/manifests/moved", Some((MANIFEST, &manifest.to_string())));
    assert_eq!(moved.status, 201, "a tag can be moved, which only moving it tells: {}", moved.body);
    let deleted = ask("DELETE", &format!("/v2/team/app/manifests/{}", sum(&other.to_string())), None);
    let head = ask("HEAD", "/v2/team/app/manifests/latest", None);
    BTreeMap::from([
        ("mount", word(mount.status == 201)),
        ("chunked upload", word(whole.status == 201)),
        ("referrers API", word(listed)),
        ("delete", word(deleted.status == 202)),
        ("manifest HEAD", word(head.status == 200)),
        ("immutable tags", "unknown"),
    ])
}

#[test]
fn the_doctor_tells_the_truth_about_every_make() {
    for make in ALL.into_iter().chain([Make::Kept]) {
        let place = Place::start(make);
        let (project, digest) = pushed(&place);
        let ask = || done(&mut place.ours(&project, &["--format", "json", "doctor", &place.name("team/app")]));
        let tags = place.ask("GET", "/v2/team/app/tags/list", None).body;
        let document = ask();
        assert_eq!(place.ask("GET", "/v2/team/app/tags/list", None).body, tags, "{make:?}: nothing is left behind");
        let told = told(&document);
        for (what, state) in truth(&place, &digest) {
            assert_eq!(told[what], state, "{make:?}: {what}: {document}");
        }
        assert_eq!(told["ping"], "ok", "{document}");
        let asked = matches!(make, Make::Passwords | Make::Tls);
        assert_eq!(document.contains("it asks for a credential (basic)"), asked, "{make:?}: {document}");
        assert_eq!(document.contains("https://"), make == Make::Tls, "{make:?}: {document}");
        assert!(document.contains(LOGIN.0) && !document.contains(LOGIN.1) && !document.contains(AUTH), "{document}");
    }
}

/// What the doctor says where a helper is named for the registry; `script` is the helper, `mode` how it lies there.
fn with_helper(place: &Place, project: &Project, script: Option<(&str, u32)>) -> Output {
    let (docker, bin) = (project.out("docker"), project.out("bin"));
    for directory in [&docker, &bin] {
        let _ = fs::remove_dir_all(directory);
        fs::create_dir_all(directory).unwrap();
    }
    let config = docker.join("config.json");
    fs::write(&config, json!({ "credHelpers": { &place.host: "stub" } }).to_string()).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    if let Some((script, mode)) = script {
        let helper = bin.join("docker-credential-stub");
        fs::write(&helper, script).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut command = place.ours(project, &["-vv", "doctor", &place.host]);
    command.env("DOCKER_CONFIG", &docker).env_remove("REGISTRY_AUTH_FILE");
    output(command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())))
}

#[test]
fn aut_07_and_aut_09_a_broken_helper_is_named_with_what_to_do() {
    for make in [Make::Plain, Make::Passwords] {
        let place = Place::start(make);
        let project = Project::new("[image]\nbase = \"scratch\"\n");
        let junk = format!("#!/bin/sh\necho '{SECRET}'\n");
        let fails = format!("#!/bin/sh\necho '{SECRET}'; echo '{SECRET}' >&2; exit 1\n");
        let much = format!("#!/bin/sh\nexec yes '{SECRET}'\n");
        let cases = [
            (None, "is not in the `PATH`", "install `docker-credential-stub`"),
            (Some(("#!/bin/sh\n", 0o644)), "cannot be executed", "install `docker-credential-stub`"),
            (Some(("#!/no/such/shell\n", 0o755)), "does not start", "by hand"),
            (Some((junk.as_str(), 0o755)), "not its JSON", "by hand"),
            (Some((fails.as_str(), 0o755)), "failed", "by hand"),
            (Some((much.as_str(), 0o755)), "which is the limit", "by hand"),
        ];
        for (script, wrong, next) in cases {
            let answer = with_helper(&place, &project, script);
            let all = said(&answer);
            assert_eq!(answer.status.code(), Some(2), "{make:?}: {all}");
            let line =
                all.lines().find(|line| line.starts_with("wrong    credential: ")).unwrap_or_else(|| panic!("{all}"));
            assert!(line.contains("docker-credential-stub") && line.contains(wrong), "{make:?}: {all}");
            let advice = all.lines().skip_while(|other| *other != line).nth(1).unwrap_or_default();
            assert!(advice.starts_with("         next: ") && advice.contains(next), "{make:?}: {all}");
            assert!(!all.contains(SECRET), "{make:?}: {all}");
        }
        // The neighbours: a helper that works, and one that has nothing.
        let works = format!("#!/bin/sh\necho '{{\"Username\":\"{}\",\"Secret\":\"{}\"}}'\n", LOGIN.0, LOGIN.1);
        let answer = with_helper(&place, &project, Some((&works, 0o755)));
        assert_eq!(answer.status.code(), Some(0), "{}", said(&answer));
        assert!(said(&answer).contains(LOGIN.0) && !said(&answer).contains(LOGIN.1), "{}", said(&answer));
        let nothing = "#!/bin/sh\necho 'credentials not found in native keychain'; exit 1\n";
        let answer = with_helper(&place, &project, Some((nothing, 0o755)));
        let code = if make == Make::Plain { 0 } else { 3 };
        assert_eq!(answer.status.code(), Some(code), "{}", said(&answer));
        assert!(said(&answer).contains(&format!("run `stillframe login {}`", place.host)), "{}", said(&answer));
    }
}
