# Compiles sources to unchecked hash-based bytecode (PEP 552). Reads frames from stdin, writes frames to stdout; integers are 32 bits, little-endian.
#   in:  length of name, name, length of source, source
#   out: 0 or 1 (it failed), length of name, name, length of data, data (.pyc, or the reason)
# The name in the code is where the file will be on Lambda: no path of the building machine is in it, and nothing must be fixed up at import.
import importlib.util
import struct
import sys
import warnings
from importlib._bootstrap_external import _code_to_hash_pyc


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
            failed, data = 0, bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            failed, data = 1, ("%s: %s" % (type(error).__name__, error)).encode("utf-8", "replace")[:300]
        out.write(struct.pack("<II", failed, len(name)) + name + struct.pack("<I", len(data)) + data)
        out.flush()


main()
