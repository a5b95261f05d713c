"""Babel formats numbers, dates, units and lists from its locale data, and a sample of all locales it lists can be loaded."""
import datetime
import decimal
import importlib.metadata

import babel
from babel import Locale, dates, lists, localedata, numbers, plural, support, units


def check(ok, what):
    if not ok:
        raise SystemExit("babel: " + what)


check(importlib.metadata.version("babel") == babel.__version__, "metadata and module disagree on the version")
offered = set(localedata.locale_identifiers())
check(babel.core.get_global("territory_currencies") and "en" in offered, "global data or English is missing")
when = datetime.datetime(2024, 2, 29, 13, 5)
for name, number, month, day in (("en_US", "1,234.5", "February", "Thursday"), ("de_DE", "1.234,5", "Februar", "Donnerstag"), ("fr_FR", "1\u202f234,5", "février", "jeudi"), ("ja_JP", "1,234.5", "2月", "木曜日")):
    if name not in offered:
        print("skipped: " + name + " (the layer does not carry it)")
        continue
    got = numbers.format_decimal(decimal.Decimal("1234.5"), locale=name)
    check(got == number, "%s: %r" % (name, got))
    check(month in dates.format_date(when, "long", locale=name) and dates.format_datetime(when, "EEEE", locale=name) == day, name + " dates")
    check(Locale.parse(name).get_display_name("en") and numbers.format_currency(9, "EUR", locale=name).count("€") == 1, name + " names or currency")
for name in sorted(offered)[::25]:
    check(localedata.load(name, merge_inherited=True)["number_symbols"], name)
check(numbers.parse_decimal("1,234.5", locale="en_US") == decimal.Decimal("1234.5") and numbers.format_percent(0.25, locale="en") == "25%", "parsing")
check(units.format_unit(3, "length-meter", locale="en") == "3 meters" and lists.format_list(["a", "b", "c"], locale="en") == "a, b, and c", "units or lists")
check(dates.format_timedelta(datetime.timedelta(hours=3), locale="en") == "3 hours" and Locale("en").plural_form(1) == "one", "durations")
check(plural.to_python({"one": "n is 1"})(1) == "one" and support.Format("en").number(1000) == "1,000", "plural rules")
