"""narwhals' types and expressions work, and its translation to pandas and PyArrow where these are present."""
import importlib.metadata
import importlib.util

import narwhals as nw
import narwhals.selectors
import narwhals.stable.v1 as stable


def check(ok, what):
    if not ok:
        raise SystemExit("narwhals: " + what)


check(importlib.metadata.version("narwhals") == nw.__version__, "metadata and module disagree on the version")
schema = nw.Schema({"a": nw.Int64(), "b": nw.String()})
check(schema.names() == ["a", "b"] and schema["a"] == nw.Int64 and nw.Datetime("us", "UTC") != nw.Datetime("ns") and nw.Int64.is_numeric(), "dtypes")
check(nw.from_native([1, 2], pass_through=True) == [1, 2] and stable.from_native([3], pass_through=True) == [3], "pass_through")
expression = (nw.col("a") * 2).sum().over("b").alias("c")
check(isinstance(expression, nw.Expr) and isinstance(narwhals.selectors.numeric(), nw.Expr), "expressions")
try:
    nw.from_native([1, 2])
    raise SystemExit("narwhals: an unsupported object is accepted")
except TypeError:
    pass
check(not nw.dependencies.is_pandas_dataframe([1]), "dependencies")
if importlib.util.find_spec("numpy"):
    import numpy
    check(nw.dependencies.is_numpy_array(numpy.arange(3)), "numpy")
found = [name for name in ("pandas", "pyarrow") if importlib.util.find_spec(name)]
if not found:
    print("skipped: data frames (neither pandas nor pyarrow is there)")
data = {"a": [1, 2, 3], "b": ["x", "y", "x"]}
for name in found:
    module = importlib.import_module(name)
    df = nw.from_native(module.DataFrame(data) if name == "pandas" else module.table(data))
    out = df.filter(nw.col("a") > 1).with_columns(c=nw.col("a") * 2, u=nw.col("b").str.to_uppercase()).sort("a")
    check(out["c"].to_list() == [4, 6] and out["u"].to_list() == ["Y", "X"] and out.schema["a"] == nw.Int64, name)
    sums = df.group_by("b").agg(nw.col("a").sum(), n=nw.len()).sort("b")
    check(sums["a"].to_list() == [4, 2] and len(df.join(sums, on="b", how="inner")) == 3, name + " group_by")
    check(type(nw.to_native(df)).__module__.startswith(name) and df.lazy().collect().shape == (3, 2), name + " to_native")
