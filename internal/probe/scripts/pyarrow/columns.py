"""PyArrow's tables, compute functions, Parquet (all codecs), CSV, JSON, Feather, IPC streams, datasets and file systems work."""
# versions: >=11
import importlib.metadata
import io
import os
import pickle
import tempfile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.fs
import pyarrow.json
import pyarrow.parquet as pq


def check(ok, what):
    if not ok:
        raise SystemExit("pyarrow: " + what)


check(importlib.metadata.version("pyarrow") == pa.__version__, "metadata and module disagree on the version")
table = pa.table({"i": pa.array([1, 2, None], pa.int64()), "s": ["a", "é", None], "l": [[1], [], None], "d": pa.array([1.5, 2.5, 3.5]).cast(pa.decimal128(10, 2)),
                  "t": pa.array([0, 1, 2], pa.timestamp("us")), "c": pa.array(["x", "y", "x"]).dictionary_encode()})
check(pc.sum(table["i"]).as_py() == 3 and pc.utf8_upper(table["s"]).to_pylist() == ["A", "É", None] and pc.match_substring_regex(table["s"], "^a").to_pylist()[0], "compute")
check(table.group_by("c").aggregate([("d", "max")]).num_rows == 2 and table.sort_by([("t", "descending")])["i"].to_pylist() == [None, 2, 1] and table.filter(pc.field("i") > 1).num_rows == 1, "group_by or filter")
check(pc.strftime(table["t"], format="%Y").to_pylist() == ["1970"] * 3 and table.select(["i", "s"]).join(pa.table({"i": [1, 2]}), "i", join_type="inner").num_rows == 2, "strftime or join")
with tempfile.TemporaryDirectory() as folder:
    for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
        path = os.path.join(folder, codec + ".parquet")
        pq.write_table(table, path, compression=codec)
        check(pq.read_table(path).equals(table) and pq.ParquetFile(path).metadata.num_rows == 3, "Parquet with " + codec)
    pa.feather.write_feather(table, os.path.join(folder, "f"))
    check(pa.feather.read_table(os.path.join(folder, "f")).equals(table), "Feather")
    pa.dataset.write_dataset(table.select(["i", "s"]), os.path.join(folder, "ds"), format="parquet")
    check(pa.dataset.dataset(os.path.join(folder, "ds")).to_table(filter=pc.field("i") == 2).to_pylist() == [{"i": 2, "s": "é"}], "dataset")
    check(pa.fs.LocalFileSystem().get_file_info(folder).type == pa.fs.FileType.Directory, "file system")
sink = pa.BufferOutputStream()
with pa.ipc.new_stream(sink, table.schema) as writer:
    writer.write_table(table)
check(pa.ipc.open_stream(sink.getvalue()).read_all().equals(table) and pickle.loads(pickle.dumps(table)).equals(table), "IPC or pickle")
check(pa.csv.read_csv(io.BytesIO(b"a,b\n1,x\n2,y\n")).to_pydict() == {"a": [1, 2], "b": ["x", "y"]} and pa.json.read_json(io.BytesIO(b'{"a": 1}\n')).num_rows == 1, "CSV or JSON")
out = io.BytesIO()
pa.csv.write_csv(table.select(["i"]), out)
check(out.getvalue().startswith(b'"i"\n1') and pa.decompress(pa.compress(b"x" * 99, "zstd", asbytes=True), 99, "zstd", asbytes=True) == b"x" * 99, "write_csv or codecs")
