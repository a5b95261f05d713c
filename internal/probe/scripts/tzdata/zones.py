"""zoneinfo finds every zone that tzdata lists in tzdata itself, without the system's database."""
import datetime
import importlib.metadata
import importlib.resources
import zoneinfo

import tzdata

zoneinfo.reset_tzpath(to=())
if importlib.metadata.version("tzdata").split(".")[0] != tzdata.__version__.split(".")[0]:
    raise SystemExit("tzdata: metadata and module disagree on the version")
names = importlib.resources.read_text("tzdata", "zones").split()
if len(names) < 400:
    raise SystemExit("tzdata: only %d zones listed" % len(names))
for name in names:
    zoneinfo.ZoneInfo(name)
for name, winter, summer in (("Europe/Berlin", 1, 2), ("America/New_York", -5, -4), ("Asia/Kolkata", 5.5, 5.5), ("UTC", 0, 0)):
    for month, hours in ((1, winter), (7, summer)):
        offset = datetime.datetime(2023, month, 1, tzinfo=zoneinfo.ZoneInfo(name)).utcoffset()
        if offset != datetime.timedelta(hours=hours):
            raise SystemExit("tzdata: %s in month %d is %s" % (name, month, offset))
if not set(names) <= zoneinfo.available_timezones():
    raise SystemExit("tzdata: available_timezones misses zones")
