"""Tells the time of any place: `GET /Europe/Berlin`."""

import ssl
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class Clock(BaseHTTPRequestHandler):
    def do_GET(self):
        zone = self.path.strip("/") or "UTC"
        try:
            status, text = 200, datetime.now(ZoneInfo(zone)).isoformat(timespec="minutes")
        except (ZoneInfoNotFoundError, ValueError):
            status, text = 404, f"no place is called {zone!r}"
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"{text}\n".encode())


if __name__ == "__main__":
    print(f"{len(ssl.create_default_context().get_ca_certs())} authorities are trusted")
    ThreadingHTTPServer(("", 8000), Clock).serve_forever()
