"""scikit-learn's sample data loads whole; skipped where a policy removed the folder sklearn/datasets/data."""
import os

from sklearn import datasets


def check(ok, what):
    if not ok:
        raise SystemExit("scikit-learn datasets: " + what)


check(datasets.make_moons(20, random_state=0)[0].shape == (20, 2) and datasets.make_swiss_roll(20, random_state=0)[0].shape == (20, 3), "generators")
if not os.path.isdir(os.path.join(os.path.dirname(datasets.__file__), "data")):
    print("skipped: sample data (the folder sklearn/datasets/data is not there)")
    raise SystemExit(0)
for name, shape in (("iris", (150, 4)), ("wine", (178, 13)), ("breast_cancer", (569, 30)), ("digits", (1797, 64)), ("diabetes", (442, 10)), ("linnerud", (20, 3))):
    bunch = getattr(datasets, "load_" + name)()
    check(bunch.data.shape == shape and len(bunch.DESCR) > 300, name)
