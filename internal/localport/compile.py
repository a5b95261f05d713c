# Compiles sources to unchecked hash-based bytecode (PEP 552). Reads frames from stdin, writes frames to stdout; integers are 32 bits, little-endian.
#   in:  length of name, name, length of source, source
#   out: 0 or 1 (it failed), length of name, name, length of data, data (.pyc, or the reason)
# The name in the code is where the file will be on Lambda: no path of the building machine is in it, and nothing must be fixed up at import.
import sys

sys.path[:] = [p for p in sys.path if p]  # not from wherever we were started

import importlib.util
import struct
import warnings
from importlib._bootstrap_external import _code_to_hash_pyc
from types import CodeType


def hold(value, held):
    # marshal marks what something else refers to as well. Strings are shared with whatever this process has compiled or imported before; when each is
    # held, all are marked alike, and a source gives the same bytes in any company.
    if isinstance(value, str):
        held.append(value)
    elif isinstance(value, (tuple, frozenset)):
        for item in value:
            hold(item, held)
    elif isinstance(value, CodeType):
        for name in ("co_names", "co_varnames", "co_freevars", "co_cellvars", "co_consts", "co_name", "co_qualname", "co_filename"):
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
