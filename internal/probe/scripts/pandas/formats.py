"""pandas reads and writes CSV (both parsers, compressed), JSON, fixed-width text and pickles without loss."""
import io
import os
import tempfile
import warnings

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")


def check(ok, what):
    if not ok:
        raise SystemExit("pandas formats: " + what)


df = pd.DataFrame({"i": [1, 2, 3], "f": [0.1, 2.5, np.nan], "s": ["a", "b,c", "é\"q"],
                   "d": pd.to_datetime(["2024-01-01 00:00:00", "2024-02-29 12:00:00", "2024-12-31 23:59:59"])})
with tempfile.TemporaryDirectory() as folder:
    for ending in ("csv", "csv.gz", "csv.bz2", "csv.xz", "csv.zip"):
        path = os.path.join(folder, "t." + ending)
        df.to_csv(path, index=False)
        for engine in ("c", "python"):
            back = pd.read_csv(path, engine=engine, parse_dates=["d"])
            pd.testing.assert_frame_equal(back, df, check_dtype=False)
    path = os.path.join(folder, "t.pkl.gz")
    df.to_pickle(path)
    pd.testing.assert_frame_equal(pd.read_pickle(path), df)
    for orient in ("records", "split", "columns", "table"):
        path = os.path.join(folder, orient + ".json")
        df.to_json(path, orient=orient, date_format="iso")
        back = pd.read_json(path, orient=orient, convert_dates=["d"])
        check(back["i"].tolist() == [1, 2, 3] and back["s"].tolist() == df["s"].tolist(), "json " + orient)
        check(str(back["d"].iloc[1])[:10] == "2024-02-29", "json dates " + orient)
check(pd.read_json(io.StringIO('{"a":1}\n{"a":2}'), lines=True).a.sum() == 3, "json lines")
check(pd.json_normalize([{"a": {"b": 1}}]).columns.tolist() == ["a.b"], "json_normalize")
check(pd.read_fwf(io.StringIO("a  b\n1  22\n3  44")).b.tolist() == [22, 44], "read_fwf")
chunks = pd.read_csv(io.StringIO("x;y\n" + "1,5;2\n" * 100), sep=";", decimal=",", chunksize=30, dtype={"y": "int32"})
check(sum(c.x.sum() for c in chunks) == 150, "chunks")
buffer = io.BytesIO()
small = df[["i", "f"]]
small.to_stata(buffer, write_index=False)
check(pd.read_stata(io.BytesIO(buffer.getvalue())).i.tolist() == [1, 2, 3], "stata")
