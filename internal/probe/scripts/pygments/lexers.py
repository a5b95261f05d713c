"""Pygments loads every lexer, formatter, filter and style that it lists by name, and highlights code."""
import importlib.metadata

import pygments
from pygments import filters, formatters, lexers, styles, token


def check(ok, what):
    if not ok:
        raise SystemExit("pygments: " + what)


check(importlib.metadata.version("pygments") == pygments.__version__, "metadata and module disagree on the version")
listed = list(lexers.get_all_lexers(plugins=False))
check(len(listed) > 400, "the list of lexers is short")
for name, aliases, _, _ in listed[::6]:
    lexer = lexers.find_lexer_class(name)
    check(lexer is not None and (not aliases or lexers.get_lexer_by_name(aliases[0]).name == name), "lexer " + name)
for name in styles.get_all_styles():
    check(styles.get_style_by_name(name).background_color, "style " + name)
for name in ("html", "latex", "svg", "rtf", "terminal256", "terminal16m", "bbcode", "raw", "irc", "null"):
    check(pygments.highlight("print('x')", lexers.get_lexer_by_name("python"), formatters.get_formatter_by_name(name)), "formatter " + name)
python = pygments.highlight("def f(x): return x  # c", lexers.PythonLexer(), formatters.HtmlFormatter(style="monokai"))
check('<span class="k">def</span>' in python and '<span class="c1"># c</span>' in python, "Python")
check(".highlight" in formatters.HtmlFormatter(style="monokai").get_style_defs(".highlight"), "CSS")
check(lexers.guess_lexer_for_filename("x.yaml", "a: 1").name == "YAML" and lexers.guess_lexer("#!/usr/bin/python3\n").name == "Python", "guess")
check((token.Keyword, "SELECT") in list(lexers.get_lexer_by_name("sql").get_tokens("SELECT 1")), "SQL")
check(all(filters.get_filter_by_name(name) for name in ("codetagify", "whitespace", "keywordcase")) and set(filters.get_all_filters()) > {"tokenmerge"}, "filters")
try:
    lexers.get_lexer_by_name("no such language")
    raise SystemExit("pygments: an unknown lexer is accepted")
except pygments.util.ClassNotFound:
    pass
