# Runs one probe job in this process: runner.py module NAME | metadata NAME | script FILE | import NAME...
# Limits: no core dump, bounded address space. The last line of stdout of "import" is its time in seconds.
import os
import sys


def limits():
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    space = 10 << 30  # Lambda's largest memory
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > space:
        resource.setrlimit(resource.RLIMIT_AS, (space, hard))


def metadata(name):
    import csv
    import importlib.metadata as m

    found = m.distribution(name)
    if not found.version:
        raise SystemExit("no version")
    # Not found.files: since Python 3.12 it leaves out what is not there.
    record = [row[0] for row in csv.reader((found.read_text("RECORD") or "").splitlines()) if row]
    missing = [f for f in record if not f.startswith("..") and not os.path.exists(str(found.locate_file(f)))]
    if missing:
        raise SystemExit("RECORD lists %d files that are not there, %s first" % (len(missing), missing[0]))
    for entry in found.entry_points:
        if getattr(entry, "extras", None) or "[" in entry.value:
            continue  # needs an extra that the layer need not have
        try:
            entry.load()
        except Exception as error:
            raise SystemExit("entry point %s = %s: %s: %s" % (entry.name, entry.value, type(error).__name__, error))


def main():
    kind, names = sys.argv[1], sys.argv[2:]
    if kind == "import":
        import importlib
        import time

        start = time.perf_counter()
        for name in names:
            importlib.import_module(name)
        print("\n%.6f" % (time.perf_counter() - start), flush=True)
        os._exit(0)  # what modules print at exit would come after it
    limits()
    if kind == "module":
        import importlib

        importlib.import_module(names[0])
    elif kind == "metadata":
        metadata(names[0])
    else:
        with open(names[0], "rb") as f:
            source = f.read()
        program = type(sys)("__main__")
        program.__file__ = names[0]
        sys.modules["__main__"] = program  # where pickle looks for classes of a script
        sys.argv = [names[0]]
        exec(compile(source, names[0], "exec"), program.__dict__)


main()
