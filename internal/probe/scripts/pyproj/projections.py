"""pyproj finds PROJ's database, looks up, transforms and writes coordinate systems, and measures on the ellipsoid."""
import importlib.metadata
import os
import pickle

import pyproj
from pyproj import CRS, Geod, Proj, Transformer


def check(ok, what):
    if not ok:
        raise SystemExit("pyproj: " + what)


check(importlib.metadata.version("pyproj") == pyproj.__version__, "metadata and module disagree on the version")
folder = pyproj.datadir.get_data_dir()
check(os.path.isfile(os.path.join(folder, "proj.db")), "proj.db is not in " + folder)
utm = CRS.from_epsg(32632)
check(utm.is_projected and utm.name == "WGS 84 / UTM zone 32N" and utm.to_epsg() == 32632 and utm.area_of_use.west == 6, "EPSG 32632")
check(CRS.from_wkt(utm.to_wkt()) == utm and CRS.from_user_input("OGC:CRS84").is_geographic and CRS.from_json(utm.to_json()) == utm, "WKT or JSON")
x, y = Transformer.from_crs(4326, utm, always_xy=True).transform(9.0, 0.0)
check(abs(x - 500000) < 1e-3 and abs(y) < 1e-3, "UTM's origin: %r" % ((x, y),))
x, y = Transformer.from_crs(4326, 3857).transform(48.0, 11.0)
check(abs(x - 1224514.4) < 0.1 and abs(y - 6106854.8) < 0.1, "Web Mercator: %r" % ((x, y),))
back = Transformer.from_crs(3857, 4326).transform(x, y)
check(abs(back[0] - 48) < 1e-9 and abs(back[1] - 11) < 1e-9, "there and back")
_, _, meters = Geod(ellps="WGS84").inv(0, 0, 1, 0)
check(abs(meters - 111319.4908) < 1e-3 and abs(abs(Geod(ellps="GRS80").polygon_area_perimeter([0, 1, 1, 0], [0, 0, 1, 1])[0]) / 12308778361 - 1) < 1e-6, "geodesics")
check(abs(Proj("+proj=lcc +lat_1=33 +lat_2=45")(-97, 38)[1]) > 1 and len(pyproj.get_codes("EPSG", "PROJECTED_CRS")) > 4000, "PROJ strings or codes")
check("utm" in pyproj.list.get_proj_operations_map() and pyproj.database.query_utm_crs_info(datum_name="WGS 84")[0].code, "lists")
check(pickle.loads(pickle.dumps(utm)) == utm, "pickle")
try:
    CRS.from_epsg(999999)
    raise SystemExit("pyproj: an unknown code is accepted")
except pyproj.exceptions.CRSError:
    pass
