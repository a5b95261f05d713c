"""psycopg2 loads its bundled libpq, parses DSNs, adapts values, and reports a refused connection as OperationalError."""
import datetime
import decimal
import importlib.metadata
import socket

import psycopg2
import psycopg2.errors
import psycopg2.extras
from psycopg2 import errorcodes, extensions, sql


def check(ok, what):
    if not ok:
        raise SystemExit("psycopg2: " + what)


check(psycopg2.__version__.startswith(importlib.metadata.version("psycopg2-binary")), "metadata and module disagree on the version")
check(extensions.libpq_version() >= 100000 and psycopg2.__libpq_version__ >= 100000, "libpq")
check(extensions.parse_dsn("postgresql://u@h:5433/d?sslmode=require") == {"user": "u", "host": "h", "port": "5433", "dbname": "d", "sslmode": "require"}, "parse_dsn")
check(extensions.make_dsn("dbname=a", password="p w") == "dbname=a password='p w'", "make_dsn")
for value, want in ((3, b"3"), (None, b"NULL"), (decimal.Decimal("1.5"), b"1.5"), (datetime.date(2024, 2, 29), b"'2024-02-29'::date"), ([1, 2], b"ARRAY[1,2]"), (True, b"true")):
    check(extensions.adapt(value).getquoted() == want, "adapt %r" % (value,))
check(psycopg2.extras.Json({"a": 1}).dumps({"a": 1}) == '{"a": 1}' and sql.SQL("select {}").format(sql.Placeholder()).as_string(None) == "select %s", "Json or sql")
check(errorcodes.lookup("23505") == "UNIQUE_VIOLATION" and issubclass(psycopg2.errors.UniqueViolation, psycopg2.IntegrityError), "error codes")
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
try:
    psycopg2.connect(host="127.0.0.1", port=port, user="u", dbname="d", connect_timeout=2)
    raise SystemExit("psycopg2: connected to nothing")
except psycopg2.OperationalError as e:
    check("refused" in str(e) or str(port) in str(e), str(e))
