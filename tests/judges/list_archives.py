"""Says what three other readers find in each archive of a directory: Python's tarfile, bsdtar, GNU tar. JSON on stdout:
{file: {reader: [[path, kind, size, target], ...] or null where the reader fails}}."""

import json
import os
import posixpath
import subprocess
import sys
import tarfile

KINDS = {tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.LNKTYPE: "h", tarfile.CHRTYPE: "o", tarfile.BLKTYPE: "o", tarfile.FIFOTYPE: "o"}
LETTERS = {"d": "d", "l": "l", "h": "h", "-": "f", "c": "o", "b": "o", "p": "o"}


def plain(name):
    return posixpath.normpath(name).strip("/")


def python(path):
    try:
        with tarfile.open(path, "r:*", errorlevel=2) as archive:
            return [[plain(m.name), KINDS.get(m.type, "f"), m.size, m.linkname] for m in archive.getmembers()]
    except (tarfile.TarError, EOFError, OSError, ValueError):
        return None


def listed(command, columns):
    done = subprocess.run(command, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"})
    if done.returncode != 0:
        return None
    found = []
    for line in done.stdout.decode().splitlines():
        words = line.split(None, columns)
        kind, name = LETTERS[words[0][0]], words[columns]
        for mark in (" -> ", " link to "):
            name, _, target = name.partition(mark)
            if target:
                kind = "h" if mark == " link to " else kind
                break
        size = words[2] if columns == 5 else words[4]
        # bsdtar shows a hard link with the letter of what it is linked to.
        found.append([plain(name), kind, 0 if "," in size else int(size), target])
    return found


def main():
    room = sys.argv[1]
    answer = {}
    for name in sorted(os.listdir(room)):
        path = os.path.join(room, name)
        answer[name] = {
            "tarfile": python(path),
            "bsdtar": listed(["bsdtar", "-tvf", path], 8),
            "gnu": listed(["tar", "--numeric-owner", "--quoting-style=literal", "--full-time", "-tvf", path], 5),
        }
    json.dump(answer, sys.stdout)


main()
