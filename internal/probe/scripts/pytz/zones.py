"""pytz finds every zone that it lists in its own database, localizes across a change of the clocks, and knows countries and leap to UTC."""
import datetime
import importlib.metadata
import pickle

import pytz


def check(ok, what):
    if not ok:
        raise SystemExit("pytz: " + what)


check(importlib.metadata.version("pytz").startswith(pytz.__version__), "metadata and module disagree on the version")
check(len(pytz.all_timezones) > 500 and "Europe/Berlin" in pytz.common_timezones_set, "the list of zones is short")
for name in pytz.all_timezones:
    pytz.timezone(name)
berlin = pytz.timezone("Europe/Berlin")
before = berlin.localize(datetime.datetime(2024, 3, 31, 1, 59))
after = berlin.normalize(before + datetime.timedelta(minutes=1))
check((before.utcoffset().seconds, after.utcoffset().seconds, after.hour) == (3600, 7200, 3), "a change of the clocks")
check(after.astimezone(pytz.timezone("Asia/Kolkata")).strftime("%H:%M %Z") == "06:30 IST", "astimezone")
for wrong, error in ((datetime.datetime(2024, 3, 31, 2, 30), pytz.NonExistentTimeError), (datetime.datetime(2024, 10, 27, 2, 30), pytz.AmbiguousTimeError)):
    try:
        berlin.localize(wrong, is_dst=None)
        raise SystemExit("pytz: %s is accepted" % wrong)
    except error:
        pass
try:
    pytz.timezone("Europe/Nowhere")
    raise SystemExit("pytz: an unknown zone is accepted")
except pytz.UnknownTimeZoneError:
    pass
check(pytz.country_timezones["de"] == ["Europe/Berlin", "Europe/Busingen"] and pytz.country_names["fr"] == "France", "countries")
check(pickle.loads(pickle.dumps(berlin)) is berlin and pytz.FixedOffset(90).utcoffset(None).seconds == 5400, "pickle or fixed offset")
