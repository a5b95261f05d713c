"""scikit-learn's neighbours, clusterings, support vector machines and manifold methods give the expected groups."""
import warnings

import numpy as np
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans, MiniBatchKMeans, SpectralClustering
from sklearn.datasets import make_blobs, make_circles
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.manifold import TSNE, Isomap
from sklearn.metrics import adjusted_rand_score, pairwise_distances, silhouette_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import BallTree, KDTree, KernelDensity, KNeighborsClassifier, NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM

warnings.simplefilter("ignore")


def check(ok, what):
    if not ok:
        raise SystemExit("scikit-learn neighbors: " + what)


x, y = make_blobs(n_samples=120, centers=[[-6, 0], [0, 6], [6, 0]], cluster_std=0.5, random_state=0)
for model in (KMeans(3, n_init=2, random_state=0), MiniBatchKMeans(3, n_init=3, random_state=0), DBSCAN(eps=2.0), AgglomerativeClustering(3),
              SpectralClustering(3, random_state=0, affinity="nearest_neighbors"), GaussianMixture(3, random_state=0)):
    check(adjusted_rand_score(y, model.fit_predict(x)) > 0.9, type(model).__name__)
check(silhouette_score(x, y) > 0.7, "silhouette_score")
full = np.sort(pairwise_distances(x[:5], x), axis=1)[:, :3]
for tree in (KDTree(x), BallTree(x)):
    check(np.allclose(tree.query(x[:5], k=3)[0], full), type(tree).__name__)
for algorithm in ("kd_tree", "ball_tree", "brute"):
    check(np.allclose(NearestNeighbors(n_neighbors=3, algorithm=algorithm).fit(x).kneighbors(x[:5])[0], full, atol=1e-6), algorithm)
for model in (KNeighborsClassifier(3), SVC(), LinearSVC(), SVC(kernel="poly", probability=False), MLPClassifier((8,), solver="lbfgs", random_state=0)):
    check(model.fit(x, y).score(x, y) > 0.95, type(model).__name__)
cx, cy = make_circles(100, noise=0.02, factor=0.4, random_state=0)
check(SVC(gamma=2.0).fit(cx, cy).score(cx, cy) == 1.0, "RBF kernel")
check(SVR(C=50.0).fit(x, x[:, 0]).score(x, x[:, 0]) > 0.9 and OneClassSVM(nu=0.1).fit(x).predict(x).sum() > 60, "SVR")
check(KernelDensity().fit(x).score_samples([[0, 6]]) > KernelDensity().fit(x).score_samples([[50, 50]]), "KernelDensity")
check(TSNE(2, perplexity=5, max_iter=250, random_state=0).fit_transform(x[:40]).shape == (40, 2) if "max_iter" in TSNE().get_params()
      else TSNE(2, perplexity=5, n_iter=250, random_state=0).fit_transform(x[:40]).shape == (40, 2), "TSNE")
check(Isomap(n_neighbors=8).fit_transform(x[y == 0]).shape[1] == 2, "Isomap")
check(abs(GaussianProcessRegressor().fit(x[:20], x[:20, 0]).predict(x[:1])[0] - x[0, 0]) < 0.1, "GaussianProcessRegressor")
check(IsotonicRegression().fit_transform([1, 2, 3], [1, 3, 2]).tolist() == [1.0, 2.5, 2.5], "IsotonicRegression")
