#!/usr/bin/env python3
"""Judges layers against docs/format-1.md; shares nothing with the program that wrote them.

usage: check_layer.py [--diff-id] FILE...

Each FILE is the blob of a layer: a tar, or one that is compressed with gzip or zstd (which needs the `zstd` program).
Every byte of every header is worked out again from what the entry says, and compared. Exit code 0: all are right; 1: one is not.
"""

import hashlib
import itertools
import re
import subprocess
import sys
import zlib

BLOCK = 512
MTIME = 315532800
PIECE = 1048576
LEAST = 655360
SMALLEST_LINKED = 4096
CAPABILITY = b"SCHILY.xattr.security.capability"


class Wrong(Exception):
    """What is not as the format says."""


def need(condition, message):
    if not condition:
        raise Wrong(message)


def unpack(blob):
    """The tar in a blob."""
    if blob[:2] == b"\x1f\x8b":
        return gunzip(blob)
    if blob[:4] == b"\x28\xb5\x2f\xfd":
        return unzstd(blob)
    return blob


def gunzip(blob):
    need(blob[:10] == bytes.fromhex("1f8b08000000000000ff"), f"gzip: the header is {blob[:10].hex()}")
    decoder = zlib.decompressobj(wbits=-15)
    tar = decoder.decompress(blob[10:])
    need(decoder.eof, "gzip: the deflate stream has no end")
    rest = decoder.unused_data
    need(len(rest) == 8, f"gzip: {len(rest)} bytes stand after the deflate stream, 8 are right (one member)")
    need(int.from_bytes(rest[:4], "little") == zlib.crc32(tar), "gzip: the CRC-32 is wrong")
    need(int.from_bytes(rest[4:], "little") == len(tar) % 2**32, "gzip: the size is wrong")
    return tar


def check_gzip_cuts(blob, cuts):
    """Each block but the last ends on a byte, with an empty stored block, where the tar is cut."""
    decoder = zlib.decompressobj(wbits=-15)
    data, at, done, ends = blob[10:-8], 0, 0, set()
    # The bytes of the mark can stand inside of a block by chance; then too few bytes of the tar are done.
    for mark in re.finditer(rb"(?=\x00\x00\xff\xff)", data):
        done += len(decoder.decompress(data[at:mark.start() + 4]))
        at = mark.start() + 4
        ends.add(done)
    missing = sorted(set(cuts) - ends)
    need(not missing, f"gzip: no block ends at byte {missing[:1]} of the tar")


def unzstd(blob):
    sizes = list(zstd_frames(blob))
    done = subprocess.run(["zstd", "-d", "-c", "-q"], input=blob, capture_output=True, check=False)
    need(done.returncode == 0, f"zstd: {done.stderr.decode(errors='replace').strip()}")
    need(len(done.stdout) == sum(sizes), "zstd: the frames state another size")
    return done.stdout


def check_zstd_cuts(blob, cuts):
    """A frame ends where the tar is cut, and nowhere else."""
    *ends, _ = itertools.accumulate(zstd_frames(blob))
    need(ends == cuts, "zstd: the tar is not cut as it should be")


def check_cuts(blob, tar):
    """The tar is cut into the blocks that the format says."""
    if blob[:2] == b"\x1f\x8b":
        check_gzip_cuts(blob, cuts_of(tar))
    elif blob[:4] == b"\x28\xb5\x2f\xfd":
        check_zstd_cuts(blob, cuts_of(tar))


def cuts_of(tar):
    """Where one block ends and the next one begins."""
    cuts, begin, at = [], 0, 0

    def grow(end):
        nonlocal begin
        while end - begin > PIECE:
            begin += PIECE
            cuts.append(begin)

    while any(tar[at:at + BLOCK]):
        entry, end = read_entry(tar, at)
        full = at - begin
        if full and (full + end - at > PIECE or full >= LEAST and zlib.crc32(entry["path"]) % 8 == 0):
            begin = at
            cuts.append(at)
        grow(end)
        at = end
    grow(len(tar))
    return cuts


def zstd_frames(blob):
    """The stated size of each frame's content (RFC 8878, 3.1.1)."""
    at = 0
    while at < len(blob):
        need(blob[at:at + 4] == b"\x28\xb5\x2f\xfd" and at + 12 < len(blob), f"zstd: no frame begins at byte {at}")
        flags = blob[at + 4]
        at += 5
        single = flags >> 5 & 1
        need(flags & 4, "zstd: a frame has no checksum")
        need(not flags & 3, "zstd: a frame names a dictionary")
        at += 0 if single else 1
        width = [1 if single else 0, 2, 4, 8][flags >> 6]
        need(width, "zstd: a frame does not state its size")
        content = int.from_bytes(blob[at:at + width], "little") + (256 if width == 2 else 0)
        at += width
        while True:
            need(at + 3 <= len(blob), "zstd: a frame is cut")
            head = int.from_bytes(blob[at:at + 3], "little")
            at += 3 + (1 if head >> 1 & 3 == 1 else head >> 3)
            if head & 1:
                break
        at += 4
        need(at <= len(blob), "zstd: a frame is cut")
        yield content


def number(value, digits):
    return b"%0*o\0" % (digits, value)


def stand_in(text):
    return bytes(byte if byte < 0x80 else ord("_") for byte in text[:100])


def header(name, prefix, mode, uid, gid, size, kind, target):
    """The 512 bytes of a header."""
    front = name.ljust(100, b"\0") + number(mode, 7) + number(uid, 7) + number(gid, 7) + number(size, 11)
    front += number(MTIME, 11)
    back = kind + target.ljust(100, b"\0") + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
    back += prefix.ljust(155, b"\0") + bytes(12)
    checksum = sum(front) + sum(back) + 8 * 0x20
    block = front + b"%06o\0 " % checksum + back
    assert len(block) == BLOCK, "a field is too long"
    return block


def expected(entry):
    """All that stands before the content of an entry."""
    name = entry["path"] + (b"/" if entry["kind"] == b"5" else b"")
    records = {}
    ascii_only = max(name) < 0x80
    slashes = [at for at in range(min(156, len(name) - 1)) if name[at] == 0x2F]
    if ascii_only and len(name) <= 100:
        short, prefix = name, b""
    elif ascii_only and slashes and len(name) - slashes[-1] - 1 <= 100:
        short, prefix = name[slashes[-1] + 1:], name[:slashes[-1]]
    else:
        records[b"path"] = name
        short, prefix = stand_in(name), b""
    target = entry["target"]
    if target and (max(target) >= 0x80 or len(target) > 100):
        records[b"linkpath"] = target
        target = stand_in(target)
    fields = {}
    for key, most in (("uid", 0o7777777), ("gid", 0o7777777), ("size", 0o77777777777)):
        fields[key] = entry[key]
        if entry[key] > most:
            records[key.encode()] = b"%d" % entry[key]
            fields[key] = 0
    if entry["capability"] is not None:
        records[CAPABILITY] = entry["capability"]
    out = b""
    if records:
        body = b"".join(record(key, records[key]) for key in sorted(records))
        out += header(b"PaxHeader", b"", 0o644, 0, 0, len(body), b"x", b"")
        out += body + bytes(-len(body) % BLOCK)
    return out + header(short, prefix, entry["mode"], fields["uid"], fields["gid"], fields["size"], entry["kind"], target)


def record(key, value):
    rest = b" " + key + b"=" + value + b"\n"
    for digits in range(1, 20):
        length = len(rest) + digits
        if len(str(length)) == digits:
            return b"%d" % length + rest
    raise AssertionError("a record has no length")


def parse_number(field, what):
    need(re.fullmatch(rb"[0-7]+\0", field), f"{what} is {field!r}")
    return int(field[:-1], 8)


def parse_text(field):
    return field.split(b"\0", 1)[0]


def parse_records(body):
    records, at = {}, 0
    while at < len(body):
        match = re.match(rb"([1-9][0-9]*) ", body[at:at + 24])
        need(match, f"a record begins with {body[at:at + 24]!r}")
        end = at + int(match[1])
        need(end <= len(body) and body[end - 1:end] == b"\n", "a record has no end")
        key, equals, value = body[at + match.end():end - 1].partition(b"=")
        need(equals, "a record has no `=`")
        need(key not in records, f"the record {key!r} stands twice")
        records[key] = value
        at = end
    return records


def check_capability(value):
    need(len(value) == 20, f"the capabilities have {len(value)} bytes")
    words = [int.from_bytes(value[at:at + 4], "little") for at in range(0, 20, 4)]
    need(words[0] == 0x02000001, f"the capabilities begin with {words[0]:#x}")
    need(words[2] == 0 and words[4] == 0, "a capability is inheritable")
    need(words[1] or words[3], "the set of capabilities is empty")


def read_entry(tar, at):
    """The entry that begins at a byte, where its content begins and where it ends."""
    records, start = {}, at
    block = tar[at:at + BLOCK]
    if block[156:157] == b"x":
        size = parse_number(block[124:136], "the size of a PAX header")
        need(size, "a PAX header has no records")
        records = parse_records(tar[at + BLOCK:at + BLOCK + size])
        at += BLOCK + size + -size % BLOCK
        block = tar[at:at + BLOCK]
    need(len(block) == BLOCK, "a header is cut")
    known = {b"path", b"linkpath", b"uid", b"gid", b"size", CAPABILITY}
    need(set(records) <= known, f"there are records {sorted(set(records) - known)}")
    kind = block[156:157]
    need(kind in (b"0", b"1", b"2", b"5"), f"there is an entry of type {kind!r}")
    prefix, name = parse_text(block[345:500]), parse_text(block[:100])
    name = records.get(b"path", prefix + b"/" + name if prefix else name)
    numbers = {}
    for key, field in (("mode", block[100:108]), ("uid", block[108:116]), ("gid", block[116:124]), ("size", block[124:136])):
        value = records.get(key.encode())
        need(value is None or re.fullmatch(rb"[1-9][0-9]*", value), f"the record {key} is {value!r}")
        numbers[key] = parse_number(field, key) if value is None else int(value)
    need(name.endswith(b"/") == (kind == b"5"), f"{name!r}: a directory and nothing else ends with `/`")
    path = name.removesuffix(b"/")
    entry = {"path": path, "kind": kind, "target": records.get(b"linkpath", parse_text(block[157:257]))}
    entry.update(numbers, capability=records.get(CAPABILITY))
    check_entry(entry)
    right = expected(entry)
    found = tar[start:at + BLOCK]
    if found != right:
        where = next((n for n, (a, b) in enumerate(zip(found, right)) if a != b), min(len(found), len(right)))
        raise Wrong(f"{path!r}: byte {where} of {len(found)} before its content is not as it should be "
                    f"({found[where:where + 12]!r}, not {right[where:where + 12]!r})")
    begin = at + BLOCK
    end = begin + entry["size"]
    need(end + -entry["size"] % BLOCK <= len(tar), f"{path!r}: its content is cut")
    need(not any(tar[end:end + -entry["size"] % BLOCK]), f"{path!r}: its content is not filled up with NUL")
    return entry, end + -entry["size"] % BLOCK


def check_entry(entry):
    path, kind = entry["path"], entry["kind"]
    need(path and b"\0" not in path, f"the path {path!r} is not right")
    need(not any(part in (b"", b".", b"..") for part in path.split(b"/")), f"the path {path!r} is not canonical")
    path.decode()
    need(entry["mode"] <= 0o7777, f"{path!r}: the mode is {entry['mode']:o}")
    need(entry["uid"] < 2**32 and entry["gid"] < 2**32, f"{path!r}: an owner has more than 32 bits")
    need(bool(entry["target"]) == (kind in (b"1", b"2")), f"{path!r}: a link and nothing else has a target")
    if kind == b"2":
        need(entry["mode"] == 0o777, f"{path!r}: a link with mode {entry['mode']:o}")
    if kind != b"0":
        need(entry["size"] == 0, f"{path!r}: only a file has content")
    if kind not in (b"0", b"1"):
        need(entry["capability"] is None, f"{path!r}: only a file has capabilities")
    if path.rpartition(b"/")[2].startswith(b".wh."):
        need((kind, entry["mode"], entry["size"]) == (b"0", 0o644, 0), f"{path!r}: not a right whiteout")
    if entry["capability"] is not None:
        check_capability(entry["capability"])


def check_links(files, links):
    """Each hard link stands for the first file that is the same; where there is one, no file is there twice."""
    for path, target, facts in links:
        size, _, *right = files[target]
        need(size >= SMALLEST_LINKED, f"{path!r}: a link to a file of {size} bytes")
        need(list(facts) == right, f"{path!r} and {target!r} are one file and differ in mode, owner or capabilities")
    large = [facts for facts in files.values() if facts[0] >= SMALLEST_LINKED]
    need(not links or len(large) == len(set(large)), "two files are the same, and another one is a hard link")


def check_tar(tar):
    need(len(tar) % BLOCK == 0, f"{len(tar)} bytes are not whole blocks")
    at, last, kinds, files, links = 0, None, {}, {}, []
    while at < len(tar) and any(tar[at:at + BLOCK]):
        entry, at = read_entry(tar, at)
        path = entry["path"]
        need(last is None or path > last, f"{path!r} stands after {last!r}")
        parts = path.split(b"/")
        for count in range(1, len(parts)):
            parent = b"/".join(parts[:count])
            need(kinds.get(parent, b"5") == b"5", f"{path!r} is below {parent!r}, which is not a directory")
        kinds[path] = entry["kind"]
        facts = (entry["mode"], entry["uid"], entry["gid"], entry["capability"])
        if entry["kind"] == b"0":
            size = entry["size"]
            begin = at - size - -size % BLOCK
            files[path] = (size, hashlib.sha256(tar[begin:begin + size]).digest(), *facts)
        if entry["kind"] == b"1":
            links.append((path, entry["target"], facts))
            need(entry["target"] in files, f"{path!r}: no file {entry['target']!r} stands before it")
        last = path
    check_links(files, links)
    need(tar[at:] == bytes(2 * BLOCK), f"after the last entry stand {len(tar) - at} bytes, not 1024 that are NUL")
    return len(kinds)


def main(arguments):
    show = "--diff-id" in arguments
    files = [argument for argument in arguments if argument != "--diff-id"]
    if not files:
        print(__doc__.strip(), file=sys.stderr)
        return 1
    wrong = False
    for file in files:
        try:
            with open(file, "rb") as source:
                blob = source.read()
            tar = unpack(blob)
            count = check_tar(tar)
            check_cuts(blob, tar)
            print(f"sha256:{hashlib.sha256(tar).hexdigest()}  {file}" if show else f"{file}: right, {count} entries")
        except (Wrong, OSError, ValueError, zlib.error) as problem:
            print(f"{file}: {problem}", file=sys.stderr)
            wrong = True
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
