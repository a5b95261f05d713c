"""dateutil's time zones work, including the time zone archive it carries for systems without a database."""
import datetime
import io
import pickle

from dateutil import tz, zoneinfo


def check(ok, what):
    if not ok:
        raise SystemExit("dateutil zones: " + what)


carried = zoneinfo.get_zonefile_instance()
check(len(carried.zones) > 300 and carried.metadata is not None, "the carried archive is missing or empty")
for name, winter, summer in (("Europe/Berlin", 1, 2), ("America/New_York", -5, -4), ("Asia/Kolkata", 5.5, 5.5)):
    for zone in (carried.get(name), tz.gettz(name)):
        check(zone is not None, name + " is missing")
        for month, hours in ((1, winter), (7, summer)):
            offset = datetime.datetime(2023, month, 1, tzinfo=zone).utcoffset()
            check(offset == datetime.timedelta(hours=hours), "%s in month %d: %s" % (name, month, offset))
check(pickle.loads(pickle.dumps(carried.get("Europe/Berlin"))).utcoffset(datetime.datetime(2023, 7, 1)).seconds == 7200, "pickle")
berlin = carried.get("Europe/Berlin")
check(tz.datetime_ambiguous(datetime.datetime(2023, 10, 29, 2, 30), berlin), "ambiguous")
check(not tz.datetime_exists(datetime.datetime(2023, 3, 26, 2, 30), berlin), "gap")
check(tz.tzstr("EST5EDT").utcoffset(datetime.datetime(2023, 7, 1)) == datetime.timedelta(hours=-4), "tzstr")
check(tz.UTC.utcoffset(datetime.datetime(2023, 1, 1)) == datetime.timedelta(0) and tz.tzoffset("x", 60) == tz.tzoffset(None, 60), "fixed zones")
ical = "BEGIN:VTIMEZONE\nTZID:X\nBEGIN:STANDARD\nDTSTART:19970101T000000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0100\nTZNAME:X\nEND:STANDARD\nEND:VTIMEZONE\n"
check(tz.tzical(io.StringIO(ical)).get("X").utcoffset(datetime.datetime(2023, 1, 1)).seconds == 3600, "tzical")
