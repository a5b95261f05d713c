"""holidays computes the calendar of every country that it lists, with subdivisions, financial markets and translated names."""
import datetime
import importlib.metadata
import os

import holidays


def check(ok, what):
    if not ok:
        raise SystemExit("holidays: " + what)


check(importlib.metadata.version("holidays") == holidays.__version__, "metadata and module disagree on the version")
countries, markets = holidays.list_supported_countries(), holidays.list_supported_financial()
check(len(countries) > 100 and len(markets) > 2, "the list of countries or markets is short")
empty = [code for code in countries if not holidays.country_holidays(code, years=2023)]
check(len(empty) < 9, "no holiday in " + " ".join(empty))  # islands without people have none
for code in markets:
    holidays.financial_holidays(code, years=2023)
us = holidays.country_holidays("US", years=2024)
check(us.get("2024-07-04") == "Independence Day" and datetime.date(2024, 7, 5) not in us and datetime.date(2025, 1, 1) in us, "United States")
check("2024-11-01" in holidays.country_holidays("DE", subdiv="BY") and "2024-11-01" not in holidays.country_holidays("DE", subdiv="BE"), "subdivisions")
check("2024-03-29" in holidays.financial_holidays("NYSE"), "New York's market is open on Good Friday")
locale = os.path.join(os.path.dirname(holidays.__file__), "locale")
for language, want in (("de", "Neujahr"), ("en_US", "New Year's Day"), ("uk", "Новий рік")):
    if not os.path.isdir(os.path.join(locale, language)):
        print("skipped: " + language + " (the layer does not carry it)")
        continue
    check(holidays.country_holidays("DE", language=language)["2024-01-01"] == want, "translation to " + language)
both = holidays.country_holidays("DE", years=2024) + holidays.country_holidays("FR", years=2024)
check("2024-07-14" in both and "2024-10-03" in both and us.get_nth_working_day("2024-07-03", 1) == datetime.date(2024, 7, 5), "sum or working days")
