//! The page of `files --html`. What a browser makes of it is tested in tests/interop.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::project;
use crate::support::{Base, Project, dir, file, manifest};

/// Writes the page of an image and reads it.
fn page(project: &Project, reference: &str) -> String {
    let done = project.run(["files", reference, "--html", "page.html"]).success();
    assert_eq!(done.stdout, "page.html\n");
    fs::read_to_string(project.path("page.html")).unwrap()
}

/// What stands between two words.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("{from}"));
    rest.split_once(to).unwrap_or_else(|| panic!("{to}")).0
}

#[test]
fn a_page_needs_nothing_but_itself() {
    let (project, reference) = project();
    let page = page(&project, &reference);
    for word in ["http:", "https:", "src=", "url(", "@import", "fetch(", "XMLHttp", "<link", "<img", "<iframe"] {
        assert!(!page.contains(word), "{word}");
    }
    // Its policy lets exactly its own style and script run.
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\">");
    let policy = policy.replace("&#x27;", "'").replace("&#x2f;", "/");
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let (style, script) = (between(&page, "<style>", "</style>"), page.rsplit_once("<script>").unwrap().1);
    let script = script.split_once("</script>").unwrap().0;
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(policy.contains(&format!("style-src {};", hash(style))), "{policy}");
    assert!(policy.contains(&format!("script-src {};", hash(script))), "{policy}");
    assert!(!page.contains(" style=\"") && !page.contains(" onclick"), "the policy would refuse these");
}

#[test]
fn a_page_is_the_same_bytes_each_time() {
    let (project, reference) = project();
    let first = page(&project, &reference);
    for words in [&["--jobs", "1"][..], &["--jobs", "7", "--no-cache"]] {
        let words = words.iter().copied().chain(["files", &reference, "--html", "again.html"]);
        project.run(words).env("TZ", "Asia/Tokyo").env("LANG", "de_DE").success();
        assert_eq!(fs::read_to_string(project.path("again.html")).unwrap(), first);
    }
    let told = project.run(["--format", "json", "files", &reference, "--html", "json.html"]).success().json();
    assert_eq!(told["html"], "json.html");
    project.run(["files", &reference, "--html", "no/such/directory.html"]).fails(5);
}

#[test]
fn names_cannot_break_out_of_a_page() {
    let project = Project::new();
    let evil = [
        "</script><script>alert(1)</script>",
        "\"><img onerror=alert(1)>",
        "{{ 7 * 7 }}",
        "<!--",
        "a&amp;b",
        "\u{2028}",
    ];
    let named = |name: &str| file(&format!("evil/{name}"), &"x".repeat(name.len()));
    let base = Base::of([dir("evil")].into_iter().chain(evil.iter().map(|name| named(name))));
    let base = base.rest(json!({"history": [{"created_by": "<script>alert(2)</script>"}]}));
    base.write(&project, "odd");
    let page = page(&project, "oci:odd");
    assert_eq!(page.matches("<script").count(), 2, "the data and the script");
    assert!(!page.contains("<img") && !page.contains("alert(1)</script><") && !page.contains("<!--"));
    assert!(page.contains("{{ 7 * 7 }}"), "a name is no template");
    let data: Value = serde_json::from_str(between(&page, "id=\"data\">", "</script>")).unwrap();
    let names: Vec<&str> =
        data["tree"][5][0][5].as_array().unwrap().iter().map(|node| node[0].as_str().unwrap()).collect();
    assert!(names.contains(&"<") && names.contains(&"a&amp;b"), "{names:?}");
}

#[test]
fn the_map_holds_every_file_with_its_facts() {
    let (project, reference) = project();
    let page = page(&project, &reference);
    let data: Value = serde_json::from_str(between(&page, "id=\"data\">", "</script>")).unwrap();
    fn walk(node: &Value, above: &str, data: &Value, found: &mut Vec<String>) -> u64 {
        let path = match (above, node[0].as_str().unwrap()) {
            ("", _) => "/".to_string(),
            ("/", name) => format!("/{name}"),
            (above, name) => format!("{above}/{name}"),
        };
        let fact = data["facts"][node[2].as_u64().unwrap() as usize].as_str().unwrap();
        let origin = data["origins"][node[3].as_u64().unwrap() as usize].as_str().unwrap();
        found.push(format!("{path} {} {fact} {origin}", node[1]));
        let below = node[5].as_array().into_iter().flatten();
        node[1].as_u64().unwrap() + below.map(|child| walk(child, &path, data, found)).sum::<u64>()
    }
    let mut found = Vec::new();
    let bytes = walk(&data["tree"], "", &data, &mut found);
    let listed = project.run(["--format", "json", "files", &reference]).success().json();
    assert_eq!(listed["bytes"]["seen"], json!(bytes));
    assert_eq!(found.len(), 1 + listed["files"].as_array().unwrap().len());
    assert!(found.contains(&"/etc/motd 6 -rw------- 0:0 layer 2 · by hand".to_string()), "{found:#?}");
    assert!(page.contains("data-path=\"&#x2f;opt&#x2f;a\""), "the biggest file is listed");
}

#[test]
fn the_page_of_a_work_tree_has_the_lines_of_the_manifest() {
    let text = manifest("scratch", "name = \"registry.test/acme/app\"\n[[file]]\ndest = \"/x\"\ncontent = \"x\"");
    let project = Project::of(&text);
    let page = page(&project, ".");
    assert!(page.contains("<h1>registry.test&#x2f;acme&#x2f;app</h1>"), "{}", between(&page, "<header>", "</header>"));
    assert!(page.contains("image.toml:6 · layer 1 · files"));
}
