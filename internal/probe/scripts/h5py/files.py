"""h5py writes and reads HDF5 files with its bundled library: filters, types, references, dimension scales and virtual data sets."""
import importlib.metadata
import io

import h5py
import numpy as np


def check(ok, what):
    if not ok:
        raise SystemExit("h5py: " + what)


check(importlib.metadata.version("h5py") == h5py.__version__ and h5py.version.hdf5_version_tuple >= (1, 10), "version")
buffer = io.BytesIO()
grid = np.arange(10000, dtype="int32").reshape(100, 100)
with h5py.File(buffer, "w") as f:
    for name, options in (("plain", {}), ("gzip", {"compression": "gzip", "shuffle": True}), ("lzf", {"compression": "lzf", "fletcher32": True})):
        f.create_dataset(name, data=grid, chunks=(10, 100) if options else None, **options)
    group = f.create_group("g/h", track_order=True)
    group.attrs["é"] = [1.5, 2]
    f["text"] = np.array(["a", "é"], dtype=h5py.string_dtype())
    f["table"] = np.array([(1, b"x")], dtype=[("n", "i4"), ("s", "S3")])
    f["flags"] = np.array([True, False])
    kind = h5py.enum_dtype({"RED": 0, "BLUE": 1})
    f.create_dataset("colour", data=[1, 0], dtype=kind)
    ragged = f.create_dataset("ragged", (2,), dtype=h5py.vlen_dtype("i8"))
    ragged[1] = [1, 2, 3]
    grown = f.create_dataset("grown", (0,), maxshape=(None,), dtype="f8")
    grown.resize((3,))
    grown[:] = 7
    f["ref"] = f["gzip"].ref
    f["soft"] = h5py.SoftLink("/gzip")
    f["x"] = np.arange(100.0)
    f["x"].make_scale("x")
    f["plain"].dims[0].attach_scale(f["x"])
with h5py.File(io.BytesIO(buffer.getvalue()), "r") as f:
    check(all((f[name][...] == grid).all() for name in ("plain", "gzip", "lzf", "soft")) and f["gzip"].compression == "gzip", "filters")
    check(f["g/h"].attrs["é"].tolist() == [1.5, 2] and f["text"].asstr()[:].tolist() == ["a", "é"] and f["table"]["s"][0] == b"x", "attributes, text or tables")
    check(f["flags"][:].tolist() == [True, False] and h5py.check_enum_dtype(f["colour"].dtype) == {"RED": 0, "BLUE": 1} and f["ragged"][1].tolist() == [1, 2, 3], "types")
    check(f[f["ref"][()]].name == "/gzip" and f["gzip"][5, [1, 3]].tolist() == [501, 503] and f["plain"].dims[0]["x"].shape == (100,) and f["grown"].shape == (3,), "references, slices or scales")
    names = []
    f.visit(names.append)
    check("g/h" in names and len(names) >= 12, "visit")
try:
    h5py.File(io.BytesIO(b"no file"), "r")
    raise SystemExit("h5py: nonsense is a file")
except OSError:
    pass
