# Compares bytecode with what its source compiles to. Reads frames from stdin: name, source, bytecode, each after its length (32 bits, little-endian).
# Prints one JSON document: how many were compared, and a sentence for each that differs.
#
# Equal code has equal instructions, constants, names, line and exception tables, at every depth; where the file lies is not part of it. Marshalled bytes are not compared: which
# objects are written as references depends on what else the process holds.
import importlib.util
import json
import marshal
import struct
import sys
import warnings

warnings.simplefilter("ignore")
stdin = sys.stdin.buffer


def field():
    head = stdin.read(4)
    return stdin.read(struct.unpack("<I", head)[0]) if len(head) == 4 else None


def wrong(source, data):
    if data[:4] != importlib.util.MAGIC_NUMBER:
        return "is for another Python"
    if struct.unpack("<I", data[4:8])[0] != 1:
        return "is not unchecked and hash-based"
    if data[8:16] != importlib.util.source_hash(source):
        return "has the hash of another source"
    try:
        code = marshal.loads(data[16:])
    except (EOFError, TypeError, ValueError) as error:
        return "cannot be read: %s" % error
    # As it is, or as python -OO would load it (lean and sourceless).
    if not any(code == compile(source, code.co_filename, "exec", dont_inherit=True, optimize=level) for level in (0, 2)):
        return "has other code than its source compiles to"
    return ""


compared, found = 0, []
while (name := field()) is not None:
    compared += 1
    problem = wrong(field(), field())
    if problem:
        found.append(name.decode() + ": " + problem)
json.dump({"compared": compared, "found": found}, sys.stdout)
