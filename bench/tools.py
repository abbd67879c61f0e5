"""Who is measured: for each workload a list of `Entry`. A command is a shell text, run with `sh -c`; what it writes is below `{out}`."""

import os
import shlex
import shutil
import subprocess


class Entry:
    """One way to do the work. `before` is run outside of the measured time, `needs` are the programs it takes."""

    def __init__(self, name, kind, command, needs=(), before="", output="", env=None):
        self.name, self.kind, self.command, self.needs = name, kind, command, needs
        self.before, self.output, self.env = before, output, env or {}

    def lacking(self):
        return [program for program in self.needs if not shutil.which(program)]


MANIFEST = """schema = 1
[image]
base = "{base}"
compression = "{compression}"
{level}[[file]]
src = "src/"
dest = "/app/"
[check]
root-user = "allow"
entrypoint = {{ level = "allow", reason = "a benchmark" }}
missing-interpreter = {{ level = "allow", reason = "a benchmark" }}
"""


def manifest(directory, compression, base="scratch", name="", level=None):
    """Writes a manifest beside `src` and gives its path."""
    line = f"compression-level = {level}\n" if level else ""
    text = MANIFEST.format(base=base, compression=compression, level=line)
    if name:
        text = text.replace("[image]\n", f'[image]\nname = "{name}"\n') + '[tags]\nfixed = ["bench"]\n'
    path = os.path.join(directory, f"{compression}{level or ''}{'-push' if name else ''}.toml")
    with open(path, "w") as out:
        out.write(text)
    return path


def ours(program, directory, compression, base="scratch", warm=False, level=None):
    path = manifest(directory, compression, base, level=level)
    word = {"gzip": "stillframe", "zstd": "stillframe zstd", "none": "stillframe, not compressed"}[compression]
    word += f" -{level}" if level else ""
    home = f"{{work}}/home-{compression}" if warm else "{out}/home"
    command = f"STILLFRAME_HOME={home} {program} -q -f {path} build -o oci:{{out}}/oci"
    return Entry(word, "ours", command, output="oci/blobs")


def buildah(source, base=""):
    start = f"buildah from -q oci:{base}:base" if base else "buildah from -q scratch"
    command = (
        f"c=$({start}) && buildah copy -q $c {source} /app >/dev/null && buildah commit -q --format oci --timestamp 0 "
        "--disable-compression=false $c oci:{out}/oci >/dev/null && buildah rm $c >/dev/null"
    )
    env = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
    return Entry("buildah", "peer", command, ("buildah",), output="oci/blobs", env=env)


def umoci(source, base=""):
    before = f"cp -r {base} {{out}}/oci" if base else ""
    start = "" if base else "umoci init --layout {out}/oci && umoci new --image {out}/oci:base && "
    return Entry("umoci", "peer", f"{start}umoci insert --image {{out}}/oci:base {source} /app", ("umoci",), before, "oci/blobs")


def crane(source, base=""):
    start = "--oci-empty-base" if not base else f"-b {base}"
    command = f"tar --sort=name -C {source} -cf {{out}}/l.tar . && crane append {start} -f {{out}}/l.tar -t bench/x:y -o {{out}}/img.tar >/dev/null"
    return Entry("tar + crane append", "peer", command, ("crane",), output="img.tar")


def docker(program, source, base=""):
    """Docker's engine keeps layers unpacked, so its output has no size to compare."""
    entries = []
    for name, kit in (("docker, BuildKit", "1"), ("docker, classic builder", "0")):
        command = f"{program} build -q -t stillframe-bench {{out}}/context >/dev/null"
        # A context is copied, so that no builder has seen its files before.
        before = (
            f"mkdir {{out}}/context && cp -r {source} {{out}}/context/src && "
            f"printf 'FROM {base or 'scratch'}\\nCOPY src /app\\n' > {{out}}/context/Dockerfile && "
            f"{program} builder prune -af >/dev/null 2>&1; {program} rmi -f stillframe-bench >/dev/null 2>&1; true"
        )
        entries.append(Entry(name, "peer", command, (program,), before, env={"DOCKER_BUILDKIT": kit}))
    return entries


def limits(source):
    tar = f"tar --sort=name -C {source} -cf - ."
    out = "> {out}/out"
    return [
        Entry("tar | gzip -6", "limit", f"{tar} | gzip -6 {out}", ("gzip",), output="out"),
        Entry("tar | pigz -6", "limit", f"{tar} | pigz -6 {out}", ("pigz",), output="out"),
        Entry("tar | zstd -3 -T0", "limit", f"{tar} | zstd -q -3 -T0 {out}", ("zstd",), output="out"),
        Entry("tar | openssl sha256", "limit", f"{tar} | openssl dgst -sha256 {out}", ("openssl",)),
    ]


def stored(entry):
    """The same into the store alone."""
    return Entry(f"{entry.name}, into the store", "ours", entry.command.replace(" -o oci:{out}/oci", ""))


def ceiling(program, source, kinds=("gzip", "zstd")):
    """The work that cannot be left out, and no more: `benches/ceiling.rs`, run as `PROGRAM SOURCE OUTPUT [KIND]`."""
    names = {"gzip": "ceiling", "zstd": "ceiling, zstd -3", "none": "ceiling, not compressed"}
    run = f"{shlex.quote(program)} {source} {{out}}/out"
    return [Entry(names[kind], "limit", f"{run} {kind}", output="out") for kind in kinds] if program else []


def versions(programs):
    """What each program says of itself."""
    found = {}
    for program in programs:
        if path := shutil.which(program):
            for word in ("version", "--version"):
                said = subprocess.run([path, word], capture_output=True, text=True)
                if said.returncode == 0 and any(letter.isdigit() for letter in said.stdout + said.stderr):
                    found[program] = (said.stdout or said.stderr).strip().splitlines()[0]
                    break
    return found
