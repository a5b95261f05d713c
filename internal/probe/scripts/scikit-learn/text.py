"""scikit-learn's text features, preprocessing, imputation, feature selection and naive Bayes work on sparse and dense data."""
# versions: >=1.2
import numpy as np
from sklearn import preprocessing as pre
from sklearn.decomposition import NMF, LatentDirichletAllocation, TruncatedSVD
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2, mutual_info_classif
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline


def check(ok, what):
    if not ok:
        raise SystemExit("scikit-learn text: " + what)


texts = ["the cat sat on the mat", "a cat and a kitten", "cats purr at night", "stocks fell on monday", "the market and stocks rose", "bond market news"]
labels = [0, 0, 0, 1, 1, 1]
counts = CountVectorizer(stop_words="english").fit_transform(texts)
check(counts.shape[0] == 6 and "the" not in CountVectorizer(stop_words="english").fit(texts).vocabulary_, "stop words")
check(make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), MultinomialNB()).fit(texts, labels).predict(["a kitten", "stocks"]).tolist() == [0, 1], "naive Bayes")
check(HashingVectorizer(n_features=64).transform(texts).nnz > 0 and FeatureHasher(8).transform([{"a": 1}]).nnz == 1, "hashing")
check(DictVectorizer().fit_transform([{"a": "x"}, {"b": 2}]).shape == (2, 2), "DictVectorizer")
check(TruncatedSVD(2, random_state=0).fit_transform(counts).shape == (6, 2) and NMF(2, init="nndsvda", max_iter=500).fit_transform(counts).min() >= 0, "NMF")
check(np.allclose(LatentDirichletAllocation(2, max_iter=3, random_state=0).fit_transform(counts).sum(axis=1), 1), "LatentDirichletAllocation")
x = np.array([[1.0, 10.0], [2.0, np.nan], [3.0, 30.0], [4.0, 40.0]])
check(SimpleImputer().fit_transform(x)[1, 1] == 80 / 3 and KNNImputer(n_neighbors=2).fit_transform(x)[1, 1] == 20, "imputation")
full = SimpleImputer().fit_transform(x)
for step in (pre.MinMaxScaler(), pre.RobustScaler(), pre.PowerTransformer(), pre.QuantileTransformer(n_quantiles=4), pre.PolynomialFeatures(2),
             pre.SplineTransformer(n_knots=3), pre.KBinsDiscretizer(2, encode="ordinal", strategy="uniform"), pre.Normalizer()):
    out = step.fit_transform(full)
    check(out.shape[0] == 4 and np.isfinite(out).all() and len(step.get_feature_names_out()) == out.shape[1], type(step).__name__)
check(pre.OneHotEncoder(handle_unknown="ignore").fit([["a"], ["b"]]).transform([["b"], ["z"]]).toarray().tolist() == [[0, 1], [0, 0]], "OneHotEncoder")
check(pre.OrdinalEncoder().fit_transform([["b"], ["a"]]).ravel().tolist() == [1, 0] and pre.LabelEncoder().fit_transform(["x", "y", "x"]).tolist() == [0, 1, 0], "encoders")
check(pre.label_binarize(["a", "c"], classes=["a", "b", "c"]).shape == (2, 3), "label_binarize")
check(SelectKBest(chi2, k=3).fit_transform(counts, labels).shape == (6, 3), "SelectKBest")
check((mutual_info_classif(np.arange(20.0)[:, None], np.arange(20) > 9, random_state=0) > 0.3).all(), "mutual_info_classif")
check(GaussianNB().fit(full, [0, 0, 1, 1]).predict(full).tolist() == [0, 0, 1, 1], "GaussianNB")
