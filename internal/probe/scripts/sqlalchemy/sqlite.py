"""SQLAlchemy maps classes, creates tables, queries SQLite in memory, compiles for other dialects and finds its plugins."""
# versions: >=2
import datetime
import importlib.metadata
import pickle

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import mysql, oracle, postgresql


def check(ok, what):
    if not ok:
        raise SystemExit("sqlalchemy: " + what)


Base = orm.declarative_base()


class Parent(Base):
    __tablename__ = "parent"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(20), unique=True, nullable=False)
    born = sa.Column(sa.DateTime)
    data = sa.Column(sa.JSON)
    children = orm.relationship("Child", back_populates="parent", cascade="all, delete-orphan")


class Child(Base):
    __tablename__ = "child"
    id = sa.Column(sa.Integer, primary_key=True)
    parent_id = sa.Column(sa.ForeignKey("parent.id"))
    price = sa.Column(sa.Numeric(10, 2))
    parent = orm.relationship(Parent, back_populates="children")


check(importlib.metadata.version("sqlalchemy") == sa.__version__, "metadata and module disagree on the version")
try:
    import sqlite3
except ImportError:
    print("skipped: queries (this Python has no sqlite3)")
else:
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add(Parent(name="p", born=datetime.datetime(2024, 2, 29), data={"k": [1]}, children=[Child(price=1), Child(price=2)]))
        session.commit()
        found = session.execute(sa.select(Parent).options(orm.selectinload(Parent.children))).scalars().one()
        check(found.born.day == 29 and found.data == {"k": [1]} and len(found.children) == 2, "round trip")
        total = session.execute(sa.select(Parent.name, sa.func.sum(Child.price)).join(Child).group_by(Parent.name)).one()
        check(tuple(total) == ("p", 3), "join")
        check(pickle.loads(pickle.dumps(found)).name == "p", "pickle")
        session.add(Parent(name="p"))
        try:
            session.commit()
            raise SystemExit("sqlalchemy: a duplicate is accepted")
        except sa.exc.IntegrityError:
            session.rollback()
    check(sa.inspect(engine).get_table_names() == ["child", "parent"], "inspection")
for dialect, want in ((postgresql.dialect(), "LIMIT"), (mysql.dialect(), "LIMIT"), (oracle.dialect(), "FETCH FIRST")):
    check(want in str(sa.select(Parent.id).limit(1).compile(dialect=dialect)), dialect.name)
try:
    sa.create_engine("nosuch://")
    raise SystemExit("sqlalchemy: an unknown dialect is accepted")
except sa.exc.NoSuchModuleError:
    pass
