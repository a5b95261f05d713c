"""ReportLab writes PDF with its own fonts, metrics, tables, charts, bar codes and paragraphs, and compresses it."""
import importlib.metadata
import io
import os

import reportlab
from reportlab.graphics import renderPDF
from reportlab.graphics.barcode import code128, createBarcodeDrawing, qr
from reportlab.graphics.charts.barcharts import VerticalBarChart
from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors, pagesizes
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfbase import cidfonts, pdfmetrics, ttfonts
from reportlab.pdfgen import canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle


def check(ok, what):
    if not ok:
        raise SystemExit("reportlab: " + what)


check(importlib.metadata.version("reportlab") == reportlab.__version__, "metadata and module disagree on the version")
folder = os.path.join(os.path.dirname(reportlab.__file__), "fonts")
for name in ("Vera", "VeraBd", "VeraIt", "VeraBI"):
    pdfmetrics.registerFont(ttfonts.TTFont(name, os.path.join(folder, name + ".ttf")))
check(abs(pdfmetrics.stringWidth("layer", "Helvetica", 10) - 21.67) < 0.01 and pdfmetrics.stringWidth("é", "Vera", 10) > 1, "metrics")
pdfmetrics.registerFont(cidfonts.UnicodeCIDFont("HeiseiMin-W3"))
type_one = pdfmetrics.EmbeddedType1Face(os.path.join(folder, "_a______.afm"), os.path.join(folder, "_a______.pfb"))
check(type_one.name == "AlessandraFont" or len(type_one.glyphNames) > 50, "the Type 1 font")
styles = getSampleStyleSheet()
chart = Drawing(200, 100)
bars = VerticalBarChart()
bars.data = [(1, 2, 3), (3, 2, 1)]
chart.add(bars)
code = Drawing(60, 60)
code.add(qr.QrCodeWidget("layer"))
buffer = io.BytesIO()
SimpleDocTemplate(buffer, pagesize=pagesizes.A4, title="layer").build([
    Paragraph("A <b>layer</b> of <i>words</i> é", styles["Title"]), Spacer(1, 9), Paragraph("<font name='Vera'>Ünïcode</font>", styles["Normal"]),
    Table([["a", "b"], [1, 2]], style=TableStyle([("GRID", (0, 0), (-1, -1), 1, colors.black)])), chart, code, createBarcodeDrawing("EAN13", value="123456789012"), code128.Code128("layer")])
check(buffer.getvalue().startswith(b"%PDF") and b"FontFile2" in buffer.getvalue() and buffer.getvalue().rstrip().endswith(b"%%EOF") and len(buffer.getvalue()) > 5000, "document")
buffer = io.BytesIO()
page = canvas.Canvas(buffer, pageCompression=1)
page.setFont("HeiseiMin-W3", 12)
page.drawString(72, 720, "レイヤー")
page.bookmarkPage("p")
page.addOutlineEntry("p", "p")
renderPDF.draw(chart, page, 72, 400)
page.showPage()
page.save()
check(b"/Outlines" in buffer.getvalue() and b"FlateDecode" in buffer.getvalue(), "canvas")
