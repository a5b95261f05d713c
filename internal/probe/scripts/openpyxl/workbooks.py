"""openpyxl writes and reads workbooks: styles, formulas, charts, validations, dates and read-only mode."""
import datetime
import importlib.metadata
import io

import openpyxl
from openpyxl import Workbook, load_workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.formatting.rule import ColorScaleRule
from openpyxl.formula import Tokenizer, translate
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.datavalidation import DataValidation


def check(ok, what):
    if not ok:
        raise SystemExit("openpyxl: " + what)


check(importlib.metadata.version("openpyxl") == openpyxl.__version__, "metadata and module disagree on the version")
book = Workbook()
sheet = book.active
sheet.title = "Größe"
for row in (["name", "MB", "when"], ["a", 1.5, datetime.datetime(2024, 2, 29, 12)], ["b", 3, datetime.date(2024, 3, 1)]):
    sheet.append(row)
sheet["D2"] = "=SUM(B2:B3)"
sheet["A1"].font, sheet["A1"].fill = Font(bold=True, color="FF0000"), PatternFill("solid", fgColor="FFFF00")
sheet["B2"].number_format = "0.00"
sheet.merge_cells("A5:C5")
sheet.freeze_panes = "A2"
chart = BarChart()
chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=3), titles_from_data=True)
sheet.add_chart(chart, "F2")
rule = DataValidation(type="list", formula1='"x,y"')
sheet.add_data_validation(rule)
rule.add("E2")
sheet.conditional_formatting.add("B2:B3", ColorScaleRule(start_type="min", start_color="AA0000", end_type="max", end_color="00AA00"))
book.create_sheet("two")["A1"] = True
buffer = io.BytesIO()
book.save(buffer)
back = load_workbook(io.BytesIO(buffer.getvalue()))
sheet = back["Größe"]
check([c.value for c in sheet[2]][:3] == ["a", 1.5, datetime.datetime(2024, 2, 29, 12)] and sheet["D2"].value == "=SUM(B2:B3)" and back["two"]["A1"].value is True, "values")
check(sheet["A1"].font.b and sheet["A1"].fill.fgColor.rgb == "00FFFF00" and sheet["B2"].number_format == "0.00" and sheet["C3"].is_date, "styles")
check([str(r) for r in sheet.merged_cells.ranges] == ["A5:C5"] and len(sheet._charts) == 1 and sheet.data_validations.dataValidation[0].formula1 == '"x,y"', "merged cells, chart or validation")
rows = list(load_workbook(io.BytesIO(buffer.getvalue()), read_only=True)["Größe"].iter_rows(values_only=True))
check(rows[1][0] == "a" and sheet.max_row == 5 and get_column_letter(28) == "AB", "read-only")
check(translate.Translator("=A1+$B$1", "C1").translate_formula("C2") == "=A2+$B$1" and len(Tokenizer("=SUM(A1:B2)").items) == 3, "formulas")
try:
    load_workbook("x.txt")
    raise SystemExit("openpyxl: a text is a workbook")
except InvalidFileException:
    pass
