"""MarkupSafe escapes text with its C extension (where the wheel is a compiled one) and in Markup objects."""
import importlib.metadata

import markupsafe
from markupsafe import Markup, escape

if "Root-Is-Purelib: false" in (importlib.metadata.distribution("markupsafe").read_text("WHEEL") or ""):
    from markupsafe import _speedups  # a missing or broken extension must not go unnoticed: the package falls back silently
    if "_speedups" not in getattr(markupsafe._escape_inner if hasattr(markupsafe, "_escape_inner") else escape, "__module__", "_speedups"):
        raise SystemExit("markupsafe: the C extension is not used")
if escape("<a href='x'>\"&é</a>") != "&lt;a href=&#39;x&#39;&gt;&#34;&amp;é&lt;/a&gt;":
    raise SystemExit("markupsafe: escape")
if Markup("<b>%s</b>") % "<i>" != "<b>&lt;i&gt;</b>" or Markup("<b>x &amp; y</b>").striptags() != "x & y":
    raise SystemExit("markupsafe: Markup")
if Markup("&lt;&#39;").unescape() != "<'" or Markup("{}").format("<") != "&lt;" or markupsafe.escape_silent(None) != "":
    raise SystemExit("markupsafe: unescape or format")
