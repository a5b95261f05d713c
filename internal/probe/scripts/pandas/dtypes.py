"""pandas' strings, categoricals, nullable dtypes, multi-indexes and their pickles work."""
import pickle

import numpy as np
import pandas as pd


def check(ok, what):
    if not ok:
        raise SystemExit("pandas dtypes: " + what)


s = pd.Series(["Alpha-1", "beta-22", None])
check(s.str.extract(r"(\w+)-(\d+)")[1].tolist()[:2] == ["1", "22"] and s.str.len().iloc[0] == 7, "extract")
check(s.str.upper().str.contains("BETA", na=False).tolist() == [False, True, False], "contains")
check(s.str.split("-", expand=True).shape == (3, 2) and s.str.cat(sep="|") == "Alpha-1|beta-22", "split")
check(s.astype("string").isna().sum() == 1 and s.str.get_dummies("-").shape[1] == 4, "string dtype")
cat = pd.Categorical(["lo", "hi", "lo"], categories=["lo", "hi"], ordered=True)
check(cat.max() == "hi" and cat.codes.tolist() == [0, 1, 0], "categorical")
check(pd.api.types.union_categoricals([cat, cat]).size == 6 and pd.get_dummies(pd.Series(cat)).shape == (3, 2), "dummies")
for dtype in ("Int8", "Int64", "UInt16", "Float64", "boolean"):
    a = pd.array([1, None, 0], dtype=dtype)
    check(a.isna().tolist() == [False, True, False] and pd.Series(a).sum() == 1, dtype)
    check(pickle.loads(pickle.dumps(a)).equals(a), dtype + " pickle")
check(pd.DataFrame({"a": [1, None]}).convert_dtypes().dtypes["a"] == pd.Int64Dtype(), "convert_dtypes")
mi = pd.MultiIndex.from_product([["a", "b"], [1, 2, 3]], names=["l", "n"])
df = pd.DataFrame({"v": np.arange(6), "c": pd.Categorical(list("xyxyxy")), "p": pd.period_range("2024-01", periods=6, freq="M"),
                   "t": pd.date_range("2024-01-01", periods=6, tz="UTC"), "i": pd.interval_range(0, 6)}, index=mi)
for protocol in (2, pickle.HIGHEST_PROTOCOL):
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(df, protocol)), df)
check(df.loc[("b", 2), "v"] == 4 and df.xs(3, level="n").v.tolist() == [2, 5], "MultiIndex")
check(pd.to_numeric(pd.Series(["1", "2.5", "x"]), errors="coerce").sum() == 3.5, "to_numeric")
check(pd.util.hash_pandas_object(pd.Series([1, 2])).nunique() == 2 and pd.factorize(np.array(["b", "a", "b"], dtype=object))[0].tolist() == [0, 1, 0], "hashing")
check(df.memory_usage(deep=True).sum() > 0 and pd.api.types.infer_dtype(["a"]) == "string", "infer_dtype")
