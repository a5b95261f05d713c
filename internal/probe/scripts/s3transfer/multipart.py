"""s3transfer uploads 10 MB in parts and downloads it in ranges, over real connections to a loopback server."""
import http.server
import importlib.metadata
import io
import os
import re
import tempfile
import threading

import botocore.session
import s3transfer
from botocore.config import Config
from s3transfer.manager import TransferConfig, TransferManager

os.environ.update(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", AWS_EC2_METADATA_DISABLED="true")
parts, objects, ranges = {}, {}, []


def check(ok, what):
    if not ok:
        raise SystemExit("s3transfer: " + what)


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0]
        if "uploadId" in self.path:
            objects[path] = b"".join(parts[n] for n in sorted(parts))
            self.answer(200, b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
        else:
            self.answer(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        number = re.search(r"partNumber=(\d+)", self.path)
        if number:
            parts[int(number.group(1))] = body
        else:
            objects[self.path] = body
        self.answer(200, ETag='"e"')

    def do_HEAD(self):
        self.answer(200, length=len(objects[self.path]), ETag='"e"')

    def do_GET(self):
        body = objects[self.path.split("?")[0]]
        wanted = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted:
            return self.answer(200, body, ETag='"e"')
        ranges.append(wanted.group())
        first, last = int(wanted.group(1)), int(wanted.group(2) or len(body) - 1)
        self.answer(206, body[first:last + 1], ETag='"e"', Content_Range="bytes %d-%d/%d" % (first, last, len(body)))

    def log_message(self, *args):
        pass


check(importlib.metadata.version("s3transfer") == s3transfer.__version__, "metadata and module disagree on the version")
session = botocore.session.Session()
if "s3" not in session.get_available_services():
    print("skipped: s3 (the layer does not carry it)")
    raise SystemExit(0)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
session.set_credentials("AKIDEXAMPLE", "secret")
s3 = session.create_client("s3", region_name="us-east-1", endpoint_url="http://127.0.0.1:%d" % server.server_port, config=Config(retries={"max_attempts": 0}))
data = bytes(range(256)) * 40960
megabyte = 1024 * 1024
with tempfile.TemporaryDirectory() as folder, TransferManager(s3, TransferConfig(multipart_threshold=5 * megabyte, multipart_chunksize=5 * megabyte, max_request_concurrency=2)) as manager:
    source, target = os.path.join(folder, "source"), os.path.join(folder, "target")
    with open(source, "wb") as f:
        f.write(data)
    manager.upload(source, "b", "big").result()
    check(sorted(parts) == [1, 2] and objects["/b/big"] == data, "multipart upload")
    manager.upload(io.BytesIO(b"small"), "b", "small").result()
    check(objects["/b/small"] == b"small", "small upload")
    manager.download("b", "big", target).result()
    with open(target, "rb") as f:
        check(f.read() == data and len(ranges) == 2, "ranged download")
    buffer = io.BytesIO()
    manager.download("b", "small", buffer).result()
    check(buffer.getvalue() == b"small", "download into a file object")
