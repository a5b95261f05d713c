"""joblib runs threads, caches results on disk, hashes objects and stores them with every compressor, vendored loky included."""
import importlib.metadata
import os
import tempfile

import joblib
from joblib.externals import loky
from joblib.externals.loky import wrap_non_picklable_objects


def check(ok, what):
    if not ok:
        raise SystemExit("joblib: " + what)


calls = []


def square(n):
    calls.append(n)
    return n * n


check(importlib.metadata.version("joblib") == joblib.__version__, "metadata and module disagree on the version")
check(joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(square)(n) for n in range(5)) == [0, 1, 4, 9, 16], "threads")
check(list(joblib.Parallel(n_jobs=1)(joblib.delayed(square)(n) for n in range(3))) == [0, 1, 4], "sequential")
check(joblib.cpu_count() >= 1 and loky.cpu_count() >= 1 and wrap_non_picklable_objects(lambda: 7)() == 7, "vendored packages")
check(joblib.hash({"a": [1, 2]}) == joblib.hash({"a": [1, 2]}) != joblib.hash({"a": [1]}), "hash")
value = {"numbers": list(range(1000)), "text": "é" * 100}
with tempfile.TemporaryDirectory() as folder:
    for method in (0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)):
        path = os.path.join(folder, "v.joblib")
        joblib.dump(value, path, compress=method)
        check(joblib.load(path) == value, "dump with %s" % (method,))
    del calls[:]
    memory = joblib.Memory(os.path.join(folder, "cache"), verbose=0)
    cached = memory.cache(square)
    check(cached(12) == cached(12) == 144 and calls == [12], "Memory does not cache")
    memory.clear(warn=False)
