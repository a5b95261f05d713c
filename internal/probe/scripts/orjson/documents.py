"""orjson's Rust code writes and reads JSON: dates, dataclasses, UUIDs, enums, options, fragments and errors."""
import dataclasses
import datetime
import enum
import importlib.metadata
import json
import uuid

import orjson


def check(ok, what):
    if not ok:
        raise SystemExit("orjson: " + what)


class Kind(enum.Enum):
    A = "a"


@dataclasses.dataclass
class Row:
    n: int
    kind: Kind


check(importlib.metadata.version("orjson") == orjson.__version__, "metadata and module disagree on the version")
value = {"s": "é\u2603\n", "f": 1.5e-7, "i": -(2 ** 53), "l": [None, True, {}], "e": {"x": []}}
check(orjson.loads(orjson.dumps(value)) == value == json.loads(orjson.dumps(value)), "round trip")
check(orjson.dumps(Row(1, Kind.A)) == b'{"n":1,"kind":"a"}' and orjson.dumps(uuid.UUID(int=1)) == b'"00000000-0000-0000-0000-000000000001"', "dataclass or UUID")
check(orjson.dumps(datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc), option=orjson.OPT_UTC_Z) == b'"2024-02-29T00:00:00Z"', "dates")
check(orjson.dumps({"b": 1, "a": 2}, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) == b'{\n  "a": 2,\n  "b": 1\n}', "options")
check(orjson.dumps({1, 2}, default=sorted) == b"[1,2]" and orjson.dumps({1: 2}, option=orjson.OPT_NON_STR_KEYS) == b'{"1":2}', "default")
for bad in ("[1,", b"\xff", "NaN"):
    try:
        orjson.loads(bad)
        raise SystemExit("orjson: accepted %r" % (bad,))
    except orjson.JSONDecodeError:
        pass
