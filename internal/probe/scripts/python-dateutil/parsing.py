"""dateutil parses dates, expands recurrence rules and does calendar arithmetic."""
import datetime
import importlib.metadata

import dateutil
from dateutil import easter, parser, relativedelta, rrule


def check(ok, what):
    if not ok:
        raise SystemExit("dateutil: " + what)


check(importlib.metadata.version("python-dateutil") == dateutil.__version__, "metadata and module disagree on the version")
for text in ("2024-02-29T12:30:00Z", "Thu, 29 Feb 2024 12:30:00 +0000", "29 February 2024 12:30 UTC", "20240229T123000Z"):
    t = parser.parse(text)
    check((t.year, t.month, t.day, t.hour, t.minute) == (2024, 2, 29, 12, 30) and t.utcoffset() == datetime.timedelta(0), text)
check(parser.isoparse("2024-W09-4") == datetime.datetime(2024, 2, 29), "isoparse")
check(parser.parse("10/11/2012", dayfirst=True).month == 11 and parser.parse("on 3 May 2020 we", fuzzy=True).day == 3, "options")
rule = rrule.rrule(rrule.MONTHLY, byweekday=rrule.FR(-1), count=3, dtstart=datetime.datetime(2024, 1, 1))
check([d.day for d in rule] == [26, 23, 29], "rrule")
parsed = rrule.rrulestr("DTSTART:20240101T000000\nRRULE:FREQ=WEEKLY;COUNT=3;BYDAY=MO,WE\nEXDATE:20240103T000000")
check([d.day for d in parsed] == [1, 8], "rrulestr")
delta = relativedelta.relativedelta(months=1, weekday=relativedelta.MO(+1))
check(datetime.date(2024, 1, 31) + delta == datetime.date(2024, 3, 4), "relativedelta")
check(relativedelta.relativedelta(datetime.date(2024, 3, 1), datetime.date(2020, 2, 29)).years == 4, "difference")
check(easter.easter(2024) == datetime.date(2024, 3, 31), "easter")
