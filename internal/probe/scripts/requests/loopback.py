"""requests talks to a loopback server (JSON, gzip, cookies, redirects, files, charset guess) and finds its CA bundle."""
import gzip
import http.server
import importlib.metadata
import os
import threading

import requests
import requests.certs


def check(ok, what):
    if not ok:
        raise SystemExit("requests: " + what)


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body, status, headers = b'{"ok": true}', 200, {"Content-Type": "application/json", "Set-Cookie": "c=1"}
        if self.path == "/gzip":
            body, headers = gzip.compress(b"layer" * 100), {"Content-Encoding": "gzip"}
        elif self.path == "/moved":
            status, headers = 302, {"Location": "/json"}
        elif self.path == "/missing":
            status = 404
        elif self.path == "/text":
            body, headers = "é déjà vu, où êtes-vous".encode("latin-1"), {"Content-Type": "text/x"}
        elif self.command == "POST":
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(status)
        for key, value in dict(headers, **{"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args):
        pass


check(importlib.metadata.version("requests") == requests.__version__, "metadata and module disagree on the version")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = "http://127.0.0.1:%d" % server.server_port
with requests.Session() as session:
    session.trust_env = False
    check(session.get(base + "/json", timeout=5).json() == {"ok": True} and session.cookies["c"] == "1", "JSON or cookies")
    check(session.get(base + "/gzip", timeout=5).content == b"layer" * 100, "gzip")
    check([r.status_code for r in session.get(base + "/moved", timeout=5).history] == [302], "redirect")
    check(session.get(base + "/text", timeout=5).apparent_encoding is not None, "charset guess")
    check(b'filename="n"' in session.post(base + "/post", files={"f": ("n", b"bytes")}, data={"a": "1"}, timeout=5).content, "files")
    check(session.post(base + "/post", json={"a": [1]}, auth=("u", "p"), timeout=5).request.headers["Authorization"] == "Basic dTpw", "auth")
    try:
        session.get(base + "/missing", timeout=5).raise_for_status()
        raise SystemExit("requests: 404 is no error")
    except requests.HTTPError as e:
        check(e.response.status_code == 404, "HTTPError")
server.shutdown()
server.server_close()
try:
    requests.get(base, timeout=5, proxies={"http": None, "no_proxy": "127.0.0.1"})
    raise SystemExit("requests: a closed port is no error")
except requests.ConnectionError:
    pass
check(os.path.getsize(requests.certs.where()) > 100000, "CA bundle")
check(requests.Request("GET", "http://bücher.example/").prepare().url == "http://xn--bcher-kva.example/", "international host name")
