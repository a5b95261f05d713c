"""attrs builds classes: slots, frozen, validators, converters, pickling and both import names."""
import importlib.metadata
import pickle

import attr
import attrs


def check(ok, what):
    if not ok:
        raise SystemExit("attrs: " + what)


@attrs.define(order=True)
class Point:
    x: int = attrs.field(converter=int, validator=attrs.validators.ge(0))
    y: list = attrs.field(factory=list, repr=False, order=False)
    kind: str = attrs.field(default="p", validator=attrs.validators.in_(["p", "q"]))


@attr.s(frozen=True, hash=True)
class Old(object):
    a = attr.ib(validator=attr.validators.instance_of(int))


check(importlib.metadata.version("attrs") and attr.__version__ == importlib.metadata.version("attrs"), "metadata and module disagree on the version")
p = Point("3", [1])
check(p.x == 3 and repr(p) == "Point(x=3, kind='p')" and Point(1) < Point(2) and not hasattr(p, "__dict__"), "define")
check(attrs.asdict(p) == {"x": 3, "y": [1], "kind": "p"} and attrs.evolve(p, x=9).x == 9 and pickle.loads(pickle.dumps(p)) == p, "asdict, evolve or pickle")
for wrong in (lambda: Point(-1), lambda: Point(1, kind="z")):
    try:
        wrong()
        raise SystemExit("attrs: a wrong value is accepted")
    except ValueError:
        pass
try:
    Old(1).a = 2
    raise SystemExit("attrs: a frozen object changes")
except attr.exceptions.FrozenInstanceError:
    pass
check(hash(Old(1)) == hash(Old(1)) and [f.name for f in attrs.fields(Point)] == ["x", "y", "kind"] and attrs.make_class("M", ["a"])(1).a == 1, "fields or make_class")
