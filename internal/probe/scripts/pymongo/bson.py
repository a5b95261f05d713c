"""PyMongo's BSON, GridFS and client work with the C code: documents round trip, a client builds its topology and fails cleanly on a closed loopback port."""
import datetime
import importlib.metadata
import socket
import uuid

import bson
import gridfs
import pymongo
from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex, Timestamp, json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, ReplaceOne, UpdateOne


def check(ok, what):
    if not ok:
        raise SystemExit("pymongo: " + what)


check(importlib.metadata.version("pymongo") == pymongo.version, "metadata and module disagree on the version")
if "Root-Is-Purelib: false" in (importlib.metadata.distribution("pymongo").read_text("WHEEL") or ""):
    check(bson.has_c() and pymongo.has_c(), "the C code is not used")
when = datetime.datetime(2024, 2, 29, 12, 0, 0, 123000, tzinfo=datetime.timezone.utc)
document = {"_id": ObjectId("507f1f77bcf86cd799439011"), "n": Int64(5), "d": Decimal128("1.10"), "t": when, "b": Binary.from_uuid(uuid.UUID(int=1)), "r": Regex("^a", "i"), "l": [1, "é", None, {"x": 1.5}],
            "c": Code("x", {"y": 1}), "s": Timestamp(3, 4)}
options = CodecOptions(tz_aware=True)
check(bson.decode(bson.encode(document), options) == document and len(bson.decode_all(bson.encode(document) * 3)) == 3, "BSON")
check(json_util.loads(json_util.dumps(document), json_options=json_util.JSONOptions(tz_aware=True)) == document, "JSON")
check(RawBSONDocument(bson.encode({"a": {"b": 1}}))["a"]["b"] == 1 and ObjectId().generation_time.year > 2020, "raw documents or ObjectId")
check([type(o).__name__ for o in (InsertOne({}), ReplaceOne({}, {}), UpdateOne({}, {"$set": {"a": 1}}))] == ["InsertOne", "ReplaceOne", "UpdateOne"] and gridfs.GridFS, "operations")
try:
    bson.decode(b"\x05\x00\x00\x00\x01")
    raise SystemExit("pymongo: damaged BSON is accepted")
except bson.errors.InvalidBSON:
    pass
free = socket.socket()
free.bind(("127.0.0.1", 0))
port = free.getsockname()[1]
free.close()
client = pymongo.MongoClient("mongodb://127.0.0.1:%d/db?appname=probe" % port, serverSelectionTimeoutMS=300, connectTimeoutMS=300)
check(client.get_default_database().name == "db" and client.db.things.with_options(write_concern=pymongo.WriteConcern(w=0)).full_name == "db.things", "client")
try:
    client.db.things.insert_one({"a": 1})
    raise SystemExit("pymongo: there is a server on a closed port")
except pymongo.errors.ServerSelectionTimeoutError:
    pass
client.close()
check(pymongo.uri_parser.parse_uri("mongodb://u:p%40@h:1/d?w=1")["password"] == "p@", "address")
