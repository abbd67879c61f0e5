"""Says what two other readers find in each zip of a directory: Python's zipfile, bsdtar (as a stream, so that it believes the headers in
front of the contents). JSON on stdout: {file: {reader: {path: content in hex} or null where the reader fails}}; directories hold null."""

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile


def python(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return {e.filename: None if e.is_dir() else archive.read(e).hex() for e in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        return None


def bsdtar(path):
    with open(path, "rb") as stream:
        command = ["bsdtar", "-cf", "-", "--format=pax", "@-"]
        done = subprocess.run(command, stdin=stream, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    if done.returncode != 0:
        return None
    found = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            found[member.name + "/" * member.isdir()] = None if member.isdir() else archive.extractfile(member).read().hex()
    return found


def main():
    room = sys.argv[1]
    names = sorted(os.listdir(room))
    paths = {name: os.path.join(room, name) for name in names}
    json.dump({name: {"zipfile": python(paths[name]), "bsdtar": bsdtar(paths[name])} for name in names}, sys.stdout)


main()
