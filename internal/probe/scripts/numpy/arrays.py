"""numpy's testing helpers, masked arrays, strings, datetime64, text files, memory maps and pickles work."""
import importlib.metadata
import io
import os
import pickle
import tempfile

import numpy as np
import numpy.lib.format
import numpy.ma as ma
import numpy.testing as npt


def check(ok, what):
    if not ok:
        raise SystemExit("numpy arrays: " + what)


check(importlib.metadata.version("numpy") == np.__version__, "metadata and module disagree on the version")
npt.assert_allclose([1.0, 2.0], [1.0, 2.0 + 1e-12])
npt.assert_array_equal(np.arange(3), [0, 1, 2])
try:
    npt.assert_array_almost_equal([1.0], [2.0])
    raise SystemExit("numpy arrays: testing accepts unequal arrays")
except AssertionError:
    pass
m = ma.masked_greater(np.arange(6.0), 3)
check(m.sum() == 6 and ma.median(m) == 1.5 and m.filled(-1)[-1] == -1, "masked arrays")
check(np.char.upper(np.array(["ab", "ç"])).tolist() == ["AB", "Ç"], "char")
if hasattr(np, "strings"):
    s = np.array(["layer", "x" * 40], dtype=np.dtypes.StringDType())
    check(np.strings.str_len(s).tolist() == [5, 40] and pickle.loads(pickle.dumps(s))[0] == "layer", "StringDType")
d = np.arange("2024-02-27", "2024-03-02", dtype="datetime64[D]")
check(len(d) == 4 and str(d[2]) == "2024-02-29" and (d[-1] - d[0]) == np.timedelta64(3, "D"), "datetime64")
check(np.busday_count("2024-01-01", "2024-02-01") == 23 and str(np.datetime64(1, "ns").astype("M8[s]")) == "1970-01-01T00:00:00", "busday")
check(np.loadtxt(io.StringIO("1,2\n3,4"), delimiter=",").sum() == 10, "loadtxt")
check(np.genfromtxt(io.StringIO("a b\n1 2.5"), names=True)["b"] == 2.5, "genfromtxt")
rec = np.array([(1, 2.5, "a")], dtype=[("i", "i4"), ("f", "f8"), ("s", "U3")])
check(pickle.loads(pickle.dumps(rec, protocol=5)).tolist() == rec.tolist(), "structured pickle")
with tempfile.TemporaryDirectory() as folder:
    mapped = np.lib.format.open_memmap(os.path.join(folder, "m.npy"), mode="w+", dtype="f8", shape=(4,))
    mapped[:] = 2
    check(float(mapped.sum()) == 8, "memmap")
    del mapped
check(np.histogram([1, 2, 2, 9], bins=4)[0].tolist() == [3, 0, 0, 1] and np.unique([3, 1, 3]).tolist() == [1, 3], "histogram or unique")
check("[0 1 2]" in str(np.arange(3)) and "float64" in np.array(1.0).dtype.name, "print")
