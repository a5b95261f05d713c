"""google-cloud-storage uploads, lists, reads and deletes against a loopback server, signs URLs, and its namespace packages are found."""
import http.server
import importlib.metadata
import json
import threading
import urllib.parse

import google.auth.credentials
import google.cloud
from google.api_core import exceptions
from google.auth import crypt
from google.cloud import storage

stored = {}


def check(ok, what):
    if not ok:
        raise SystemExit("google-cloud-storage: " + what)


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, kind="application/json"):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in (("Content-Type", kind), ("Content-Length", str(len(body)))):
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/upload/"):
            boundary = self.headers["Content-Type"].split("boundary=")[1].strip(b'"'.decode()).encode()
            parts = body.split(b"--" + boundary)
            name = json.loads(parts[1].split(b"\r\n\r\n", 1)[1])["name"]
            stored[name] = parts[2].split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n", 1)[0]
            self.answer(200, {"name": name, "bucket": "b", "size": str(len(stored[name])), "contentType": "text/plain"})
        else:
            self.answer(200, {"name": json.loads(body)["name"], "kind": "storage#bucket"})

    def do_GET(self):
        path = urllib.parse.urlparse(self.path).path
        name = urllib.parse.unquote(path.rpartition("/o/")[2])
        if path.endswith("/o"):
            self.answer(200, {"items": [{"name": n, "bucket": "b", "size": str(len(stored[n]))} for n in sorted(stored)]})
        elif name not in stored:
            self.answer(404, {"error": {"code": 404, "message": "no such object"}})
        elif path.startswith("/download/"):
            self.answer(200, stored[name], "text/plain")
        else:
            self.answer(200, {"name": name, "bucket": "b", "size": str(len(stored[name]))})

    def do_DELETE(self):
        stored.pop(urllib.parse.unquote(self.path.rpartition("/o/")[2].partition("?")[0]))
        self.answer(204, b"")

    def log_message(self, *args):
        pass


check(importlib.metadata.version("google-cloud-storage") == storage.__version__, "metadata and module disagree on the version")
check(not hasattr(google.cloud, "__file__") or google.cloud.__file__ is None or len(list(google.cloud.__path__)) >= 1, "namespace package")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = storage.Client(project="p", credentials=google.auth.credentials.AnonymousCredentials(), client_options={"api_endpoint": "http://127.0.0.1:%d" % server.server_port})
bucket = client.create_bucket("b")
check(bucket.name == "b", "bucket")
blob = bucket.blob("folder/é.txt")
blob.upload_from_string("layer", content_type="text/plain", checksum=None, timeout=5)
check(stored == {"folder/é.txt": b"layer"} and [b.name for b in client.list_blobs("b", timeout=5)] == ["folder/é.txt"], "upload or list")
check(bucket.get_blob("folder/é.txt", timeout=5).size == 5 and bucket.get_blob("none", timeout=5) is None and blob.exists(timeout=5), "get")
check(blob.download_as_bytes(checksum=None, raw_download=True, timeout=5) == b"layer", "download")
blob.delete(timeout=5)
check(not stored, "delete")
try:
    client.bucket("b").blob("none").download_as_bytes(timeout=5)
    raise SystemExit("google-cloud-storage: what is not there is read")
except exceptions.NotFound:
    pass
check(crypt.RSASigner and storage.Blob.from_string("gs://b/k") if hasattr(storage.Blob, "from_string") else storage.Blob.from_uri("gs://b/k").name == "k", "address")
server.shutdown()
