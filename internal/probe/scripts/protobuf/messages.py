"""protobuf builds messages from descriptors, serializes to bytes, JSON and text, and brings its well-known types."""
# versions: >=4.22
import importlib.metadata

import google.protobuf
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, field_mask_pb2, json_format, message_factory, struct_pb2, text_format, timestamp_pb2, wrappers_pb2
from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError


def check(ok, what):
    if not ok:
        raise SystemExit("protobuf: " + what)


check(importlib.metadata.version("protobuf") == google.protobuf.__version__, "metadata and module disagree on the version")
if "Root-Is-Purelib: false" in (importlib.metadata.distribution("protobuf").read_text("WHEEL") or ""):
    check(api_implementation.Type() in ("upb", "cpp"), "the C code is not used")
file = descriptor_pb2.FileDescriptorProto(name="probe.proto", package="probe", syntax="proto3", dependency=["google/protobuf/timestamp.proto"])
message = file.message_type.add(name="Layer")
kinds = descriptor_pb2.FieldDescriptorProto
message.field.add(name="name", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
message.field.add(name="sizes", number=2, type=kinds.TYPE_INT64, label=kinds.LABEL_REPEATED)
message.field.add(name="made", number=3, type=kinds.TYPE_MESSAGE, label=kinds.LABEL_OPTIONAL, type_name=".google.protobuf.Timestamp")
pool = descriptor_pool.Default()
pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
Layer = message_factory.GetMessageClass(pool.FindMessageTypeByName("probe.Layer"))
one = Layer(name="é", sizes=[1, 2 ** 40])
one.made.FromJsonString("2024-02-29T12:00:00Z")
check(Layer.FromString(one.SerializeToString()) == one and one.SerializeToString().startswith(b"\n\x02\xc3\xa9"), "bytes")
check(json_format.MessageToDict(one) == {"name": "é", "sizes": ["1", str(2 ** 40)], "made": "2024-02-29T12:00:00Z"} and json_format.Parse(json_format.MessageToJson(one), Layer()) == one, "JSON")
check(text_format.Parse(text_format.MessageToString(one), Layer()) == one and one.made.ToDatetime().day == 29, "text or time")
packed = any_pb2.Any()
packed.Pack(one)
back = Layer()
check(packed.Is(Layer.DESCRIPTOR) and packed.Unpack(back) and back == one, "Any")
free = struct_pb2.Struct()
free.update({"a": [1, {"b": None}]})
check(json_format.MessageToDict(free) == {"a": [1.0, {"b": None}]} and duration_pb2.Duration(seconds=90).ToTimedelta().seconds == 90, "Struct or Duration")
check(field_mask_pb2.FieldMask(paths=["name"]).ToJsonString() == "name" and wrappers_pb2.Int32Value(value=3).value == 3 and timestamp_pb2.Timestamp().seconds == 0, "masks or wrappers")
try:
    Layer.FromString(b"\n\xff")
    raise SystemExit("protobuf: damaged bytes are accepted")
except DecodeError:
    pass
