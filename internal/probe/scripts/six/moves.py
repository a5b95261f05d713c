"""six's moved modules and attributes resolve, and its helpers work."""
import importlib.metadata

import six
from six.moves import configparser, http_client, queue, range as six_range, reduce, urllib, zip_longest
from six.moves.urllib.parse import urlencode


def check(ok, what):
    if not ok:
        raise SystemExit("six: " + what)


check(importlib.metadata.version("six") == six.__version__, "metadata and module disagree on the version")
check(list(six_range(3)) == [0, 1, 2] and reduce(lambda a, b: a + b, [1, 2, 3]) == 6 and list(zip_longest([1], [])) == [(1, None)], "moved functions")
check(urlencode({"a": "b c"}) == "a=b+c" and urllib.parse.urlparse("http://h/p").netloc == "h" and http_client.OK == 200, "moved urllib")
check(queue.Queue().empty() and configparser.ConfigParser().sections() == [], "moved modules")
check(six.PY3 and isinstance("x", six.string_types) and six.ensure_str(b"x") == "x" and six.ensure_binary("x") == b"x", "types")


class Meta(type):
    pass


@six.add_metaclass(Meta)
class Made(six.with_metaclass(Meta, object)):
    pass


check(type(Made) is Meta and dict(six.iteritems({"a": 1})) == {"a": 1} and six.next(six.iterkeys({"k": 1})) == "k", "metaclasses or iterators")
try:
    six.raise_from(ValueError("v"), KeyError("k"))
except ValueError as e:
    check(isinstance(e.__cause__, KeyError), "raise_from")
