"""pandas' datetime64 parsing, ranges, offsets, resampling, periods and time zones (with daylight saving) are right."""
# versions: >=2
import datetime
import importlib.metadata
import warnings

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")


def check(ok, what):
    if not ok:
        raise SystemExit("pandas times: " + what)


hour = pd.Timedelta(hours=1)
idx = pd.date_range("2024-01-01", periods=24 * 60, freq=hour)
s = pd.Series(np.ones(len(idx)), index=idx)
check(s.resample(pd.offsets.MonthEnd()).sum().tolist() == [744.0, 696.0], "resample")
check(s.resample(pd.Timedelta(days=7)).count().iloc[0] == 168 and s.loc["2024-02-29"].sum() == 24, "weekly resample")
check(pd.to_datetime(pd.Series(["2024-02-29 12:30"])).astype("datetime64[ns]").dt.weekday[0] == 3, "to_datetime")
check(pd.to_datetime("31/12/2023 23:59", dayfirst=True) == pd.Timestamp(2023, 12, 31, 23, 59), "dayfirst")
check(pd.to_datetime("12 Mar 2021", format="%d %b %Y").month == 3 and pd.Timestamp(0, unit="s").year == 1970, "strptime")
check(pd.Timestamp("2024-01-31") + pd.DateOffset(months=1) == pd.Timestamp("2024-02-29"), "DateOffset")
check(pd.Timestamp("2024-03-29") + pd.offsets.BDay(1) == pd.Timestamp("2024-04-01"), "BDay")
check(len(pd.bdate_range("2024-01-01", "2024-01-31")) == 23 and pd.Period("2024Q1").end_time.day == 31, "bdate_range")
check(pd.offsets.QuarterEnd().rollforward(pd.Timestamp("2024-02-01")).day == 31, "QuarterEnd")
check(pd.Timedelta("1 days 2h").total_seconds() == 93600 and pd.isna(pd.NaT), "Timedelta")
check(idx.to_period("M").nunique() == 2 and idx[:3].isocalendar().week.tolist() == [1, 1, 1], "period or isocalendar")
check(idx.inferred_freq.lower() == "h" and s.shift(1, freq=hour).index[0] == idx[1], "infer_freq")
check(np.array(["2024-01-01T00:00:00.123"], "datetime64[ms]")[0] == pd.Series(pd.to_datetime(["2024-01-01T00:00:00.123"])).to_numpy()[0], "units")
from pandas.tseries.holiday import USFederalHolidayCalendar
check(len(USFederalHolidayCalendar().holidays("2024-01-01", "2024-12-31")) >= 10, "holidays")
zones = ["dateutil/Europe/Berlin", datetime.timezone(datetime.timedelta(hours=2))]
try:
    pd.Timestamp("2024-01-01", tz="Europe/Berlin")
    zones.append("Europe/Berlin")
except Exception:
    carried = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    if carried & {"tzdata", "pytz"}:
        raise
    print("skipped: named zones (neither the system nor a distribution has time zone data)")
for zone in zones:
    t = pd.date_range("2024-03-30 12:00", periods=3, freq=pd.Timedelta(days=1), tz="UTC").tz_convert(zone)
    hours = t.hour.tolist()
    check(hours == ([13, 14, 14] if isinstance(zone, str) else [14, 14, 14]), "zone %s: %s" % (zone, hours))
    check(t.tz_localize(None).tz is None and t.tz_convert("UTC").hour[0] == 12, "tz_localize")
