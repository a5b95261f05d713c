"""botocore talks S3 for real, to a server on the loopback interface: put, get, list, delete, a stream and a typed error."""
# versions: >=1.36
import base64
import hashlib
import http.server
import os
import threading
import zlib

import botocore.session
from botocore.config import Config

os.environ.update(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1", AWS_EC2_METADATA_DISABLED="true")
store = {}


def check(ok, what):
    if not ok:
        raise SystemExit("botocore S3: " + what)


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        store[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        store["headers"] = {k.lower(): v for k, v in self.headers.items()}
        self.answer(200, ETag='"%s"' % hashlib.md5(store[self.path]).hexdigest())

    def do_GET(self):
        path = self.path.split("?")[0]
        if "list-type=2" in self.path:
            keys = "".join("<Contents><Key>%s</Key><Size>%d</Size></Contents>" % (k[3:], len(v)) for k, v in sorted(store.items()) if k.startswith("/b/"))
            self.answer(200, ("<ListBucketResult><IsTruncated>false</IsTruncated>%s</ListBucketResult>" % keys).encode())
        elif path in store:
            self.answer(200, store[path], ETag='"e"', x_amz_meta_note="n")
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")

    def do_DELETE(self):
        store.pop(self.path, None)
        self.answer(204)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
session = botocore.session.Session()
if "s3" not in session.get_available_services():
    print("skipped: s3 (the layer does not carry it)")
    raise SystemExit(0)
session.set_credentials("AKIDEXAMPLE", "secret")
s3 = session.create_client("s3", region_name="us-east-1", endpoint_url="http://127.0.0.1:%d" % server.server_port,
                           config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=10))
body = b"layer" * 1000
etag = s3.put_object(Bucket="b", Key="dir/k", Body=body, ContentType="text/plain", Metadata={"note": "n"}, ChecksumAlgorithm="CRC32")["ETag"]
sent = store["headers"]
check(store["/b/dir/k"] == body and hashlib.md5(body).hexdigest() in etag, "put_object")
check(sent["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") and sent["x-amz-meta-note"] == "n", "signature")
check(sent["x-amz-checksum-crc32"] == base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode(), "checksum")
got = s3.get_object(Bucket="b", Key="dir/k")
check(b"".join(got["Body"].iter_chunks(999)) == body and got["Metadata"] == {"note": "n"}, "get_object")
listed = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="b") for o in page["Contents"]]
check(listed == ["dir/k"], "list_objects_v2")
try:
    s3.get_object(Bucket="b", Key="none")
    raise SystemExit("botocore S3: a missing key is no error")
except s3.exceptions.NoSuchKey as e:
    check(e.response["ResponseMetadata"]["HTTPStatusCode"] == 404, "NoSuchKey")
check(s3.delete_object(Bucket="b", Key="dir/k")["ResponseMetadata"]["HTTPStatusCode"] == 204 and "/b/dir/k" not in store, "delete_object")
