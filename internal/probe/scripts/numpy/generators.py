"""numpy's random numbers: every bit generator, the legacy RandomState, distributions and pickles of generators work."""
import pickle

import numpy as np


def check(ok, what):
    if not ok:
        raise SystemExit("numpy random: " + what)


for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"):
    kind = getattr(np.random, name)
    a, b = np.random.Generator(kind(7)), np.random.Generator(kind(7))
    check(np.array_equal(a.standard_normal(50), b.standard_normal(50)), name + " is not reproducible")
    copy = pickle.loads(pickle.dumps(a))
    check(np.array_equal(copy.integers(0, 1000, 20), a.integers(0, 1000, 20)), name + " does not pickle")
check(np.random.RandomState(42).randint(0, 100, 3).tolist() == [51, 92, 14], "legacy stream changed")
np.random.seed(0)
check(abs(np.random.rand() - 0.5488135039273248) < 1e-12, "legacy seed changed")
check(len(np.random.SeedSequence(5).spawn(3)) == 3, "SeedSequence")
rng = np.random.default_rng(12345)
for name, args in (("normal", (3, 1)), ("gamma", (3, 1)), ("poisson", (3,)), ("binomial", (6, 0.5)), ("beta", (3, 1)),
                   ("exponential", (3,)), ("lognormal", (0, 0.1)), ("hypergeometric", (9, 9, 6)), ("zipf", (3.0,)),
                   ("standard_t", (9,)), ("vonmises", (0.5, 4)), ("geometric", (0.3,)), ("wald", (3, 9))):
    draw = getattr(rng, name)(*args, size=200)
    check(draw.shape == (200,) and np.isfinite(draw).all(), name)
check(abs(rng.normal(3, 1, 20000).mean() - 3) < 0.05, "normal mean")
check(sorted(rng.permutation(10).tolist()) == list(range(10)), "permutation")
check(len(set(rng.choice(50, 20, replace=False).tolist())) == 20, "choice")
check(rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 5).shape == (5, 2), "multivariate_normal")
check(abs(rng.dirichlet([1, 2, 3]).sum() - 1) < 1e-9, "dirichlet")
check(len(rng.bytes(9)) == 9, "bytes")
