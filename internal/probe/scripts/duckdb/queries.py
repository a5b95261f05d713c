"""DuckDB answers SQL in process: joins, windows, JSON, CSV and Parquet files, dates with time zones, and functions in Python."""
import datetime
import importlib.metadata
import importlib.util
import os
import tempfile

import duckdb


def check(ok, what):
    if not ok:
        raise SystemExit("duckdb: " + what)


check(importlib.metadata.version("duckdb") == duckdb.__version__, "metadata and module disagree on the version")
db = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
db.execute("create table t (k varchar, n integer, d date); insert into t values ('a', 1, '2024-02-29'), ('b', 2, null), ('a', 3, '2024-03-01')")
check(db.execute("select k, sum(n) from t group by k order by k").fetchall() == [("a", 4), ("b", 2)], "group")
check(db.execute("select n, row_number() over (partition by k order by n desc) from t where k = ? order by n", ["a"]).fetchall() == [(1, 2), (3, 1)], "window")
check(db.execute("select max(d) from t").fetchone() == (datetime.date(2024, 3, 1),) and db.execute("with recursive r(x) as (select 1 union all select x + 1 from r where x < 9) select sum(x) from r").fetchone() == (45,), "dates or recursion")
with tempfile.TemporaryDirectory() as folder:
    for name, options in (("x.csv", "header"), ("x.parquet", "format parquet, compression zstd")):
        path = os.path.join(folder, name)
        db.execute("copy t to '%s' (%s)" % (path, options))
        check(db.execute("select count(*), sum(n) from '%s'" % path).fetchone() == (3, 6), name)
    stored = duckdb.connect(os.path.join(folder, "x.db"))
    stored.execute("create table u as select range as i from range(100000)")
    stored.close()
    check(duckdb.connect(os.path.join(folder, "x.db"), read_only=True).execute("select sum(i) from u").fetchone() == (4999950000,), "database file")
check(db.execute("""select json_extract_string('{"a": {"b": "é"}}', '$.a.b')""").fetchone() == ("é",), "JSON")
check(db.execute("select list_sum([1, 2, 3]), {'a': 1}.a, map {'k': 2}['k'], regexp_extract('n12', '[0-9]+'), md5('')").fetchone()[:2] == (6, 1), "nested types")
check(db.execute("select (timestamptz '2024-07-01 12:00:00+00' at time zone 'Europe/Berlin')::varchar").fetchone() == ("2024-07-01 14:00:00",), "time zones")
try:
    db.execute("insert into t values ('c', 'no number', null)")
    raise SystemExit("duckdb: a wrong value is accepted")
except duckdb.ConversionException:
    pass
if importlib.util.find_spec("numpy"):
    check(db.execute("select n from t order by n").fetchnumpy()["n"].tolist() == [1, 2, 3], "numpy")
    db.create_function("twice", lambda x: x * 2, ["BIGINT"], "BIGINT")
    check(db.execute("select twice(21)").fetchone() == (42,), "a function in Python")
else:
    print("skipped: numpy (it is not there)")
