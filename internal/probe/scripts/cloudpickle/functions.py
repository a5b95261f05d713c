"""cloudpickle carries lambdas, closures, interactive classes, generators' factories and modules by value."""
import importlib.metadata
import pickle
import types

import cloudpickle


def check(ok, what):
    if not ok:
        raise SystemExit("cloudpickle: " + what)


def outer(n):
    seen = []

    def inner(x, *, y=2):
        seen.append(x)
        return x * y + n + len(seen)
    return inner


class Base:
    kind = "base"

    def __init__(self, v):
        self.v = v

    @property
    def twice(self):
        return self.v * 2


class Child(Base):
    def name(self):
        return super().__class__.__name__ + self.kind


check(importlib.metadata.version("cloudpickle") == cloudpickle.__version__, "metadata and module disagree on the version")
for protocol in (2, pickle.HIGHEST_PROTOCOL):
    check(pickle.loads(cloudpickle.dumps(lambda x: x + 1, protocol))(2) == 3, "lambda")
    check(pickle.loads(cloudpickle.dumps(outer(10), protocol))(3, y=4) == 23, "closure")
    check(pickle.loads(cloudpickle.dumps(Child(4), protocol)).twice == 8, "class")
module = types.ModuleType("made_up")
exec("factor = 3\ndef times(x):\n    return x * factor", module.__dict__)
check(cloudpickle.loads(cloudpickle.dumps(module)).times(5) == 15, "module")
check(cloudpickle.loads(cloudpickle.dumps(types.SimpleNamespace(f=lambda: "ok"))).f() == "ok", "nested lambda")
