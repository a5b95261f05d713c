"""Jinja2 renders templates: inheritance, macros, filters, escaping, sandbox, async, and loading from folders."""
import asyncio
import importlib.metadata
import os
import tempfile

import jinja2
from jinja2.sandbox import SandboxedEnvironment


def check(ok, what):
    if not ok:
        raise SystemExit("jinja2: " + what)


check(importlib.metadata.metadata("jinja2")["Name"].lower() == "jinja2", "no metadata")
env = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols", "jinja2.ext.i18n"], loader=jinja2.DictLoader({
    "base": "<{% block b %}{% endblock %}>",
    "page": "{% extends 'base' %}{% macro m(x) %}[{{ x|upper }}]{% endmacro %}{% block b %}{% for i in l if i != 2 %}{{ loop.index }}{{ m(i) }}{% endfor %}{% endblock %}"}))
check(env.get_template("page").render(l=["a", 2, "<"]) == "<1[A]2[&lt;]>", "inheritance")
check(env.from_string("{{ d|tojson }} {{ 3.14159|round(2) }} {{ l|groupby('k')|length }} {{ 'a b'|urlencode }}").render(d={"a": 1}, l=[{"k": 1}, {"k": 2}]) == '{"a": 1} 3.14 2 a%20b', "filters")
for source, kind in (("{% if %}", jinja2.TemplateSyntaxError), ("{{ missing }}", jinja2.UndefinedError)):
    try:
        env.from_string(source).render()
        raise SystemExit("jinja2: accepted " + source)
    except kind:
        pass
try:
    SandboxedEnvironment().from_string("{{ ''.__class__.__mro__ }}{{ ().__class__.__bases__[0].__subclasses__() }}").render()
    raise SystemExit("jinja2: the sandbox is open")
except jinja2.exceptions.SecurityError:
    pass
with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, "t.txt"), "w") as f:
        f.write("{% include 'u.txt' ignore missing %}{{ x }}")
    check(jinja2.Environment(loader=jinja2.FileSystemLoader(folder), bytecode_cache=jinja2.FileSystemBytecodeCache(folder)).get_template("t.txt").render(x=1) == "1", "files")
waiting = jinja2.Environment(enable_async=True).from_string("{% for i in l %}{{ i }}{% endfor %}")
check(asyncio.run(waiting.render_async(l=[1, 2])) == "12", "async")
