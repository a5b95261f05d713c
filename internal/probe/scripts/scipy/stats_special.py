"""scipy's special functions and statistics (distributions, tests, quasi-random numbers with its direction table) are right."""
import numpy as np
from scipy import constants, special, stats
from scipy.stats import qmc


def check(ok, what):
    if not ok:
        raise SystemExit("scipy statistics: " + what)


for name, args, want in (("gamma", (5,), 24), ("erf", (1,), 0.8427007929497148), ("jv", (0, 2.5), -0.0483837764681979), ("expit", (0,), 0.5),
                         ("betainc", (2, 3, 0.5), 0.6875), ("zeta", (2,), np.pi ** 2 / 6), ("digamma", (1,), -0.5772156649015329), ("ellipk", (0,), np.pi / 2),
                         ("hyp2f1", (1, 1, 2, 0.5), 2 * np.log(2)), ("lambertw", (1,), 0.5671432904097838), ("comb", (10, 3), 120), ("ndtri", (0.975,), 1.959963984540054)):
    check(abs(getattr(special, name)(*args) - want) < 1e-9, name)
check(abs(special.logsumexp([0, 0]) - np.log(2)) < 1e-12 and np.allclose(special.softmax([1, 1]), 0.5) and len(special.roots_legendre(5)[0]) == 5, "logsumexp")
check(abs(special.eval_legendre(2, 0.5) + 0.125) < 1e-12 and constants.c == 299792458.0 and len(constants.physical_constants) > 300, "polynomials or constants")
for dist, args in (("norm", ()), ("t", (5,)), ("chi2", (3,)), ("gamma", (2,)), ("beta", (2, 3)), ("expon", ()), ("weibull_min", (1.5,)), ("lognorm", (0.5,)), ("f", (4, 9)),
                   ("genextreme", (0.1,)), ("invgauss", (0.5,)), ("nct", (9, 0.5)), ("ncx2", (3, 1))):
    d = getattr(stats, dist)(*args)
    check(abs(d.cdf(d.ppf(0.3)) - 0.3) < 1e-6 and np.isfinite(d.rvs(5, random_state=0)).all(), dist)
check(abs(stats.binom.pmf(2, 4, 0.5) - 0.375) < 1e-12 and abs(stats.poisson.sf(0, 1) - 0.6321205588285577) < 1e-12, "discrete")
check(abs(stats.multivariate_normal([0, 0]).cdf([0, 0]) - 0.25) < 1e-4, "multivariate_normal")
rng = np.random.default_rng(0)
x, y = rng.normal(0, 1, 200), rng.normal(1, 1, 200)
for test in (stats.ttest_ind, stats.mannwhitneyu, stats.ks_2samp, stats.wilcoxon, stats.kruskal):
    check(test(x, y).pvalue < 1e-3, test.__name__)
check(stats.shapiro(x).pvalue > 1e-3 and abs(stats.studentized_range.sf(3.5, 3, 10) - 0.08) < 0.02, "shapiro or studentized_range")
check(abs(stats.linregress(x, 2 * x + 1).slope - 2) < 1e-9 and stats.spearmanr(x, x ** 3)[0] > 0.999 and stats.kendalltau(x, x)[0] > 0.999, "correlation")
check(abs(stats.norm.fit(y)[0] - y.mean()) < 1e-9 and stats.gaussian_kde(x)(0)[0] > 0.2 and stats.fisher_exact([[8, 2], [1, 5]])[1] < 0.05, "fit, kde or fisher")
points = qmc.Sobol(64, scramble=False).random(8)
check(all(sorted(column) == [n / 8 for n in range(8)] for column in points.T.tolist()) and qmc.Halton(2, scramble=False).random(4)[1, 0] == 0.5, "quasi-random numbers")
check(stats.chi2_contingency([[10, 20], [20, 10]])[1] < 0.05 and abs(stats.zscore(x).mean()) < 1e-9 and stats.rankdata([3, 1, 2]).tolist() == [3, 1, 2], "others")
