"""urllib3 talks to a loopback server: pooling, gzip, redirects, retries, forms with files, streams and timeouts."""
import gzip
import http.server
import importlib.metadata
import threading

import urllib3
from urllib3.util.retry import Retry

seen = []


def check(ok, what):
    if not ok:
        raise SystemExit("urllib3: " + what)


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        seen.append(self.path)
        body, status, headers = b"ok", 200, {}
        if self.path == "/gzip":
            body, headers = gzip.compress(b"layer" * 100), {"Content-Encoding": "gzip"}
        elif self.path == "/moved":
            status, headers = 302, {"Location": "/plain"}
        elif self.path == "/flaky" and seen.count("/flaky") < 3:
            status = 503
        elif self.path == "/broken":
            status = 500
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


check(importlib.metadata.version("urllib3") == urllib3.__version__, "metadata and module disagree on the version")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = "http://127.0.0.1:%d" % server.server_port
http_pool = urllib3.PoolManager(timeout=urllib3.Timeout(5.0), retries=Retry(3, backoff_factor=0, status_forcelist=[500, 503]))
check(http_pool.request("GET", base + "/plain").data == b"ok", "GET")
check(http_pool.request("GET", base + "/gzip").data == b"layer" * 100, "gzip")
check(http_pool.request("GET", base + "/moved").data == b"ok" and seen[-2:] == ["/moved", "/plain"], "redirect")
check(http_pool.request("GET", base + "/flaky").status == 200 and seen.count("/flaky") == 3, "retries")
body = http_pool.request("POST", base + "/form", fields={"a": "1", "f": ("n.txt", b"file bytes", "text/plain")}).data
check(b'name="f"; filename="n.txt"' in body and b"file bytes" in body, "multipart form")
stream = http_pool.request("GET", base + "/gzip", preload_content=False)
check(b"".join(stream.stream(64)) == b"layer" * 100, "stream")
stream.release_conn()
try:
    http_pool.request("GET", base + "/broken")
    raise SystemExit("urllib3: retries never end")
except urllib3.exceptions.MaxRetryError:
    pass
check(urllib3.util.parse_url("https://a.b:8443/c?d=e").port == 8443 and urllib3.util.ssl_.create_urllib3_context() is not None, "parse_url or TLS context")
