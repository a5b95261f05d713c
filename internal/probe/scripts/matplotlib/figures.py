"""Matplotlib draws with Agg and writes PNG, SVG and PDF, with its own fonts, mathtext, styles, colour maps and dates."""
import datetime
import importlib.metadata
import io
import os
import tempfile

folder = tempfile.TemporaryDirectory()
os.environ["MPLCONFIGDIR"] = folder.name
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager, style
from matplotlib.ft2font import FT2Font


def check(ok, what):
    if not ok:
        raise SystemExit("matplotlib: " + what)


check(importlib.metadata.version("matplotlib") == matplotlib.__version__, "metadata and module disagree on the version")
for name in ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral", "cmr10", "cmmi10", "cmsy10", "cmex10"):
    path = os.path.join(matplotlib.get_data_path(), "fonts", "ttf", name + ".ttf")
    check(os.path.isfile(path) and FT2Font(path).num_glyphs > 50, "font " + name)
check(os.path.isfile(font_manager.findfont("DejaVu Sans", fallback_to_default=False)), "findfont")
check(len(style.available) > 10 and "viridis" in matplotlib.colormaps and len(matplotlib.rcParams) > 200, "styles or colour maps")
with style.context("ggplot"):
    fig, axes = plt.subplots(2, 3, figsize=(6, 4))
    x = np.linspace(0, 6, 50)
    axes[0, 0].plot(x, np.sin(x), "r--", label=r"$\sqrt{x^2}+\frac{\alpha}{2}$")
    axes[0, 0].legend()
    axes[0, 1].imshow(np.outer(x, x), cmap="magma")
    axes[0, 2].contourf(np.outer(np.sin(x), x), 5)
    axes[1, 0].hist(np.sin(x), bins=9)
    axes[1, 1].plot([datetime.datetime(2024, 1, d) for d in (1, 2, 3)], [1, 2, 1])
    axes[1, 2].tripcolor([0, 1, 0, 1], [0, 0, 1, 1], [1, 2, 3, 4])
    fig.suptitle("é layer")
    fig.tight_layout()
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        buffer = io.BytesIO()
        fig.savefig(buffer, format=kind)
        check(buffer.getvalue().startswith(start) and len(buffer.getvalue()) > 5000, kind)
    fig.canvas.draw()
    pixels = np.asarray(fig.canvas.buffer_rgba())
    check(pixels.shape[2] == 4 and len(np.unique(pixels)) > 50, "the picture is empty")
    plt.close(fig)
with matplotlib.rc_context({"mathtext.fontset": "cm"}):
    fig = plt.figure(figsize=(2, 1))
    fig.text(0.1, 0.5, r"$\int_0^1 x\,dx$")
    fig.canvas.draw()
folder.cleanup()
