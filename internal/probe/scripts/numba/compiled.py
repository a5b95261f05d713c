"""Numba compiles functions for this processor: loops, arrays, records, ufuncs, stencils, parallel loops, typed containers and errors."""
import importlib.metadata
import importlib.util
import os
import pickle
import tempfile

os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp()
import numba
import numpy as np
from numba import guvectorize, njit, prange, stencil, types, vectorize
from numba.experimental import jitclass
from numba.typed import Dict, List


def check(ok, what):
    if not ok:
        raise SystemExit("numba: " + what)


@njit(cache=True)
def mandel(z, n):
    c, i = z, 0
    while abs(z) <= 2 and i < n:
        z, i = z * z + c, i + 1
    return i


@njit
def arrays(a):
    return np.sort(a.ravel())[::-1], a.sum(axis=0), np.where(a > 1, a, -a)


@njit
def linear(a, b):
    return np.linalg.solve(a, b), a @ b


@njit(parallel=True)
def total(x):
    s = 0.0
    for i in prange(x.size):
        s += x[i] ** 2
    return s


@vectorize(["float64(float64, float64)"])
def product(x, y):
    return x * y + 1


@guvectorize(["void(float64[:], float64[:])"], "(n)->()")
def mean(x, out):
    out[0] = x.mean()


@stencil
def neighbours(a):
    return a[-1] + a[1]


@jitclass([("n", types.int64)])
class Counter:
    def __init__(self):
        self.n = 0

    def add(self, k):
        self.n += k
        return self.n


@njit
def words(text):
    found = Dict.empty(types.unicode_type, types.int64)
    for word in text.split():
        found[word] = found.get(word, 0) + 1
    return found


check(importlib.metadata.version("numba") == numba.__version__, "metadata and module disagree on the version")
check(mandel(0.1 + 0.1j, 50) == 50 and mandel(2 + 2j, 50) == 0 and len(mandel.nopython_signatures) == 1, "loops")
square = np.array([[2.0, 0.0], [0.0, 4.0]])
ordered, summed, chosen = arrays(square)
check(ordered.tolist() == [4, 2, 0, 0] and summed.tolist() == [2, 4] and np.abs(chosen).tolist() == square.tolist(), "arrays")
if importlib.util.find_spec("scipy"):  # brings the BLAS
    solved, multiplied = linear(square, np.array([2.0, 4.0]))
    check(solved.tolist() == [1, 1] and multiplied.tolist() == [4, 16], "linear algebra")
else:
    print("skipped: linear algebra (scipy is not there)")
check(total(np.arange(1000.0)) == 332833500 and product(np.arange(3.0), 2).tolist() == [1, 3, 5] and mean(np.ones((2, 3))).tolist() == [1, 1], "parallel or ufuncs")
check(neighbours(np.arange(5)).tolist() == [0, 2, 4, 6, 0] and Counter().add(3) == 3 and words("a b a")["a"] == 2 and len(List([1, 2])) == 2, "stencils, classes or containers")
check(pickle.loads(pickle.dumps(arrays))(np.eye(2))[1].tolist() == [1, 1], "pickle")
try:
    njit(lambda x: x + "a")(1)
    raise SystemExit("numba: a number and a text are added")
except numba.TypingError:
    pass
