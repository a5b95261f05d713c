"""scikit-learn's linear models, pipelines, model selection and metrics fit and score as they should."""
# versions: >=1.2
import importlib.metadata

import numpy as np
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification, make_regression
from sklearn.decomposition import PCA
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import classification_report, confusion_matrix, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def check(ok, what):
    if not ok:
        raise SystemExit("scikit-learn linear: " + what)


check(importlib.metadata.version("scikit-learn") == sklearn.__version__, "metadata and module disagree on the version")
x, y = make_regression(n_samples=150, n_features=6, noise=0.1, random_state=0)
for model in (LinearRegression(), Ridge(alpha=0.01), Lasso(alpha=0.01), ElasticNet(alpha=0.001)):
    check(r2_score(y, model.fit(x, y).predict(x)) > 0.99, type(model).__name__)
x, y = make_classification(n_samples=300, n_features=8, n_informative=5, class_sep=2.0, random_state=0)
a, b, c, d = train_test_split(x, y, random_state=0, stratify=y)
pipe = make_pipeline(StandardScaler(), PCA(6), LogisticRegression())
check(pipe.fit(a, c).score(b, d) > 0.8 and roc_auc_score(d, pipe.predict_proba(b)[:, 1]) > 0.85, "pipeline")
check(confusion_matrix(d, pipe.predict(b)).sum() == len(d) and "accuracy" in classification_report(d, pipe.predict(b)), "metrics")
check(LogisticRegression(solver="liblinear").fit(a, c).score(b, d) > 0.8, "liblinear")
check(LogisticRegression(solver="saga", max_iter=3000, tol=1e-2).fit(a, c).score(b, d) > 0.8, "saga")
check(SGDClassifier(random_state=0).fit(a, c).score(b, d) > 0.7, "SGDClassifier")
check(cross_val_score(pipe, x, y, cv=3).mean() > 0.8, "cross_val_score")
grid = GridSearchCV(pipe, {"logisticregression__C": [0.1, 1.0]}, cv=2).fit(x, y)
check(grid.best_score_ > 0.8 and "Pipeline" in repr(grid.best_estimator_), "GridSearchCV")
check(ColumnTransformer([("s", StandardScaler(), [0, 1])]).fit_transform(x).shape == (300, 2), "ColumnTransformer")
check("<div" in pipe._repr_html_() and np.isfinite(pipe.predict_log_proba(b)).all(), "HTML representation")
