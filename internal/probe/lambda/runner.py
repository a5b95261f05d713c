# Runs one probe job in this process: runner.py module NAME | metadata NAME | script FILE | import NAME...
# Limits: no core dump, bounded address space and files. The last line of stdout of "import" is its time in seconds.
#
# runner.py serve: runs jobs, each in a process that it forks while nothing is imported yet. A request is a line on
# descriptor 3: limit in seconds, kind and names, separated by NUL. Answers are lines on descriptor 4: "ready" at first,
# "pid N" when a job starts, "lib PATH" for each mapped library, "end STATUS KIB SECONDS LATE". The kind "group" imports modules one
# after the other and says "+ N" or "- N ERROR" for each.
import os
import sys

REQUESTS, ANSWERS = 3, 4


def limits():
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for what, most in ((resource.RLIMIT_AS, 10 << 30), (resource.RLIMIT_FSIZE, 10 << 30)):  # Lambda's largest memory, and /tmp
        soft, hard = resource.getrlimit(what)
        if hard == resource.RLIM_INFINITY or hard > most:
            resource.setrlimit(what, (most, hard))


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
        if len(missing) == 1:
            raise SystemExit("RECORD lists %s, which is not there" % missing[0])
        raise SystemExit("RECORD lists %d files that are not there, %s first" % (len(missing), missing[0]))
    for entry in found.entry_points:
        if getattr(entry, "extras", None) or "[" in entry.value:
            continue  # needs an extra that the layer need not have
        try:
            entry.load()
        except Exception as error:
            raise SystemExit("entry point %s = %s: %s: %s" % (entry.name, entry.value, type(error).__name__, error))


def tell(line):
    try:
        os.write(ANSWERS, (line + "\n").encode())
    except OSError:  # a job may close what is open
        pass


def libraries():
    """Tells the files that this process has mapped as code."""
    try:
        with open("/proc/self/maps", "rb") as f:
            lines = f.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return
    seen = []
    for line in lines:
        fields = line.split(None, 5)
        if len(fields) == 6 and "x" in fields[1] and fields[5].startswith("/") and fields[5] not in seen:
            seen.append(fields[5])
    for path in seen:
        tell("lib " + path)


def group(names):
    import importlib

    for n, name in enumerate(names):
        try:
            importlib.import_module(name)
            # A module that the failed import of its package has left behind is found without the package.
            parents = [name[:i] for i, c in enumerate(name) if c == "." and name[:i] not in sys.modules]
            if parents:
                importlib.import_module(parents[0])
        except BaseException as error:
            tell("- %d %s" % (n, " ".join(("%s: %s" % (type(error).__name__, error)).split())[:500]))
        else:
            tell("+ %d" % n)
    libraries()
    os._exit(0)


def serve():
    """Returns in the process of a job only, with the job."""
    import time

    parent = os.getppid()
    limits()
    sys.modules.pop("resource", None)
    tell("ready")
    waiting = b""
    while True:
        while b"\n" not in waiting:
            more = os.read(REQUESTS, 1 << 16)
            if not more:
                os._exit(0)
            waiting += more
        line, _, waiting = waiting.partition(b"\n")
        fields = line.decode().split("\0")
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            os.close(REQUESTS)
            return fields[1:]
        tell("pid %d" % pid)
        status, usage, late = wait(time, pid, start + float(fields[0]), parent)
        tell("end %d %d %.6f %d" % (status, usage.ru_maxrss, time.monotonic() - start, late))


def wait(time, pid, deadline, parent):
    """Waits for a job, then ends what it left running in its process group."""
    pause = 0.0005
    late = False
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            kill(pid)
            return status, usage, late
        if not late and (time.monotonic() > deadline or os.getppid() != parent):
            late = True
            kill(pid)
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def kill(pid):
    try:
        os.killpg(pid, 9)
    except OSError:
        pass


def timed(names):
    import importlib
    import time

    start = time.perf_counter()
    for name in names:
        importlib.import_module(name)
    print("\n%.6f" % (time.perf_counter() - start), flush=True)
    os._exit(0)  # what modules print at exit would come after it


def run(kind, names):
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


def main():
    served = sys.argv[1] == "serve"
    job = serve() if served else sys.argv[1:]
    kind, names = job[0], job[1:]
    if kind == "import":
        timed(names)
    if kind == "group":
        group(names)
    if not served:
        limits()
    try:
        run(kind, names)
    finally:
        if served:
            libraries()


main()
