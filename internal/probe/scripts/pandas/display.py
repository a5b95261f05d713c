"""pandas prints frames as text, HTML and LaTeX, and styles them (templates; only where jinja2 is present)."""
import importlib.util
import io
import os
import tempfile

import numpy as np
import pandas as pd

folder = tempfile.TemporaryDirectory()
os.environ["MPLCONFIGDIR"] = folder.name  # the Styler imports matplotlib where it is present


def check(ok, what):
    if not ok:
        raise SystemExit("pandas display: " + what)


df = pd.DataFrame({"name": ["é", "<b>"], "x": [1.23456, np.nan], "d": pd.to_datetime(["2024-01-01", "2024-02-29"])})
text = df.to_string(float_format="%.2f", na_rep="-")
check("1.23" in text and "2024-02-29" in text and text.count("\n") == 2, "to_string")
page = df.to_html(index=False)
check("&lt;b&gt;" in page and "<th>name</th>" in page, "to_html")
buffer = io.StringIO()
df.info(buf=buffer)
check("3 columns" in buffer.getvalue() and "mean" in df.describe().to_string(), "info or describe")
with pd.option_context("display.max_rows", 4, "display.precision", 2):
    check("..." in repr(pd.DataFrame({"a": np.arange(50.0)})), "truncation")
check("Length: 50" in repr(pd.Series(np.arange(50), name="a").head(50)) or len(repr(pd.Series(range(50)))) > 50, "Series repr")
check("name,x,d" in df.to_csv(index=False) and df.to_dict("records")[0]["name"] == "é", "to_csv or to_dict")
if importlib.util.find_spec("jinja2") is None:
    print("skipped: Styler and LaTeX (jinja2 is not there)")
else:
    style = df.style.format({"x": "{:.1f}"}, na_rep="none").highlight_null().set_caption("cap").hide(axis="index")
    page = style.to_html()
    check("<caption>cap</caption>" in page and "1.2" in page and "<style" in page, "Styler.to_html")
    check("tabular" in style.to_latex() and "1.2" in style.to_string(), "Styler.to_latex or to_string")
    check("tabular" in df.to_latex(), "to_latex")
folder.cleanup()
