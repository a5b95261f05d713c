"""pandas' groupby, merge, pivot, rolling windows, sorting and reshaping (its Cython kernels) compute right results."""
import importlib.metadata

import numpy as np
import pandas as pd


def check(ok, what):
    if not ok:
        raise SystemExit("pandas tables: " + what)


check(importlib.metadata.version("pandas") == pd.__version__, "metadata and module disagree on the version")
df = pd.DataFrame({"k": list("abab") * 25, "g": [1, 1, 2, 2] * 25, "v": np.arange(100.0)})
sums = df.groupby("k")["v"].agg(["sum", "mean", "std", "nunique", "median"])
check(sums.loc["a", "sum"] == 2450 and sums.loc["b", "mean"] == 50 and sums.loc["a", "nunique"] == 50, "groupby")
check(df.groupby(["k", "g"])["v"].transform("cumsum").iloc[-1] == df[(df.k == "b") & (df.g == 2)].v.sum(), "transform")
check(df.groupby("k")["v"].rank().max() == 50 and df.groupby("k").v.apply(lambda s: s.max()).loc["b"] == 99, "apply")
right = pd.DataFrame({"k": ["a", "c"], "w": [10, 30]})
check(len(df.merge(right, on="k")) == 50 and len(df.merge(right, on="k", how="outer")) == 101, "merge")
left = pd.DataFrame({"t": [1, 5, 10], "l": ["a", "b", "c"]})
check(pd.merge_asof(left, pd.DataFrame({"t": [1, 2, 6], "r": [1, 2, 6]}), on="t").r.tolist() == [1, 2, 6], "merge_asof")
pivot = df.pivot_table(index="k", columns="g", values="v", aggfunc="sum", margins=True)
check(pivot.loc["All", "All"] == 4950, "pivot_table")
check(df.head(4).melt(id_vars="k").shape == (8, 3) and pd.crosstab(df.k, df.g).to_numpy().sum() == 100, "melt or crosstab")
check(df.set_index(["k", "g"], append=True).unstack().shape == (100, 2), "unstack")
check(df.v.rolling(3).mean().iloc[-1] == 98 and df.v.ewm(alpha=0.5).mean().iloc[1] > 0.6, "rolling")
check(df.v.rolling(4).median().iloc[3] == 1.5 and df.v.expanding().max().iloc[-1] == 99, "rolling median")
check(pd.cut(df.v, 4).value_counts().tolist() == [25] * 4 and len(pd.qcut(df.v, 5).cat.categories) == 5, "cut")
check(df.sort_values(["k", "v"], ascending=[False, True]).v.iloc[0] == 1, "sort_values")
check(df.query("v > 90 and k == 'a'").shape[0] == 4 and df.eval("v * g").sum() > 0, "query")
check(pd.concat([df, df]).drop_duplicates().shape[0] == 100 and df.assign(w=df.v ** 2)[["v", "w"]].corr(method="spearman").iloc[0, 1] > 0.99, "concat or corr")
check(df.explode("k").shape == df.shape and df.v.quantile(0.25) == 24.75, "explode or quantile")
check(np.allclose(pd.Series([1.0, None, 3.0]).interpolate(), [1, 2, 3]), "interpolate")
arrays = pd.arrays.SparseArray([0, 0, 1])
check(arrays.density == 1 / 3 and pd.interval_range(0, 3).contains(1.5).sum() == 1, "sparse or intervals")
