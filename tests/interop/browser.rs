//! The page of `files --html` in a real browser, Chromium without a screen and without a network: what is biggest is shown where it is.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::{Value, json};

use crate::layout::text;
use crate::peers::{cache, output, peer, said};
use crate::project::{Project, refused};

/// The window.
const WINDOW: (u32, u32) = (1280, 900);
/// How long the browser's own clock runs before it tells what it sees, in milliseconds.
const BUDGET: &str = "--virtual-time-budget=4000";

/// A project with files whose sizes are known, some of them of odd names.
fn project() -> Project {
    let project = Project::new(
        "[image]\nname = \"registry.test/acme/map\"\nbase = \"scratch\"\n[[file]]\nsrc = \"data\"\ndest = \"/data\"\n\
         [[file]]\nsrc = \"etc\"\ndest = \"/etc\"\n[[file]]\nsrc = \"tool\"\ndest = \"/bin/tool\"\nlayer = \"tools\"\n",
    );
    project.write("data/big.bin", vec![1; 6_000_000]);
    project.write("data/deep/er/half.bin", vec![2; 3_000_000]);
    project.write("data/<b>\"bold\" & co", vec![3; 500_000]);
    for small in 0..200 {
        project.write(&format!("etc/many/{small}"), vec![4; 500]);
    }
    project.write("tool", vec![5; 1_500_000]);
    project
}

fn page(project: &Project) -> PathBuf {
    let page = project.out("page.html");
    let done = project.run(&["files", "--html", page.to_str().unwrap()]);
    assert!(done.status.success(), "{}", said(&done));
    page
}

/// What the browser makes of a page: its document after the script ran, and what it complained of.
fn browse(page: &Path, more: &[&str]) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let mut browser = peer("unshare"); // a room without a network
    browser.args(["--net", "--", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]);
    browser.args(["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    browser.args(["--hide-scrollbars", "--enable-logging=stderr", BUDGET]);
    browser.arg(format!("--user-data-dir={}", profile.path().display()));
    browser.arg(format!("--window-size={},{}", WINDOW.0, WINDOW.1)).env("HOME", profile.path());
    let done = output(browser.args(more).arg(format!("file://{}", page.display())));
    assert!(done.status.success(), "{}", said(&done));
    let complaints = String::from_utf8_lossy(&done.stderr)
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect::<Vec<_>>()
        .join("\n");
    (String::from_utf8(done.stdout).unwrap(), complaints)
}

/// A cell of the map.
#[derive(Clone, Debug)]
struct Cell {
    kind: String,
    path: String,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    text: String,
}

impl Cell {
    fn area(&self) -> f64 {
        self.width * self.height
    }

    fn holds(&self, other: &Cell) -> bool {
        let slack = 0.2;
        self.left <= other.left + slack
            && self.top <= other.top + slack
            && self.left + self.width + slack >= other.left + other.width
            && self.top + self.height + slack >= other.top + other.height
    }
}

fn cells(document: &str) -> Vec<Cell> {
    let cell = r#"<div class="cell ([^"]*)" data-path="([^"]*)" style="left: ([0-9.]+)px; top: ([0-9.]+)px; width: ([0-9.]+)px; height: ([0-9.]+)px;[^"]*"[^>]*>(.*?)</div>"#;
    let found = Regex::new(cell).unwrap();
    let number = |text: &str| text.parse().unwrap();
    let cell = |found: regex::Captures<'_>| Cell {
        kind: found[1].to_string(),
        path: found[2].replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&"),
        left: number(&found[3]),
        top: number(&found[4]),
        width: number(&found[5]),
        height: number(&found[6]),
        text: found[7].to_string(),
    };
    found.captures_iter(document).map(cell).collect()
}

fn cell<'a>(cells: &'a [Cell], path: &str) -> &'a Cell {
    cells.iter().find(|cell| cell.path == path).unwrap_or_else(|| panic!("{path} is not in {cells:#?}"))
}

#[test]
fn the_biggest_file_is_the_biggest_cell_in_its_directory() {
    let project = project();
    let (document, complaints) = browse(&page(&project), &["--dump-dom"]);
    assert_eq!(complaints, "", "the policy and the script get along");
    let cells = cells(&document);
    let big = cell(&cells, "/data/big.bin");
    assert!(big.kind.contains("file") && big.text == "big.bin", "{big:?}");
    let leaves: Vec<&Cell> = cells.iter().filter(|cell| !cell.kind.starts_with("dir")).collect();
    assert!(leaves.iter().all(|other| other.path == big.path || other.area() < big.area()), "{leaves:#?}");
    // Each cell lies in that of its directory, and the first is the root.
    assert_eq!(cells[0].path, "/");
    for one in cells.iter().skip(1) {
        let above = one.path.rsplit_once('/').map(|(above, _)| if above.is_empty() { "/" } else { above }).unwrap();
        let above = if one.kind.contains("rest") { &one.path } else { above };
        assert!(cell(&cells, above).holds(one), "{one:?} is not in {:?}", cell(&cells, above));
    }
    // Areas are as sizes are; frames take a little.
    let half = cell(&cells, "/data/deep/er/half.bin");
    let tool = cell(&cells, "/bin/tool");
    assert!((1.8..2.6).contains(&(big.area() / half.area())), "{} {}", big.area(), half.area());
    assert!((3.4..4.8).contains(&(big.area() / tool.area())), "{} {}", big.area(), tool.area());
    assert!(big.area() > 0.45 * cells[0].area());
    assert!(cells.iter().any(|cell| cell.path == "/data/<b>\"bold\" & co"));
    assert!(!document.contains("<b>\"bold"), "a name is no markup");
    // The lists say the same, and the trail where the map is.
    let first = document.split_once("id=\"biggest\"").unwrap().1.split_once("data-path=\"").unwrap().1;
    assert!(first.starts_with("/data/big.bin\""), "{}", &first[..80]);
    assert!(document.contains("203 files") || document.contains("204 files"), "the trail counts them");
    assert!(document.contains("<h1>registry.test/acme/map</h1>"));
    // Nothing of it is painted over: no two files share a point.
    for (at, one) in leaves.iter().enumerate() {
        for other in &leaves[at + 1..] {
            let apart = one.left + one.width <= other.left + 0.2
                || other.left + other.width <= one.left + 0.2
                || one.top + one.height <= other.top + 0.2
                || other.top + other.height <= one.top + 0.2;
            assert!(apart, "{one:?} {other:?}");
        }
    }
}

/// The page with a driver that uses it as a person does. Its policy would refuse that script, which is tested too.
fn driven(project: &Project, driver: &str) -> (String, String) {
    let page = page(project);
    let script = format!(
        "<script>addEventListener('load', () => {{ const out = {{}}; {driver}; const pre = document.createElement('pre'); pre.id = 'told'; pre.textContent = JSON.stringify(out); document.body.append(pre); }});</script></body>"
    );
    let text = fs::read_to_string(&page).unwrap().replace("</body>", &script);
    let closed = project.out("closed.html");
    fs::write(&closed, &text).unwrap();
    let policy = Regex::new("<meta http-equiv=\"Content-Security-Policy\"[^>]*>").unwrap();
    assert!(policy.is_match(&text));
    let open = project.out("open.html");
    fs::write(&open, policy.replace(&text, "").as_ref()).unwrap();
    let (refused, complaints) = browse(&closed, &["--dump-dom"]);
    assert!(!refused.contains("id=\"told\"") && complaints.contains("Content Security Policy"), "{complaints}");
    browse(&open, &["--dump-dom"])
}

#[test]
fn a_person_goes_into_directories_asks_and_finds() {
    let driver = r#"
        const at = (path) => [...document.querySelectorAll('.cell')].find((cell) => cell.dataset.path === path);
        const press = (cell) => cell.dispatchEvent(new MouseEvent('click', { bubbles: true }));
        const hover = (cell) => cell.dispatchEvent(new MouseEvent('mousemove', { bubbles: true, clientX: 300, clientY: 400 }));
        const tip = document.getElementById('tip');
        hover(at('/bin/tool')); out.tip = tip.innerText; out.seen = !tip.hidden;
        press(at('/data')); out.first = document.querySelector('.cell').dataset.path; out.hash = location.hash;
        out.trail = document.getElementById('crumbs').innerText.replace(/\s+/g, ' ');
        press(at('/data/big.bin')); out.hit = document.querySelector('.hit').dataset.path;
        document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true })); out.back = document.querySelector('.cell').dataset.path;
        const find = document.getElementById('find'); find.value = 'HALF'; find.dispatchEvent(new Event('input'));
        out.said = document.getElementById('said').innerText; out.dim = at('/data/big.bin').classList.contains('off'); out.lit = !at('/data/deep/er/half.bin').classList.contains('off');
        find.value = ''; find.dispatchEvent(new Event('input'));
        const legend = () => [...document.querySelectorAll('#legend button span')].map((item) => item.textContent);
        out.layers = legend();
        document.querySelectorAll('#legend button')[1].click(); out.only = at('/data/big.bin').classList.contains('off') && !at('/bin/tool').classList.contains('off');
        document.querySelector('[data-by=kind]').click(); out.kinds = legend();
        document.querySelector('#biggest a').click(); out.shown = document.querySelector('.hit').dataset.path;
        out.bar = document.querySelector('tr[data-layer] b').getBoundingClientRect().width > 20
    "#;
    let (document, complaints) = driven(&project(), driver);
    assert_eq!(complaints, "");
    let told = document.split_once("<pre id=\"told\">").expect("the driver tells").1.split_once("</pre>").unwrap().0;
    let told: Value =
        serde_json::from_str(&told.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).unwrap();
    let tip = text(&told["tip"]);
    for word in ["/bin/tool", "1.4 MiB", "0:0", "-rw-r--r--", "image.toml:", "layer 2 · tools"] {
        assert!(tip.contains(word), "{word} is not in {tip}");
    }
    assert_eq!((&told["first"], &told["hash"], &told["back"]), (&json!("/data"), &json!("#/data"), &json!("/")));
    assert!(text(&told["trail"]).starts_with("/data 9.1 MiB · 3 files"), "{told}");
    assert_eq!((&told["hit"], &told["shown"]), (&json!("/data/big.bin"), &json!("/data/big.bin")));
    assert!(text(&told["said"]).starts_with("1 file with 2.9 MiB match"), "{told}");
    assert_eq!(told["layers"], json!(["1 · files", "2 · tools"]));
    for yes in ["seen", "dim", "lit", "only", "bar"] {
        assert_eq!(told[yes], true, "{yes}: {told}");
    }
    assert_eq!(told["kinds"], json!(["settings and data of packages", "anything else"]));
}

#[test]
fn a_picture_of_it_can_be_taken() {
    let project = project();
    let picture = cache().join("map.png");
    let _ = fs::remove_file(&picture);
    let (_, complaints) = browse(&page(&project), &[&format!("--screenshot={}", picture.display())]);
    assert_eq!(complaints, "");
    let bytes = fs::read(&picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.len() > 20_000, "{}", bytes.len());
    let size = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!((size(16), size(20)), WINDOW);
}

#[test]
fn an_image_without_files_has_a_page_too() {
    let project = Project::new("[image]\nbase = \"scratch\"\nentrypoint = [\"/x\"]\n");
    let (document, complaints) = browse(&page(&project), &["--dump-dom"]);
    assert_eq!(complaints, "");
    assert!(document.contains("There are no bytes in it.") && document.contains("There are no files."));
    refused(&project.run(&["files", "--html", "/"]), 5, &["directory"]);
}
