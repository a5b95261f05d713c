"""scikit-learn's trees and ensembles, histogram gradient boosting with OpenMP included, fit, predict and explain."""
# versions: >=1.2
import numpy as np
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (AdaBoostClassifier, ExtraTreesClassifier, GradientBoostingClassifier, HistGradientBoostingClassifier,
                              HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier, StackingClassifier)
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, export_text


def check(ok, what):
    if not ok:
        raise SystemExit("scikit-learn trees: " + what)


x, y = make_classification(n_samples=200, n_features=6, n_informative=4, class_sep=2.0, random_state=0)
for model in (DecisionTreeClassifier(max_depth=4, random_state=0), RandomForestClassifier(10, random_state=0),
              ExtraTreesClassifier(10, random_state=0), GradientBoostingClassifier(n_estimators=10, random_state=0),
              AdaBoostClassifier(n_estimators=10, random_state=0), HistGradientBoostingClassifier(max_iter=10, random_state=0)):
    model.fit(x, y)
    check(model.score(x, y) > 0.85 and model.predict_proba(x).shape == (200, 2), type(model).__name__)
forest = RandomForestClassifier(8, random_state=0, n_jobs=1).fit(x, y)
check(abs(forest.feature_importances_.sum() - 1) < 1e-6 and forest.apply(x).shape == (200, 8), "feature importances")
tree = DecisionTreeRegressor(max_depth=3).fit(x, y)
check("feature_" in export_text(tree) and tree.decision_path(x).shape[0] == 200, "export_text")
gaps = x.copy()
gaps[::7, 0] = np.nan
check(HistGradientBoostingClassifier(max_iter=5).fit(gaps, y).score(gaps, y) > 0.8, "missing values")
xr, yr = make_regression(n_samples=200, n_features=4, random_state=0)
check(HistGradientBoostingRegressor(max_iter=30, min_samples_leaf=5).fit(xr, yr).score(xr, yr) > 0.8, "HistGradientBoostingRegressor")
check(set(IsolationForest(n_estimators=10, random_state=0).fit_predict(x)) <= {-1, 1}, "IsolationForest")
stack = StackingClassifier([("t", DecisionTreeClassifier(max_depth=3))], LogisticRegression(), cv=2).fit(x, y)
check(stack.score(x, y) > 0.8, "StackingClassifier")
check(permutation_importance(forest, x, y, n_repeats=1, random_state=0).importances_mean.shape == (6,), "permutation_importance")
check(partial_dependence(forest, x[:50], [0], grid_resolution=5)["average"].shape[-1] == 5, "partial_dependence")
