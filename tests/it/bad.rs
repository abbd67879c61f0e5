//! Bad manifests: what the program answers to each is a snapshot, read as a person would who has never seen the documentation.
//! `bad/NAME.toml` is the manifest, `bad/NAME.snap` the whole answer: exit code, text, and the findings as JSON says them.

use std::fs;
use std::path::Path;

use insta::{Settings, assert_snapshot};

use super::support::{Base, Project, scratch};

/// The sources that the manifests name.
fn project() -> Project {
    Project::new()
        .file("target/release/server", b"\x7fELF server")
        .file("config/app.conf", "a = 1\n")
        .file("config/default.conf", "a = 0\n")
        .file("site/index.html", "<p>\n")
        .file("site/style.css", "p {}\n")
        .file("motd.txt", "{{ version }} {{ nobody }}\n")
}

/// Runs `check` and keeps the whole answer.
fn answer(name: &str, project: &Project, words: &[&str]) {
    let all = |format: &[&'static str]| [format, words, &["check"]].concat();
    let text = project.run(all(&[])).ends();
    let json = project.run(all(&["--format", "json"])).ends();
    assert_eq!(text.code, json.code);
    assert!(!text.stderr.contains("panicked"), "{}", text.stderr);
    assert_eq!(text.stdout, "", "findings as text go to stderr");
    assert_eq!(json.stderr, "", "findings as JSON go to stdout");
    let exit = json.json()["error"]["exit"].as_i64().map(|exit| exit as i32);
    assert_eq!(exit, json.code);
    let mut settings = Settings::new();
    settings.set_snapshot_path("bad");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let answer = format!("exit {}\n{}\njson: {}", text.code.unwrap(), text.stderr, json.findings().join(", "));
    settings.bind(|| assert_snapshot!(name, answer));
}

/// One test for each manifest of the folder `bad`.
macro_rules! bad {
    ($($name:ident)*) => {
        const ALL: &[&str] = &[$(stringify!($name)),*];
        $(#[test]
        fn $name() {
            let name = stringify!($name);
            let text = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/bad/{name}.toml"))).unwrap();
            let project = project().file("image.toml", text);
            answer(name, &project, &["--offline"]);
        })*
    };
}

bad! {
    unknown_key five_mistakes unclosed_string doubled_key doubled_table wrong_types port_too_large env_as_list
    digest_without_algorithm empty_entrypoint base_by_tag missing_source empty_glob typo_in_directory unknown_platform
    bad_modes whiteout two_writers src_and_content undefined_variable unknown_user password_in_url misplaced_key
    one_bracket layout_without_digest layout_not_there outside_of_the_context missing_keys relative_destination
    unquoted_string links_lead_nowhere unknown_table wrong_schema below_a_file bad_values template_is_wrong
    variable_without_value key_before_table url_as_base unknown_owner words_of_other_tools
    password_as_base habits_of_other_tools bad_imports gzip_level_too_high level_without_compression
}

#[test]
fn each_manifest_of_the_folder_is_tested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/bad");
    for name in super::support::project::names(&folder) {
        match name.strip_suffix(".toml") {
            Some(name) => assert!(ALL.contains(&name), "{name}"),
            None => assert!(name.ends_with(".snap") || name.ends_with(".snap.new"), "{name} is left over"),
        }
    }
}

const PLAIN: &str = "schema = 1\n[image]\nbase = \"scratch\"\n";
/// The same for a user that is not root, so that nothing is wrong with it.
const GOOD: &str = "schema = 1\n[image]\nbase = \"scratch\"\nuser = \"1\"\n";

#[test]
fn byte_order_mark_and_crlf() {
    let marked = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    project().file("image.toml", marked(GOOD)).run(["check"]).success();
    let good = marked(PLAIN);
    let text = format!("{good}entrypiont = [\"/a\"]\r\n\r\n[[file]]\r\nsrc = \"motd.txt\"\r\n");
    answer("byte_order_mark_and_crlf", &project().file("image.toml", text), &[]);
    let text = "\u{feff}shcema = 1\nschema = 1\n[image]\nbase = \"scratch\"\n";
    answer("byte_order_mark_first_line", &project().file("image.toml", text), &[]);
}

#[test]
fn nul_byte() {
    answer("nul_byte", &project().file("image.toml", format!("{PLAIN}workdir = \"/a\0b\"\n")), &[]);
}

#[test]
fn invalid_utf8() {
    let text = [PLAIN.as_bytes(), "# Grüße \u{1f600} ".as_bytes(), b"\xff\n"].concat();
    answer("invalid_utf8", &project().file("image.toml", text), &[]);
}

#[test]
fn five_megabytes() {
    let large = |bytes: usize| format!("{GOOD}# {}\n", "x".repeat(bytes - GOOD.len() - 3));
    answer("five_megabytes", &project().file("image.toml", large(5 << 20)), &[]);
    project().file("image.toml", large(1 << 20)).run(["check"]).success();
}

#[test]
fn deep_nesting() {
    let deep = |open: &str, close: &str| {
        project().file("image.toml", format!("{PLAIN}x = {}{}\n", open.repeat(10_000), close.repeat(10_000)))
    };
    answer("deep_lists", &deep("[", "]"), &[]);
    answer("deep_tables", &deep("{a=", "}"), &[]);
    let header = format!("{PLAIN}[x{}]\n", ".a".repeat(10_000));
    project().file("image.toml", header).run(["check"]).fails(2);
    let wide = format!("{GOOD}ports = [{}]\n", (1..9000).map(|port| format!("\"{port}\",")).collect::<String>());
    project().file("image.toml", wide).run(["check"]).success();
}

#[test]
fn a_line_of_many_bytes() {
    let text = format!("{PLAIN}cmd = [\"{}\", 1]\n", "x".repeat(100_000));
    answer("a_line_of_many_bytes", &project().file("image.toml", text), &[]);
}

#[test]
fn set_of_an_unknown_variable() {
    let manifest = format!("schema = 1\n[vars]\nversion = {{ default = \"1\" }}\n{}", &GOOD["schema = 1\n".len()..]);
    let project = project().file("image.toml", manifest);
    answer("set_of_an_unknown_variable", &project, &["--set", "verison=2"]);
    project.run(["--set", "version=2", "check"]).success();
}

#[test]
fn base_conflicts() {
    let project = project();
    let base = Base::debian().write(&project, "base");
    let items = [
        "[[file]]\nsrc = \"motd.txt\"\ndest = \"/usr/share/doc\"",
        "[[file]]\nsrc = \"motd.txt\"\ndest = \"/bin\"\nreplace = false",
        "[[file]]\nsrc = \"motd.txt\"\ndest = \"/etc/os-release\"",
        "[[dir]]\ndest = \"/etc/motd\"",
        "[[symlink]]\ndest = \"/usr/lib\"\ntarget = \"lib64\"",
        "[[symlink]]\ndest = \"/lib\"\ntarget = \"usr/lib64\"",
        "[[file]]\nsrc = \"motd.txt\"\ndest = \"/etc/motd/below\"",
        "[[remove]]\ndest = \"/usr/share/dok\"",
        "[[remove]]\ndest = \"/usr/share\"",
        "[[file]]\nsrc = \"motd.txt\"\ndest = \"/usr/share/new\"",
        "[[file]]\nsrc = \"motd.txt\"\ndest = \"/etc/x\"\nowner = \"www-date\"",
        "[[user]]\nname = \"www-data\"\nuid = 34",
        "[[dir]]\ndest = \"/tmp\"\nmode = \"0700\"",
    ];
    let text = super::support::manifest(&base, &items.join("\n"));
    answer("base_conflicts", &project.file("image.toml", text), &[]);
}

#[test]
fn base_of_another_platform() {
    let project = project();
    let base = Base::debian().write_index(&project, "base");
    let text = super::support::manifest(&base, "platforms = [\"linux/amd64\", \"linux/s390x\"]");
    answer("base_of_another_platform", &project.file("image.toml", text), &[]);
}

#[test]
fn nothing_in_a_layout() {
    let project = project();
    let base = Base::debian().write(&project, "base");
    let (path, digest) = base.split_once('@').unwrap();
    let other = format!("{path}@{}0000", &digest[..digest.len() - 4]);
    answer("nothing_in_a_layout", &project.file("image.toml", super::support::manifest(&other, "")), &[]);
}

#[test]
fn no_manifest() {
    answer("no_manifest", &project(), &[]);
    answer("no_manifest_there", &project(), &["-f", "nowhere/image.toml"]);
    project().file("imagefile.toml", GOOD).run(["check"]).success();
    let both = project().file("image.toml", GOOD).file("imagefile.toml", "bad");
    both.run(["check"]).success();
    both.run(["-f", "imagefile.toml", "check"]).fails(2);
}

#[test]
fn odd_sources() {
    let project = project()
        .file("tree/a", "a")
        .symlink("tree/key", "/etc/shadow")
        .symlink("tree/up", "../motd.txt")
        .file("tree/.wh.a", "")
        .file("tree/line\nfeed\u{1b}[31m", "");
    let socket = std::os::unix::net::UnixListener::bind(project.path("tree/socket")).unwrap();
    std::process::Command::new("mkfifo").arg(project.path("fifo")).status().unwrap();
    let items = "[[file]]\nsrc = \"tree\"\ndest = \"/tree\"\n[[file]]\nsrc = \"fifo\"\ndest = \"/fifo\"\n\
        [[binary]]\nsrc = \"config\"\ndest = \"/bin/config\"\n[[file]]\nsrc = \"motd.txt/\"\ndest = \"/motd\"\n\
        [[file]]\nsrc = \"motd.txt\"\ndest = \"/rendered\"\ntemplate = true\n";
    answer("odd_sources", &project.file("image.toml", scratch(items)), &[]);
    drop(socket);
}
