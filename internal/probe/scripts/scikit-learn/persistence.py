"""Fitted scikit-learn estimators survive joblib and pickle, and joblib's threading backend runs them."""
import os
import pickle
import tempfile

import joblib
import numpy as np
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils import all_estimators


def check(ok, what):
    if not ok:
        raise SystemExit("scikit-learn persistence: " + what)


x, y = make_classification(n_samples=100, random_state=0)
with tempfile.TemporaryDirectory() as folder:
    for model in (make_pipeline(StandardScaler(), LogisticRegression()), RandomForestClassifier(5, random_state=0), GradientBoostingClassifier(n_estimators=5),
                  HistGradientBoostingClassifier(max_iter=5), KNeighborsClassifier(algorithm="kd_tree"), SVC(), CalibratedClassifierCV(LogisticRegression(), cv=2)):
        want = clone(model).fit(x, y)
        path = os.path.join(folder, "m.joblib")
        joblib.dump(want, path, compress=3)
        for back in (joblib.load(path), pickle.loads(pickle.dumps(want))):
            check(np.array_equal(back.predict(x), want.predict(x)), type(model).__name__)
with joblib.parallel_backend("threading", n_jobs=2):
    threaded = RandomForestClassifier(6, random_state=0).fit(x, y).predict(x)
check(np.array_equal(threaded, RandomForestClassifier(6, random_state=0).fit(x, y).predict(x)), "threading backend")
with sklearn.config_context(assume_finite=True):
    check(sklearn.get_config()["assume_finite"], "configuration")
check(len(all_estimators()) > 150, "some estimators cannot be found")
