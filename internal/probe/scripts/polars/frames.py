"""Polars reads, joins, groups, windows and writes CSV, JSON, Parquet and IPC through its Rust core, eager and lazy, with SQL."""
import datetime
import importlib.metadata
import io
import pickle

import polars as pl


def check(ok, what):
    if not ok:
        raise SystemExit("polars: " + what)


check(importlib.metadata.version("polars") == pl.__version__, "metadata and module disagree on the version")
df = pl.DataFrame({"k": ["a", "b", "a", None], "n": [1, 2, 3, 4], "t": [datetime.datetime(2024, 2, 28) + datetime.timedelta(hours=12 * n) for n in range(4)]})
for kind in ("csv", "json", "parquet", "ipc", "ndjson", "avro"):
    buffer = io.BytesIO()
    getattr(df, "write_" + kind)(buffer)
    back = getattr(pl, "read_" + kind)(io.BytesIO(buffer.getvalue()))
    check(back["n"].to_list() == [1, 2, 3, 4] and back["k"].to_list()[:3] == ["a", "b", "a"], kind)
for compression in ("zstd", "snappy", "gzip", "lz4", "brotli"):
    buffer = io.BytesIO()
    df.write_parquet(buffer, compression=compression)
    check(pl.read_parquet(io.BytesIO(buffer.getvalue())).equals(df), compression)
grouped = df.lazy().filter(pl.col("k").is_not_null()).group_by("k").agg(pl.col("n").sum(), pl.len().alias("c")).sort("k").collect()
check(grouped.rows() == [("a", 4, 2), ("b", 2, 1)], "lazy")
check(df.join(pl.DataFrame({"k": ["a"], "x": [9]}), on="k", how="left")["x"].to_list() == [9, None, 9, None], "join")
check(df.with_columns(pl.col("n").rolling_mean(2).alias("r"), pl.col("n").sum().over("k").alias("o"))["o"].to_list() == [4, 2, 4, 4], "windows")
check(df.group_by_dynamic("t", every="1d").agg(pl.col("n").sum())["n"].to_list() == [3, 7] and df["t"].dt.strftime("%d")[3] == "29", "time")
check(pl.SQLContext(d=df).execute("select k, max(n) m from d group by k order by m desc limit 1").collect().rows() == [(None, 4)], "SQL")
check(pl.Series(["Größe 12"]).str.extract(r"(\d+)").cast(pl.Int64)[0] == 12 and pl.Series([[1, 2]]).list.sum()[0] == 3 and df.select(pl.struct("k", "n").alias("s"))["s"].struct.field("n")[1] == 2, "text, lists or structs")
check(pickle.loads(pickle.dumps(df)).equals(df) and "shape: (4, 3)" in str(df) and df.unpivot(index="k", on=["n"]).height == 4, "pickle, text or unpivot")
check(df.select(pl.col("n").map_elements(lambda n: n * 2, return_dtype=pl.Int64))["n"].to_list() == [2, 4, 6, 8], "a function of one's own")
try:
    df.select("none")
    raise SystemExit("polars: an unknown column is selected")
except pl.exceptions.ColumnNotFoundError:
    pass
