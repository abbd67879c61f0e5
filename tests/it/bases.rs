//! What an image takes from its base and what the manifest changes: the contract's sections Inheritance, Base and Time.

use serde_json::{Value, json};

use super::support::{Base, Image, Project, dir, file, manifest, scratch};

fn on(base: &Base, rest: &str) -> Project {
    let project = Project::new();
    let reference = base.write(&project, "base");
    project.file("image.toml", manifest(&reference, rest))
}

fn debian(rest: &str) -> Image {
    on(&Base::debian(), rest).build().image()
}

#[test]
fn lay_18_base_layers_pass_unchanged() {
    for compression in ["gzip", "zstd", "none"] {
        let base = Base::debian().layer([file("etc/a", "a")]).layer([file("etc/b", "b")]).compressed(compression);
        let project = on(&base, "[[file]]\ndest = \"/x\"\ncontent = \"x\"");
        let image = project.build().image();
        let reference = std::fs::read_to_string(project.path("image.toml")).unwrap();
        let hex = reference.split("sha256:").nth(1).unwrap()[..64].to_string();
        let old: Value =
            serde_json::from_slice(&std::fs::read(project.path("base/blobs/sha256").join(hex)).unwrap()).unwrap();
        let old = old["layers"].as_array().unwrap();
        assert_eq!(&image.manifest["layers"].as_array().unwrap()[..3], old.as_slice(), "{compression}");
        assert_eq!(image.layers.len(), 4);
    }
}

#[test]
fn docker_media_types_become_their_oci_twins() {
    for compression in ["gzip", "zstd", "none"] {
        let project = on(&Base::debian().docker().compressed(compression), "");
        let image = project.build().image(); // which knows OCI types only
        assert_eq!(image.layers.len(), 1);
        assert_eq!(image.layers[0].entries.len(), 18);
    }
}

#[test]
fn nothing_is_changed_that_is_not_said() {
    let config = json!({"Cmd": ["a"], "User": "", "Env": ["B=2", "A=1"], "Healthcheck": {"Test": ["NONE"]}, "ArgsEscaped": true,
        "OnBuild": ["RUN x"], "Shell": ["sh"], "vendor": {"x": [1]}});
    let rest = json!({"os.version": "1", "author": "me", "docker_version": "20", "history": [{"created_by": "by hand",
        "comment": "kept", "created": "2020-01-01T00:00:00Z"}, {"created_by": "ENV", "empty_layer": true}]});
    let base = Base::of([dir("etc")]).config(config.clone()).rest(rest.clone());
    let image = on(&base, "").build().image();
    let mut expect = config;
    expect.as_object_mut().unwrap().remove("User"); // empty, which is the same
    assert_eq!(image.config["config"], expect);
    assert_eq!(image.config["history"], rest["history"]);
    for key in ["os.version", "author", "docker_version"] {
        assert_eq!(image.config[key], rest[key]);
    }
    assert_eq!(image.config["architecture"], "amd64");
}

#[test]
fn the_config_merges_and_replaces() {
    let rest = "user = \"www-data:adm\"\nworkdir = \"/srv\"\nports = [\"8080\", \"53/udp\"]\nvolumes = [\"/data\"]\n\
        stop-signal = \"SIGTERM\"\ncmd = [\"--serve\"]\n\
        [env]\nPATH = { prepend = \"/app/bin\" }\nLANG = { append = \"UTF-8\" }\nNEW = \"a=b\"\nALONE = { prepend = \"/x\" }\n\
        [labels]\nvendor = \"me\"\n\"a.b\" = \"c\"\n";
    let config = &debian(rest).config["config"];
    assert_eq!(config["User"], "33:4");
    assert_eq!(config["WorkingDir"], "/srv");
    assert_eq!(config["Entrypoint"], json!(["/entry"]), "only `cmd` is said");
    assert_eq!(config["Cmd"], json!(["--serve"]));
    assert_eq!(config["ExposedPorts"], json!({"80/tcp": {}, "8080/tcp": {}, "53/udp": {}}));
    assert_eq!(config["Volumes"], json!({"/var/lib": {}, "/data": {}}));
    assert_eq!(config["StopSignal"], "SIGTERM");
    assert_eq!(config["Env"], json!(["PATH=/app/bin:/usr/bin:/bin", "LANG=C:UTF-8", "ALONE=/x", "NEW=a=b"]));
    assert_eq!(config["Labels"], json!({"vendor": "me", "kept": "yes", "a.b": "c"}));
}

#[test]
fn an_entrypoint_clears_the_command_of_the_base() {
    let config = &debian("entrypoint = [\"/entry\", \"a\"]").config["config"];
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["/entry", "a"]), &Value::Null));
    let config = &debian("entrypoint = [\"/entry\"]\ncmd = [\"b\"]").config["config"];
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["/entry"]), &json!(["b"])));
}

#[test]
fn unset_drops_what_the_base_has() {
    let all = "unset = [\"cmd\", \"entrypoint\", \"workdir\", \"stop-signal\", \"env.LANG\", \"labels.vendor\", \"ports.80/tcp\", \"volumes\"]";
    let config = debian(all).config["config"].clone();
    assert_eq!(config, json!({"Env": ["PATH=/usr/bin:/bin"], "Labels": {"kept": "yes"}}));
    let config = debian("unset = [\"env\", \"labels\"]\n[env]\nA = \"1\"").config["config"].clone();
    assert_eq!((&config["Env"], &config["Labels"]), (&json!(["A=1"]), &Value::Null));
    on(&Base::debian(), "cmd = [\"a\"]\nunset = [\"cmd\"]").run(["check"]).fails(2);
}

#[test]
fn a_check_of_health_stands_as_docker_reads_it() {
    let full = "[healthcheck]\ncommand = [\"/entry\", \"now\"]\n\
        interval = \"1m30s\"\ntimeout = \"500ms\"\nstart-period = \"1h\"\nstart-interval = \"2s\"\nretries = 3\n";
    let check = json!({"Test": ["CMD", "/entry", "now"], "Interval": 90_000_000_000_u64, "Timeout": 500_000_000,
        "StartPeriod": 3_600_000_000_000_u64, "StartInterval": 2_000_000_000, "Retries": 3});
    assert_eq!(debian(full).config["config"]["Healthcheck"], check);
    let entry = "[healthcheck]\ncommand = [\"/entry\"]";
    assert_eq!(debian(entry).config["config"]["Healthcheck"], json!({"Test": ["CMD", "/entry"]}));
    let base = Base::debian().config(json!({"Healthcheck": check}));
    assert_eq!(on(&base, "").build().image().config["config"]["Healthcheck"], check, "the base's is kept");
    assert_eq!(on(&base, entry).build().image().config["config"]["Healthcheck"]["Retries"], Value::Null, "or replaced");
    let dropped = on(&base, "unset = [\"healthcheck\"]").build().image().config;
    assert_eq!(dropped["config"]["Healthcheck"], Value::Null);
    let said = |rest: &str| on(&Base::debian(), rest).run(["check"]).fails(2).stderr;
    let wrong = said(
        "unset = [\"healthcheck\"]\n[healthcheck]\ncommand = [\"/entry\"]\ninterval = \"30\"\ntimeout = \"25h\"\n\
         start-period = \"1s1m\"\nretries = 0\nwhen = \"x\"",
    );
    for word in [
        "`30` is no span of time",
        "`25h` is too short or too long",
        "`1s1m` is no span of time",
        "`healthcheck` is set and unset at once",
        "`retries`",
        "`when`",
    ] {
        assert!(wrong.contains(word), "`{word}` is not in {wrong}");
    }
    assert!(said("[healthcheck]\ninterval = \"30s\"").contains("`command`"));
    let gone = on(&Base::debian(), "[healthcheck]\ncommand = [\"/wel\"]").run(["check"]).fails(4).stderr;
    assert!(gone.contains("the check of health runs `/wel`, which is not in the image"), "{gone}");
}

#[test]
fn users_become_numbers() {
    let user = |base: Value, rest: &str| {
        let base = Base::debian().config(base);
        on(&base, rest).build().image().config["config"]["User"].clone()
    };
    assert_eq!(user(json!({}), "user = \"www-data\""), "33:33");
    assert_eq!(user(json!({}), "user = \"33\""), "33");
    assert_eq!(user(json!({}), "user = \"77\""), "77");
    assert_eq!(user(json!({}), "user = \"77:78\""), "77:78");
    assert_eq!(user(json!({"User": "www-data:adm"}), ""), "33:4", "the base's user too");
    assert_eq!(user(json!({"User": "65532"}), ""), "65532");
    assert_eq!(user(json!({"User": "www-data"}), "unset = [\"user\"]"), Value::Null);
    on(&Base::debian().config(json!({"User": "nobody"})), "").run(["build"]).fails(2);
    on(&Base::debian(), "user = \"nobody\"").run(["build"]).fails(2);
}

#[test]
fn the_history_tells_all_layers() {
    let rest = "[[file]]\ndest = \"/x\"\ncontent = \"x\"\n[[file]]\ndest = \"/y\"\ncontent = \"y\"\nlayer = \"late\"";
    let image = on(&Base::debian().layer([file("etc/a", "")]), rest).build().image();
    let instant = "1980-01-01T00:00:00Z";
    let expect = json!([{"created_by": "by hand"}, {"created_by": "by hand"},
        {"created": instant, "created_by": "stillframe: files"}, {"created": instant, "created_by": "stillframe: late"}]);
    assert_eq!(image.config["history"], expect);
    let silent = Base::debian().rest(json!({"history": []}));
    assert_eq!(on(&silent, rest).build().image().config["history"].as_array().unwrap().len(), 3, "filled up");
}

#[test]
fn annotations_of_manifest_and_index() {
    let rest = "[annotations]\nboth = \"1\"\nwho = \"all\"\n[annotations.manifest]\nonly = \"m\"\nwho = \"manifest\"\n[annotations.index]\nidx = \"i\"\n";
    let project = Project::new();
    let reference = Base::debian().write_index(&project, "base");
    let text = manifest(&reference, &format!("platforms = [\"linux/amd64\", \"linux/arm64\"]\n{rest}"));
    let project = project.file("image.toml", text);
    let layout = project.build();
    let base = reference.split('@').nth(1).unwrap();
    let image = layout.image_for("linux", "arm64");
    let expect = json!({"both": "1", "only": "m", "who": "manifest", "org.opencontainers.image.base.digest": base});
    assert_eq!(image.manifest["annotations"], expect);
    let index = layout.document(&layout.root()["digest"]);
    assert_eq!(index["annotations"], json!({"both": "1", "who": "all", "idx": "i"}));
    let own = on(&Base::debian(), "[annotations]\n\"org.opencontainers.image.base.digest\" = \"mine\"").build().image();
    assert_eq!(own.manifest["annotations"]["org.opencontainers.image.base.digest"], "mine");
}

#[test]
fn two_platforms_have_sources_of_their_own() {
    let rest = "platforms = [\"linux/amd64\", \"linux/arm64\"]\n\
        [[binary]]\nsrc = \"target/{{ platform.rust_target }}/app\"\ndest = \"/app\"\n\
        [[file]]\ndest = \"/same\"\ncontent = \"same\"\n";
    let project = Project::new()
        .file("target/x86_64-unknown-linux-musl/app", "amd")
        .file("target/aarch64-unknown-linux-musl/app", "arm");
    let reference = Base::debian().docker().write_index(&project, "base");
    let project = project.file("image.toml", manifest(&reference, rest));
    let layout = project.build();
    let index = layout.document(&layout.root()["digest"]);
    let platforms: Vec<&Value> =
        index["manifests"].as_array().unwrap().iter().map(|child| &child["platform"]).collect();
    let expect = [json!({"architecture": "amd64", "os": "linux"}), json!({"architecture": "arm64", "os": "linux"})];
    assert_eq!(platforms, expect.iter().collect::<Vec<_>>(), "attestations of the base are no platform");
    let (amd, arm) = (layout.image_for("linux", "amd64"), layout.image_for("linux", "arm64"));
    assert_eq!((amd.text("app"), arm.text("app")), ("amd", "arm"));
    assert_eq!(amd.manifest["layers"][2], arm.manifest["layers"][2], "the layer of both is one");
    assert_eq!(arm.config["architecture"], "arm64");
    assert_eq!(
        (amd.layers[1].entries[1].content.as_slice(), arm.layers[1].entries[1].content.as_slice()),
        (&b"amd64"[..], &b"arm64"[..])
    );

    project.run(["build", "--platform", "linux/arm64", "-o", "oci:one"]).success();
    let one = project.layout("one");
    assert_eq!(one.image().digest, arm.digest, "one platform is a plain manifest");
    project.run(["build", "--platform", "linux/s390x"]).fails(2);
    project.run(["build", "--platform", "linux/amd46"]).fails(2);
    std::fs::remove_file(project.path("target/aarch64-unknown-linux-musl/app")).unwrap();
    project.run(["build"]).fails(2);
    project.run(["build", "--platform", "linux/amd64"]).success();
}

#[test]
fn a_base_of_one_platform_does_not_serve_two() {
    let project = on(&Base::debian(), "platforms = [\"linux/amd64\", \"linux/arm64\"]");
    let done = project.run(["check"]).fails(2);
    assert!(done.stderr.contains("is one image, for linux/amd64"), "{}", done.stderr);
}

#[test]
fn an_archive_is_a_base_too() {
    let project = Project::new();
    let reference = Base::debian().write(&project, "base");
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", project.path("base")).unwrap();
    let project = project.file("base.tar", builder.into_inner().unwrap());
    let rest = "[[file]]\ndest = \"/lib/x\"\ncontent = \"x\"\n";
    let archive = project.file("image.toml", manifest(&reference.replace("oci:base@", "oci-archive:base.tar@"), rest));
    let digest = archive.digest();
    let layout = archive.file("image.toml", manifest(&reference, rest));
    assert_eq!(layout.digest(), digest);
}

#[test]
fn rep_06_the_time_of_an_image() {
    let created = |project: &Project, epoch: Option<&str>| {
        let run = project.run(["build", "-o", "oci:out"]);
        let done = match epoch {
            Some(epoch) => run.env("SOURCE_DATE_EPOCH", epoch).success(),
            None => run.success(),
        };
        let image = project.layout("out").image();
        assert_eq!(image.config["created"], image.config["history"][0]["created"]);
        super::support::canonical(&image.layers[0]);
        (image.config["created"].as_str().unwrap().to_string(), done.stderr, image.layers[0].tar.clone())
    };
    let item = "[[file]]\ndest = \"/x\"\ncontent = \"x\"\n";
    let commit = Project::of(&scratch(item));
    let (time, said, tar) = created(&commit, None);
    assert_eq!(time, "1980-01-01T00:00:00Z");
    assert!(said.contains("note: `created` is 1980-01-01T00:00:00Z, because there is no git commit"), "{said}");
    for (epoch, expect) in
        [("0", "1970-01-01T00:00:00Z"), ("1", "1970-01-01T00:00:01Z"), ("1700000000", "2023-11-14T22:13:20Z")]
    {
        let (time, said, same) = created(&commit, Some(epoch));
        assert_eq!((time.as_str(), said.as_str()), (expect, ""));
        assert_eq!(tar, same, "entries keep the fixed instant");
    }
    let fixed = Project::of(&scratch(&format!("created = \"fixed\"\n{item}")));
    assert_eq!(created(&fixed, Some("5")).0, "1980-01-01T00:00:00Z");
    let own = Project::of(&scratch(&format!("created = \"2026-01-31T12:00:00+02:00\"\n{item}")));
    assert_eq!(created(&own, Some("5")).0, "2026-01-31T10:00:00Z");
}

#[test]
fn rep_07_a_wrong_epoch_is_an_error() {
    let project = Project::of(&scratch(""));
    for wrong in ["", "abc", "-1", "1099511627776", "1700000000\n"] {
        let done = project.run(["build"]).env("SOURCE_DATE_EPOCH", wrong).fails(2);
        assert!(done.stderr.contains("SOURCE_DATE_EPOCH"), "{}", done.stderr);
    }
}
