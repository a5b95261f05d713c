"""msgpack packs and unpacks every type, extensions, time stamps and streams, with its C code where the wheel has it."""
import datetime
import importlib.metadata
import io

import msgpack


def check(ok, what):
    if not ok:
        raise SystemExit("msgpack: " + what)


check(importlib.metadata.version("msgpack") == ".".join(map(str, msgpack.version)), "metadata and module disagree on the version")
if "Root-Is-Purelib: false" in (importlib.metadata.distribution("msgpack").read_text("WHEEL") or ""):
    from msgpack import _cmsgpack  # the package falls back to Python silently
    check(msgpack.Packer is _cmsgpack.Packer, "the C packer is not used")
value = {"a": [1, -1, 2 ** 63, 1.5, None, True, "é", b"\x00"], "n": {"k": list(range(300))}}
check(msgpack.unpackb(msgpack.packb(value)) == value and msgpack.packb({"compact": True, "schema": 0}) == b"\x82\xa7compact\xc3\xa6schema\x00", "round trip")
when = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)
check(msgpack.unpackb(msgpack.packb(when, datetime=True), timestamp=3) == when and msgpack.Timestamp.from_datetime(when).to_unix() == 1709208000, "time stamps")
packed = msgpack.packb(3 + 4j, default=lambda c: msgpack.ExtType(7, ("%d,%d" % (c.real, c.imag)).encode()))
check(msgpack.unpackb(packed, ext_hook=lambda code, data: complex(*map(int, data.split(b",")))) == 3 + 4j, "extensions")
stream = msgpack.Unpacker(io.BytesIO(b"".join(msgpack.packb(n) for n in range(50))))
check(list(stream) == list(range(50)) and msgpack.unpackb(b"\x81\x01\x02", strict_map_key=False) == {1: 2}, "stream or keys")
for wrong, error in ((b"\x92\x01", ValueError), (b"\xc1", msgpack.FormatError), (b"\x01\x01", msgpack.ExtraData)):
    try:
        msgpack.unpackb(wrong)
        raise SystemExit("msgpack: %r is accepted" % wrong)
    except error:
        pass
