"""pycountry reads its databases (countries, subdivisions, currencies, languages, scripts) and has translations of them."""
import gettext
import importlib.metadata
import os

import pycountry


def check(ok, what):
    if not ok:
        raise SystemExit("pycountry: " + what)


check(importlib.metadata.version("pycountry")[0].isdigit(), "no metadata")
for database, least in ((pycountry.countries, 240), (pycountry.historic_countries, 20), (pycountry.subdivisions, 4000), (pycountry.currencies, 150), (pycountry.languages, 7000), (pycountry.language_families, 100), (pycountry.scripts, 150)):
    check(len(database) >= least, "only %d records in %s" % (len(database), type(database).__name__))
de = pycountry.countries.get(alpha_2="DE")
check(de.name == "Germany" and de.alpha_3 == "DEU" and de.numeric == "276" and de.flag == "\U0001F1E9\U0001F1EA", "Germany")
check(pycountry.countries.lookup("fra").alpha_2 == "FR" and pycountry.countries.search_fuzzy("Lombardia")[0].alpha_2 == "IT", "search")
check(pycountry.subdivisions.get(code="DE-BY").name == "Bayern" and pycountry.subdivisions.get(code="DE-BY").country is de and len(pycountry.subdivisions.get(country_code="CH")) == 26, "subdivisions")
check(pycountry.currencies.get(alpha_3="CHF").numeric == "756" and pycountry.languages.get(alpha_2="is").name == "Icelandic" and pycountry.scripts.get(alpha_4="Cyrl").name == "Cyrillic", "currencies, languages or scripts")
check(pycountry.historic_countries.get(alpha_2="DD") is not None and pycountry.countries.get(alpha_2="ZZ") is None, "historic or unknown")
for language, want in (("de", "Frankreich"), ("es", "Francia"), ("ja", "フランス")):
    if not os.path.isdir(os.path.join(pycountry.LOCALES_DIR, language)):
        print("skipped: " + language + " (the layer does not carry it)")
        continue
    check(gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=[language]).gettext("France") == want, "translation to " + language)
