"""The workloads, made from a seed: the same bytes on every machine. Nothing is fetched.

Speed comes from a pool of pages that are made slowly and varied quickly: a page under another table of letters compresses alike, and
matches nothing of the page it was made from.
"""

import gzip
import hashlib
import io
import json
import os
import random
import tarfile

PAGE = 16 << 10
PAGES = 256
TABLES = 256


class Source:
    """Bytes that compress as programs and as texts do."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.program = [self._page(self._words(250, 3, 18, range(256)), 0.09) for _ in range(PAGES)]
        signs = b"etaoinshrdlucmfwypvbgkqjxz_()=.,;\n    "
        self.text = [self._page(self._words(250, 4, 18, signs), 0.0) for _ in range(PAGES)]
        self.tables = [self._table(list(range(256))) for _ in range(TABLES)]
        self.letters = [self._table(list(range(97, 123))) for _ in range(TABLES)]

    def _words(self, count, least, most, letters):
        letters = list(letters)
        return [bytes(self.random.choices(letters, k=self.random.randint(least, most))) for _ in range(count)]

    def _page(self, words, noise):
        # The n-th word is as frequent as 1/n, as in languages and in code.
        weights = [1 / (rank + 1) for rank in range(len(words))]
        parts, size = [], 0
        while size < PAGE:
            for word in self.random.choices(words, weights, k=512):
                word = self.random.randbytes(len(word)) if self.random.random() < noise else word
                parts.append(word)
                size += len(word)
        return b"".join(parts)[:PAGE]

    def _table(self, letters):
        shuffled = letters[:]
        self.random.shuffle(shuffled)
        table = bytearray(range(256))
        for letter, other in zip(letters, shuffled):
            table[letter] = other
        return bytes(table)

    def bytes(self, kind, size):
        """`size` bytes of `program`, `text` or `noise`, page by page."""
        while size > 0:
            if kind == "noise":
                page = self.random.randbytes(PAGE)
            elif kind == "program":
                page = self.random.choice(self.program).translate(self.random.choice(self.tables))
            else:
                page = self.random.choice(self.text).translate(self.random.choice(self.letters))
            at = self.random.randrange(PAGE // 2)
            page = (page[at:] + page[:at])[:size]
            size -= len(page)
            yield page

    def file(self, path, kind, size):
        with open(path, "wb") as out:
            for page in self.bytes(kind, size):
                out.write(page)


def one_binary(directory, scale):
    """W1: one program of 100 MB."""
    source = Source("one binary")
    os.makedirs(directory)
    source.file(os.path.join(directory, "program"), "program", 100_000_000 * scale // 100)


def small_files(directory, scale, count=20_000):
    """W2: 20 000 small files in 400 directories, 9 KB each in the mean."""
    source = Source("small files")
    for number in range(count * scale // 100):
        below = os.path.join(directory, f"d{number % 20:02}", f"e{number // 20 % 20:02}")
        os.makedirs(below, exist_ok=True)
        size = min(int(source.random.lognormvariate(8.3, 1.3)), 400_000)
        source.file(os.path.join(below, f"file{number}.js"), "text", size)


def mixed(directory, scale):
    """W3: 1 GiB in 2 400 files: programs, texts, what cannot be compressed, and a tenth that is there twice."""
    source, total, number, last = Source("mixed"), 0, 0, None
    while total < (1 << 30) * scale // 100:
        below = os.path.join(directory, f"d{number % 40:02}")
        os.makedirs(below, exist_ok=True)
        path = os.path.join(below, f"file{number}")
        size = min(int(source.random.lognormvariate(11.8, 1.7)) + 1, 60_000_000)
        kind = source.random.choices(["program", "text", "noise", "again"], [40, 35, 15, 10])[0]
        if kind == "again" and last:
            with open(last, "rb") as there, open(path, "wb") as out:
                out.write(there.read())
        else:
            source.file(path, "text" if kind == "again" else kind, size)
            last = path
        total, number = total + os.path.getsize(path), number + 1


def base(directory, scale):
    """A base: an OCI layout of one layer, about 77 MB of files; gives the digest of its manifest."""
    source, tar = Source("base"), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for number in range(3000 * scale // 100):
            kind = ["program", "text", "text"][number % 3]
            content = b"".join(source.bytes(kind, min(int(source.random.lognormvariate(9.1, 1.4)), 3_000_000)))
            entry = tarfile.TarInfo(f"usr/lib/d{number % 60:02}/file{number}")
            entry.size, entry.mode, entry.mtime = len(content), 0o644, 0
            archive.addfile(entry, io.BytesIO(content))
    tar = tar.getvalue()
    packed = gzip.compress(tar, 6, mtime=0)
    os.makedirs(os.path.join(directory, "blobs", "sha256"))

    def put(content, kind):
        digest = hashlib.sha256(content).hexdigest()
        with open(os.path.join(directory, "blobs", "sha256", digest), "wb") as out:
            out.write(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    kind = "application/vnd.oci.image."
    diff = "sha256:" + hashlib.sha256(tar).hexdigest()
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff]}}
    layer = put(packed, kind + "layer.v1.tar+gzip")
    config = put(json.dumps(config).encode(), kind + "config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": kind + "manifest.v1+json", "config": config, "layers": [layer]}
    manifest = put(json.dumps(manifest).encode(), kind + "manifest.v1+json")
    named = dict(manifest, annotations={"org.opencontainers.image.ref.name": "base"})
    with open(os.path.join(directory, "index.json"), "w") as out:
        json.dump({"schemaVersion": 2, "manifests": [named]}, out)
    with open(os.path.join(directory, "oci-layout"), "w") as out:
        out.write('{"imageLayoutVersion":"1.0.0"}')
    return manifest["digest"]


def ten_megabytes(directory, scale):
    """W4: a program of 10 MB, which goes onto the base."""
    source = Source("ten megabytes")
    os.makedirs(directory)
    source.file(os.path.join(directory, "program"), "program", 10_000_000 * scale // 100)


def flip(path, round_number):
    """Changes one byte in the middle of a file, another one each round."""
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([(byte + 1 + round_number) % 256]))
