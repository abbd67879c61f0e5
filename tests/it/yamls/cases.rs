//! Files of jib, ko and apko in the manner of common projects, written for these tests, with what stands beside them.

/// A file, the files beside it, and the values that its manifest needs.
pub struct Case {
    pub name: &'static str,
    pub file: &'static str,
    pub text: &'static str,
    pub files: &'static [(&'static str, &'static str)],
    pub sets: &'static [&'static str],
}

pub const CASES: [Case; 7] = [
    Case {
        name: "jib-service",
        file: "jib.yaml",
        text: r#"apiVersion: jib/v1alpha1
kind: BuildFile

# a runtime without a shell
from:
  image: registry.example.com/java/runtime:21
  platforms:
    - os: linux
      architecture: amd64
    - os: linux
      architecture: arm64
creationTime: 2024-03-01T12:00:00Z
format: OCI
user: "1000:1000"
workingDirectory: /app
environment:
  JAVA_TOOL_OPTIONS: -XX:MaxRAMPercentage=75
  # how much is logged
  LOG_LEVEL: info
labels:
  org.opencontainers.image.title: orders
exposedPorts: ["8080", "8443/tcp", "5000-5002/udp"]
volumes:
  - /var/cache/orders
entrypoint: [java, -cp, "/app/libs/*:/app/classes", com.example.orders.Main]
cmd: ["--profile", "prod"]
layers:
  properties:
    filePermissions: "640"
    directoryPermissions: "750"
    user: 1000
    group: 1000
  entries:
    - name: dependencies
      files:
        - src: build/libs
          dest: /app/libs
          excludes:
            - "**/*-sources.jar"
            - "build/libs/tools/*.jar"
    - name: classes
      properties:
        filePermissions: "644"
      files:
        - src: build/classes/
          dest: /app/classes
          includes: ["**/*.class"]
        # starts everything
        - properties:
            filePermissions: "755"
            user: "0"
            group: "0"
          src: scripts/run.sh
          dest: /app/bin/
"#,
        files: &[
            ("build/libs/a.jar", "a"),
            ("build/libs/a-sources.jar", "a"),
            ("build/classes/com/Main.class", "c"),
            ("scripts/run.sh", "#!/bin/sh\n"),
        ],
        sets: &[],
    },
    Case {
        name: "jib-parameters",
        file: "build.yaml",
        text: r#"apiVersion: "jib/v1alpha1"
kind: BuildFile
from:
  image: docker://company/base
creationTime: 1709294400000
format: Docker
environment: {VERSION: "${project.version}", EMPTY: }
user: root
exposedPorts: [http]
layers:
  properties:
    timestamp: "1000"
  entries:
    - name: the site
      files:
        - src: public
          dest: /srv/${site}
          excludes: ["**/*.{map,tmp}"]
        - src: /etc/ssl/certs
          dest: /etc/ssl/certs
        - src: server
          dest: bin/server
"#,
        files: &[("public/index.html", "<p>\n")],
        sets: &["project_version=1.2", "site=www"],
    },
    Case {
        name: "ko-one",
        file: ".ko.yaml",
        text: r#"# a base that is looked after
defaultBaseImage: registry.example.com/base/static:nonroot
defaultPlatforms:
  - linux/amd64
  - linux/arm64
defaultEnv:
  - GOPROXY=off
defaultFlags: ["-tags", "netgo osusergo"]
defaultLdflags:
  - -s -w
builds:
  # listens on a low port
  - id: gate
    dir: .
    main: ./cmd/gate
    ldflags:
      - -s
      - -X main.version={{.Env.VERSION}}
    linux_capabilities: net_bind_service
"#,
        files: &[("cmd/gate/kodata/index.html", "<p>\n"), ("cmd/gate/main.go", "package main\n")],
        sets: &[],
    },
    Case {
        name: "ko-several",
        file: ".ko.yaml",
        text: r#"baseImageOverrides:
  example.com/acme/shop/cmd/worker: registry.example.com/base/git:2
  example.com/acme/other: registry.example.com/base/other:1
builds:
  - id: api
    main: ./cmd/api/main.go
    env: [GOEXPERIMENT=greenteagc]
    flags: -mod=vendor -buildvcs=false
  - id: worker
    dir: ./services
    main: cmd/worker
    ldflags: [-s -w]
    asmflags: [all=-trimpath]
verbose: true
"#,
        files: &[("cmd/api/main.go", "package main\n")],
        sets: &[],
    },
    Case {
        name: "apko-nginx",
        file: "apko.yaml",
        text: r#"contents:
  repositories:
    - https://mirror.example.com/alpine/v3.22/main
    - https://mirror.example.com/alpine/v3.22/community
  keyring:
    - keys/build.rsa.pub
  packages:
    - alpine-baselayout-data
    - nginx~=1.28
    - ca-certificates-bundle

entrypoint:
  command: /usr/sbin/nginx -c "/etc/nginx/my site.conf"
cmd: -g 'daemon off;'
stop-signal: QUIT
work-dir: /usr/share/nginx

accounts:
  groups:
    - groupname: web
      gid: 10000
  users:
    # serves the pages
    - username: web
      uid: 10000
      gid: 10000
      shell: /sbin/nologin
  run-as: web

environment:
  PATH: /usr/sbin:/usr/bin:/sbin:/bin

paths:
  - path: /run/nginx
    type: directory
    uid: 10000
    gid: 10000
    permissions: 0o755
  - path: /var/log/pages/error.log
    type: empty-file
    permissions: 0o640
  - path: /usr/bin/web
    type: symlink
    source: /usr/sbin/nginx

archs: [x86_64, aarch64, armv7]

os-release:
  id: acme
  name: ACME "web"
  version-id: "3"

annotations:
  org.opencontainers.image.vendor: ACME
volumes: [/var/cache/nginx]
vcs-url: https://git.example.com/acme/web
"#,
        files: &[],
        sets: &[],
    },
    Case {
        name: "apko-odd",
        file: "tools.apko.yaml",
        text: r#"include: ./base.yaml
contents:
  repositories:
    - https://packages.example.com/os
    - "@local ./packages"
  keyring:
    - https://packages.example.com/os/signing.rsa.pub
  packages: [busybox, tool@local, "!man-db"]
  runtime_repositories: [https://packages.example.com/os]
entrypoint:
  type: service-bundle
  services:
    web: /usr/bin/web
accounts:
  run-as: nobody of them
  users:
    - username: "bad name"
      uid: 7
paths:
  - path: /opt
    type: directory
    uid: 5
    gid: 6
    permissions: 493
    recursive: true
  - path: /opt
    type: permissions
    uid: 7
    permissions: 0o700
  - path: /usr/bin/x
    type: permissions
    permissions: 0o4755
  - path: /usr/bin/y
    type: hardlink
    source: /usr/bin/x
  - path: /dev/y
    type: device
archs: [all]
layering:
  strategy: origin
  budget: 10
certificates:
  additional:
    - name: own
      content: |
        -----BEGIN CERTIFICATE-----
        AAAA
        -----END CERTIFICATE-----
"#,
        files: &[],
        sets: &[],
    },
    Case {
        name: "apko-fragment",
        file: "apko.yml",
        text: r#"contents:
  repositories: [https://mirror.example.com/alpine/edge/main]
  packages:
    - busybox
entrypoint:
  shell-fragment: exec httpd -f -p "$PORT"
accounts:
  run-as: 65532
# kept for later
"#,
        files: &[],
        sets: &[],
    },
];
