# Compiles sources to unchecked hash-based bytecode (PEP 552). Arguments: the folder of the sources
# on Lambda, and the optimization level.
#
# Reads frames from stdin and writes frames to stdout. Integers have 32 bits, little-endian.
#   in:  length of name, name, length of source, source
#   out: 0, or 1 for a failure, length of name, name, length of data, data (.pyc, or the reason)
#
# Code contains the name that its file has on Lambda, so it has no path of this machine.
import sys

sys.path[:] = [p for p in sys.path if p]  # nothing is imported from the working folder

import importlib.util
import struct
import warnings
from importlib._bootstrap_external import _code_to_hash_pyc
from types import CodeType


FIELDS = (
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_consts",
    "co_name",
    "co_qualname",
    "co_filename",
)


def hold(value, held):
    # marshal sets a flag on objects with more than one reference. Strings may be shared with code that
    # this process has compiled or imported before. One more reference to each sets the flag on all,
    # so that a source always gives the same bytes.
    if isinstance(value, str):
        held.append(value)
    elif isinstance(value, (tuple, frozenset)):
        for item in value:
            hold(item, held)
    elif isinstance(value, CodeType):
        for name in FIELDS:
            hold(getattr(value, name, None), held)


def main():
    root, optimize = sys.argv[1], int(sys.argv[2])
    warnings.simplefilter("ignore")
    inp, out = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr

    def field():
        head = inp.read(4)
        if len(head) < 4:
            return None
        return inp.read(struct.unpack("<I", head)[0])

    while True:
        name = field()
        if name is None:
            break
        source = field()
        try:
            code = compile(source, root + name.decode(), "exec", dont_inherit=True, optimize=optimize)
            held = []
            hold(code, held)
            failed, data = 0, bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            failed, data = 1, ("%s: %s" % (type(error).__name__, error)).encode("utf-8", "replace")[:300]
        out.write(struct.pack("<II", failed, len(name)) + name + struct.pack("<I", len(data)) + data)
        out.flush()


main()
