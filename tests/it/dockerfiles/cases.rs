//! Dockerfiles in the manner of common projects, written for these tests, with what stands beside them.

/// A Dockerfile, the files of its context, and whether nothing stands in the way of a build: no `RUN`, and `scratch` as its base.
pub struct Case {
    pub name: &'static str,
    pub text: &'static str,
    pub files: &'static [(&'static str, &'static str)],
    pub builds: bool,
}

const SCRIPT: &str = "#!/bin/sh\nexec true\n";

const fn case(name: &'static str, text: &'static str, files: &'static [(&'static str, &'static str)]) -> Case {
    Case { name, text, files, builds: false }
}

const fn whole(name: &'static str, text: &'static str, files: &'static [(&'static str, &'static str)]) -> Case {
    Case { name, text, files, builds: true }
}

pub const CASES: [Case; 25] = [
    whole(
        "static-go",
        "FROM scratch\nCOPY bin/server /server\nEXPOSE 8080\nUSER 65532:65532\nENTRYPOINT [\"/server\"]\nCMD [\"-listen\", \":8080\"]\n",
        &[("bin/server", SCRIPT)],
    ),
    whole(
        "static-site",
        "FROM scratch\n# the site itself\nCOPY public/ /srv/www/\nCOPY server /usr/bin/server\nUSER 1000:1000\nEXPOSE 80 443/tcp 53/udp\nENTRYPOINT [\"/usr/bin/server\"]\n",
        &[("public/index.html", "<p>hello</p>\n"), ("public/css/site.css", "p {}\n"), ("server", SCRIPT)],
    ),
    whole(
        "configured",
        "FROM scratch\nWORKDIR /app\nCOPY app .\nCOPY *.json conf/\nENV MODE=production \\\n    LEVEL=\"very high\"\nENV OLD the old form\nLABEL org.opencontainers.image.title=\"An app\" version=2\nUSER 10:20\nCMD [\"/app/app\"]\n",
        &[("app", SCRIPT), ("a.json", "{}\n"), ("b.json", "[]\n"), ("notes.txt", "not copied\n")],
    ),
    whole(
        "arguments",
        "ARG NAME=tool\nFROM scratch\nARG NAME\nARG VERSION=1.2.3\nENV APP_VERSION=${VERSION} APP=$NAME-${EXTRA:-none}\nLABEL version=$VERSION\nCOPY ${NAME} /bin/${NAME}\nUSER 1\nENTRYPOINT [\"/bin/tool\"]\n",
        &[("tool", SCRIPT)],
    ),
    whole(
        "stages-of-files",
        "FROM scratch AS assets\nCOPY web/ /assets/\nFROM scratch\nCOPY --from=assets /assets/img /static/img\nCOPY --from=0 /assets/index.html /static/\nCOPY run /run\nUSER 2:2\nENTRYPOINT [\"/run\"]\n",
        &[("web/index.html", "hi\n"), ("web/img/a.svg", "<svg/>\n"), ("run", SCRIPT)],
    ),
    whole(
        "stage-on-stage",
        "FROM scratch AS common\nENV A=1\nWORKDIR /data\nCOPY run /run\nFROM common\nENV B=${A}2\nUSER 3:3\nCMD [\"/run\"]\n",
        &[("run", SCRIPT)],
    ),
    whole(
        "owned",
        "FROM scratch\nCOPY --chown=1001:1002 data/ /var/data/\nCOPY --chmod=755 --chown=5 run /opt/run\nVOLUME /var/data\nUSER 1001:1002\nSTOPSIGNAL TERM\nENTRYPOINT [\"/opt/run\"]\n",
        &[("data/x/y", "1\n"), ("data/z", "2\n"), ("run", SCRIPT)],
    ),
    whole(
        "whole-context",
        "FROM scratch\nWORKDIR /app\nCOPY package.json ./\nCOPY . .\nUSER 7:7\nCMD [\"/app/run\"]\n",
        &[
            (".dockerignore", "*.log\nDockerfile\n.dockerignore\n"),
            ("package.json", "{}\n"),
            ("run", SCRIPT),
            ("debug.log", "noise\n"),
            ("src/a.js", "1\n"),
        ],
    ),
    whole(
        "overwritten",
        "FROM scratch\nCOPY defaults/ /etc/app/\nCOPY local/app.conf /etc/app/app.conf\nCOPY run /run\nUSER 9:9\nENTRYPOINT [\"/run\"]\n",
        &[("defaults/app.conf", "a\n"), ("defaults/b.conf", "b\n"), ("local/app.conf", "mine\n"), ("run", SCRIPT)],
    ),
    whole(
        "here-document",
        "FROM scratch\nARG GREETING=hello\nCOPY <<EOF /etc/motd\n$GREETING \"you\" and 'me'\nEOF\nCOPY <<'RAW' /etc/raw\n$NOT {{ replaced }}\nRAW\nCOPY run /run\nUSER 4:4\nENTRYPOINT [\"/run\"]\n",
        &[("run", SCRIPT)],
    ),
    whole(
        "lower-case",
        "from scratch\nmaintainer somebody <a@example.com>\nadd files /files/\ncopy [\"with space\", \"/with space\"]\ncopy run /run\nuser 8:8\nvolume [\"/a\", \"/b\"]\nentrypoint [\"/run\"]\n",
        &[("files/f", "f\n"), ("with space", "w\n"), ("run", SCRIPT)],
    ),
    case(
        "go",
        "# syntax=docker/dockerfile:1\nFROM golang:1.25 AS build\nWORKDIR /src\nCOPY go.* ./\nRUN go mod download\nCOPY . .\nRUN --mount=type=cache,target=/root/.cache CGO_ENABLED=0 go build -o /out/server ./cmd/server\n\nFROM gcr.io/distroless/static-debian12:nonroot\nCOPY --from=build /out/server /usr/local/bin/server\nENTRYPOINT [\"/usr/local/bin/server\"]\n",
        &[("go.mod", "module x\n")],
    ),
    case(
        "rust",
        "FROM rust:1.91-slim AS builder\nWORKDIR /usr/src/app\nCOPY Cargo.toml Cargo.lock ./\nCOPY src ./src\nRUN cargo build --release --locked\n\nFROM debian:bookworm-slim\nRUN apt-get update \\\n && apt-get install -y --no-install-recommends ca-certificates libssl3 \\\n # the lists are large\n && rm -rf /var/lib/apt/lists/*\nRUN useradd --system --uid 10001 --no-create-home app\nCOPY --from=builder /usr/src/app/target/release/app /usr/local/bin/app\nUSER app\nCMD [\"app\"]\n",
        &[("Cargo.toml", "[package]\n"), ("Cargo.lock", ""), ("src/main.rs", "fn main() {}\n")],
    ),
    case(
        "node",
        "FROM node:22-bookworm-slim\nENV NODE_ENV=production\nWORKDIR /usr/src/app\nCOPY package*.json ./\nRUN npm ci --omit=dev\nCOPY . .\nEXPOSE 3000\nUSER node\nHEALTHCHECK --interval=30s CMD node healthcheck.js\nCMD [\"node\", \"server.js\"]\n",
        &[
            (".dockerignore", "node_modules\n"),
            ("package.json", "{}\n"),
            ("package-lock.json", "{}\n"),
            ("server.js", "1\n"),
        ],
    ),
    case(
        "python",
        "FROM python:3.13-slim-bookworm\nENV PYTHONUNBUFFERED=1 PATH=/opt/venv/bin:$PATH\nRUN groupadd -r web && useradd -r -g web -d /srv/app -m web\nWORKDIR /srv/app\nCOPY requirements.txt .\nRUN pip install --no-cache-dir -r requirements.txt\nCOPY --chown=web:web app/ ./app/\nUSER web:web\nCMD gunicorn -b 0.0.0.0:8000 app:main\n",
        &[("requirements.txt", "flask\n"), ("app/main.py", "1\n")],
    ),
    case(
        "nginx",
        "FROM nginx:1.28-alpine3.22\nRUN rm -rf /usr/share/nginx/html/* && apk add --no-cache tzdata\nCOPY nginx.conf /etc/nginx/nginx.conf\nCOPY dist/ /usr/share/nginx/html\nEXPOSE 80\nSTOPSIGNAL SIGQUIT\n",
        &[("nginx.conf", "events {}\n"), ("dist/index.html", "x\n")],
    ),
    case(
        "java",
        "FROM maven:3-eclipse-temurin-21 AS build\nWORKDIR /build\nCOPY pom.xml .\nRUN mvn -B dependency:go-offline\nCOPY src src\nRUN mvn -B package\n\nFROM eclipse-temurin:21-jre\nARG JAR=target/*.jar\nCOPY --from=build /build/target/app.jar /app.jar\nENTRYPOINT [\"java\", \"-jar\", \"/app.jar\"]\n",
        &[("pom.xml", "<project/>\n"), ("src/A.java", "\n")],
    ),
    case(
        "java-glob",
        "FROM eclipse-temurin:21-jre-alpine\nRUN addgroup -S spring && adduser -S spring -G spring\nUSER spring:spring\nCOPY target/*.jar app.jar\nENTRYPOINT [\"sh\", \"-c\", \"java ${JAVA_OPTS} -jar /app.jar\"]\n",
        &[("target/demo-1.0.jar", "PK\n")],
    ),
    case(
        "react",
        "FROM node:22-alpine AS build\nWORKDIR /app\nCOPY . .\nRUN yarn install --frozen-lockfile && yarn build\nFROM nginx:stable\nCOPY --from=build /app/dist /usr/share/nginx/html\nONBUILD RUN echo never\n",
        &[("package.json", "{}\n"), ("dist/index.html", "x\n")],
    ),
    case(
        "ruby",
        "FROM ruby:3.4-slim\nRUN apt-get update -qq && apt-get install -yq build-essential=12.9 libpq-dev\nWORKDIR /rails\nCOPY Gemfile Gemfile.lock ./\nRUN bundle install\nCOPY . .\nRUN mkdir -p tmp/pids log && chown -R nobody tmp log && ln -sf /dev/stdout log/production.log\nEXPOSE 3000\nENTRYPOINT [\"/rails/bin/entry\"]\nCMD [\"rails\", \"server\"]\n",
        &[("Gemfile", "\n"), ("Gemfile.lock", "\n"), ("bin/entry", SCRIPT)],
    ),
    case(
        "php",
        "FROM php:8.4-apache\nRUN docker-php-ext-install pdo_mysql && a2enmod rewrite\nCOPY --chown=www-data:www-data . /var/www/html/\nRUN cat <<EOF > /usr/local/etc/php/conf.d/x.ini\nmemory_limit=256M\nEOF\nEXPOSE 80\n",
        &[("index.php", "<?php\n")],
    ),
    case(
        "tools",
        "FROM alpine:3.22.1\nARG TARGETARCH\nRUN apk add --no-cache bash curl~=8.14 && if [ -e /x ]; then rm /x; fi\nRUN apk add bash git\nADD https://example.com/tool-${TARGETARCH}.tar.gz /opt/\nADD vendor.tar.gz /opt/vendor\nSHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nENTRYPOINT exec bash\n",
        &[("vendor.tar.gz", "not looked into\n")],
    ),
    case(
        "copied-out",
        "FROM debian:12-slim@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nCOPY --link --from=ghcr.io/astral-sh/uv:0.8 /uv /uvx /bin/\nCOPY --from=busybox /bin/busybox /bin/busybox\nENV PATH=\"/opt/a:$PATH\"\nENV PATH=/opt/b:${PATH}\nUSER root\n",
        &[],
    ),
    case(
        "windows-escape",
        "# escape=`\nFROM scratch AS base\nENV PLACE=C:\\tools\nCOPY run `\n     /run\nFROM base AS debug\nCMD []\nENTRYPOINT [\"/run\"]\n",
        &[("run", SCRIPT)],
    ),
    case(
        "busy",
        "FROM ubuntu:24.04\nENV DEBIAN_FRONTEND=noninteractive\nRUN apt-get update && apt-get install -y nginx && apt-get clean\nRUN curl -fsSL https://example.com/install | sh\nRUN set -eux; mkdir -p /srv/{in,out}; chmod 0775 /srv/in; chown -R 33:33 /srv\nEXPOSE 8000-8002\nWORKDIR srv\nWORKDIR in\nCMD [\"nginx\", \"-g\", \"daemon off;\"]\n",
        &[],
    ),
];
