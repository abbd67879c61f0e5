"""What stands between a push and a registry: a registry on the loopback, a proxy with latency and a bandwidth, and a bare POST + PUT."""

import hashlib
import http.client
import json
import os
import socket
import subprocess
import tempfile
import threading
import time

PIECE = 16 << 10


class Registry:
    """Debian's docker-registry on a port of its own, its data below `directory`."""

    def __init__(self, directory):
        self.port = free_port()
        os.makedirs(directory, exist_ok=True)
        config = os.path.join(directory, "config.yml")
        with open(config, "w") as out:
            out.write(
                f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {directory}/data\n"
                f"http:\n  addr: 127.0.0.1:{self.port}\n"
            )
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.01)
        raise SystemExit("docker-registry does not come up")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Proxy:
    """Leads a port of its own to another one: every byte comes `delay` seconds later, and `rate` bytes a second go by, all connections and
    both directions together. A connection takes one round trip before its first byte, as over a network."""

    def __init__(self, port, delay, rate):
        self.to, self.delay, self.rate = port, delay, rate
        self.lock, self.free = threading.Lock(), 0.0
        self.requests = self.bytes = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                ours, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(ours,), daemon=True).start()

    def _connect(self, ours):
        time.sleep(2 * self.delay)
        theirs = socket.create_connection(("127.0.0.1", self.to))
        for one in (ours, theirs):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for pair in ((ours, theirs), (theirs, ours)):
            threading.Thread(target=self._lead, args=pair, daemon=True).start()

    def _slot(self, count):
        """When the next `count` bytes are through."""
        with self.lock:
            self.free = max(self.free, time.monotonic()) + count / self.rate
            self.bytes += count
            return self.free

    def _lead(self, source, sink):
        waiting, more = [], threading.Condition()

        def deliver():
            while True:
                with more:
                    while not waiting:
                        more.wait()
                    due, data = waiting.pop(0)
                pause = due - time.monotonic()
                if pause > 0:
                    time.sleep(pause)
                try:
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(data)
                except OSError:
                    return

        threading.Thread(target=deliver, daemon=True).start()
        data = b"-"
        while data:
            try:
                data = source.recv(PIECE)
            except OSError:
                data = b""
            through = self._slot(len(data))
            # What is on its way is bounded: a sender feels the bandwidth, not the buffers of this proxy.
            pause = through - time.monotonic() - 0.05
            if pause > 0:
                time.sleep(pause)
            with more:
                waiting.append((through + self.delay, data))
                more.notify()

    def stop(self):
        self.listener.close()


def bare(port, layout, repository):
    """POST + PUT of every blob of a layout and a PUT of its manifest, and nothing else: what a push cannot be without."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask(method, path, body=None, headers=None):
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        reply.read()
        if reply.status >= 300:
            raise SystemExit(f"{method} {path}: {reply.status}")
        return reply

    def at(digest):
        return os.path.join(layout, "blobs", "sha256", digest.split(":")[1])

    with open(os.path.join(layout, "index.json")) as text:
        root = json.load(text)["manifests"][0]
    with open(at(root["digest"]), "rb") as text:
        manifest = text.read()
    document = json.loads(manifest)
    for blob in document["layers"] + [document["config"]]:
        place = ask("POST", f"/v2/{repository}/blobs/uploads/").getheader("Location")
        place = place[place.index("/v2/"):] + f"&digest={blob['digest']}"
        with open(at(blob["digest"]), "rb") as body:
            ask("PUT", place, body, {"Content-Length": str(blob["size"]), "Content-Type": "application/octet-stream"})
    ask("PUT", f"/v2/{repository}/manifests/bench", manifest, {"Content-Type": root["mediaType"]})
