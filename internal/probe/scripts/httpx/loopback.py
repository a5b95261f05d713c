"""httpx talks to a loopback server, in sync and async clients, decodes gzip, follows redirects and builds a TLS context."""
import asyncio
import gzip
import http.server
import importlib.metadata
import ssl
import threading

import httpx


def check(ok, what):
    if not ok:
        raise SystemExit("httpx: " + what)


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


async def in_async(base):
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        answers = await asyncio.gather(*[client.get(base + "/json") for _ in range(3)])
        return [a.json() for a in answers]


check(importlib.metadata.version("httpx") == httpx.__version__, "metadata and module disagree on the version")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = "http://127.0.0.1:%d" % server.server_port
with httpx.Client(trust_env=False, timeout=5, follow_redirects=True) as client:
    check(client.get(base + "/json").json() == {"ok": True} and client.cookies["c"] == "1", "JSON or cookies")
    check(client.get(base + "/gzip").content == b"layer" * 100, "gzip")
    check(len(client.get(base + "/moved").history) == 1, "redirect")
    check(b'filename="n"' in client.post(base + "/post", files={"f": ("n", b"bytes")}, data={"a": "1"}).content, "files")
    with client.stream("GET", base + "/gzip") as stream:
        check(b"".join(stream.iter_bytes(64)) == b"layer" * 100, "stream")
    try:
        client.get(base + "/missing").raise_for_status()
        raise SystemExit("httpx: 404 is no error")
    except httpx.HTTPStatusError as e:
        check(e.response.status_code == 404, "HTTPStatusError")
check(asyncio.run(in_async(base)) == [{"ok": True}] * 3, "async client")
check(isinstance(httpx.create_ssl_context(), ssl.SSLContext) and httpx.URL("https://bücher.example/").raw_host == b"xn--bcher-kva.example", "TLS context or URL")
mock = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(201, text=request.url.path)))
check(mock.get("http://any/path").text == "/path", "MockTransport")
