"""docutils reads reStructuredText and writes HTML, LaTeX, XML, ODT and manual pages with its templates, style sheets, roles and languages."""
# versions: >=0.21
import importlib.metadata
import io
import os
import tempfile

import docutils
from docutils import core, nodes
from docutils.parsers.rst import Directive, directives

SOURCE = """
Title
=====

.. contents::

A *layer* with |what|, :math:`x^2` and a `link <http://h/>`_.\u00a0[1]_

Part
----

.. code:: python

   print("x")

.. list-table::

   * - a
     - b

.. math::

   \\frac{a}{b} = \\alpha

.. include:: <isonum.txt>

|copy| made

.. |what| replace:: words
.. [1] A note.
"""


def check(ok, what):
    if not ok:
        raise SystemExit("docutils: " + what)


def publish(writer, source=SOURCE, **settings):
    quiet = {"warning_stream": io.StringIO(), "halt_level": 3, "_disable_config": True}
    return core.publish_string(source, writer_name=writer, settings_overrides=dict(quiet, **settings))


check(importlib.metadata.version("docutils") == docutils.__version__, "metadata and module disagree on the version")
for writer, needed in (("html4", b"<h1"), ("html5", b"<style"), ("latex", b"\\documentclass"), ("xelatex", b"fontspec"), ("xml", b"<document"), ("manpage", b".SH"), ("pseudoxml", b"<title>"), ("s5", b"slide")):
    extra = {}
    if writer == "s5":
        extra["_destination"] = os.path.join(tempfile.mkdtemp(), "x.html")
    text = publish(writer, **extra)
    check(needed in text, "%s: %r" % (writer, text[:60]))
html = publish("html5").decode()
check("<math" in html and "©" in html and 'href="http://h/"' in html and "A note." in html and "words" in html and "max-width" in html, "parts of the HTML")
check(publish("odt")[:2] == b"PK", "ODT")
check("Inhalt" in publish("html5", language_code="de").decode(), "German")
parts = core.publish_parts("*a*", writer_name="html")
check(parts["body"].strip() == "<p><em>a</em></p>" and parts["stylesheet"], "parts")


class Note(Directive):
    def run(self):
        return [nodes.paragraph("", "made by a directive")]


directives.register_directive("mine", Note)
check(b"made by a directive" in publish("html", ".. mine::"), "a directive of one's own")
try:
    publish("html", ".. nosuch::\n")
    raise SystemExit("docutils: an unknown directive is accepted")
except docutils.utils.SystemMessage:
    pass
