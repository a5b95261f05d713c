"""typing_extensions' backports work at run time: TypedDict, Protocol, Annotated, ParamSpec, overrides and deprecation."""
# versions: >=4.12
import importlib.metadata
import warnings

import typing_extensions as te


def check(ok, what):
    if not ok:
        raise SystemExit("typing-extensions: " + what)


class Movie(te.TypedDict, total=False):
    name: te.Required[str]
    year: te.NotRequired[int]


@te.runtime_checkable
class Closer(te.Protocol):
    def close(self):
        ...


class File:
    def close(self):
        return 1


@te.deprecated("old")
def old():
    return 3


check(importlib.metadata.version("typing-extensions")[0].isdigit(), "no metadata")
check(Movie(name="x") == {"name": "x"} and Movie.__required_keys__ == {"name"} and te.is_typeddict(Movie), "TypedDict")
check(isinstance(File(), Closer) and not isinstance(3, Closer), "Protocol")
check(te.get_type_hints(Movie)["year"] is int and te.get_args(te.Literal["a", "b"]) == ("a", "b"), "type hints")
check(te.get_origin(te.Annotated[int, "m"]) is te.Annotated and te.ParamSpec("P").__name__ == "P" and te.TypeVar("T", default=int).__default__ is int, "generics")
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    check(old() == 3 and len(seen) == 1, "deprecated")
check(te.NamedTuple("N", [("a", int)])(1).a == 1 and te.override(old) is old and te.assert_type(1, int) == 1, "helpers")
try:
    te.assert_never(1)
    raise SystemExit("typing-extensions: assert_never")
except AssertionError:
    pass
