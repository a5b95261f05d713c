"""Shapely computes with its bundled GEOS: predicates, overlays, buffers, validity, trees, WKB, WKT and GeoJSON."""
# versions: >=2
import importlib.metadata
import json
import pickle

import numpy as np
import shapely
from shapely import STRtree, affinity, ops, prepared
from shapely.geometry import LineString, MultiPoint, Point, Polygon, box, mapping, shape


def check(ok, what):
    if not ok:
        raise SystemExit("shapely: " + what)


check(importlib.metadata.version("shapely") == shapely.__version__ and shapely.geos_version >= (3, 9, 0), "version")
a, b = box(0, 0, 2, 2), box(1, 1, 3, 3)
check(a.intersection(b).area == 1 and a.union(b).area == 7 and a.difference(b).area == 3 and a.symmetric_difference(b).area == 6, "overlays")
check(a.intersects(b) and not a.contains(b) and a.touches(box(2, 0, 3, 1)) and a.relate(b) == "212101212" and prepared.prep(a).contains(Point(1, 1.5)), "predicates")
check(abs(Point(0, 0).buffer(1, quad_segs=64).area - np.pi) < 1e-2 and LineString([(0, 0), (3, 4)]).length == 5 and a.distance(Point(5, 2)) == 3, "measures")
bow = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
check(not bow.is_valid and "Self-intersection" in shapely.is_valid_reason(bow) and shapely.make_valid(bow).area == 2, "validity")
check(shapely.from_wkt(a.wkt).equals(a) and shapely.from_wkb(a.wkb).equals(a) and shape(json.loads(json.dumps(mapping(a)))).equals(a) and shapely.from_geojson(shapely.to_geojson(a)).equals(a), "formats")
points = shapely.points(np.arange(9.0), np.zeros(9))
check(STRtree(points).query(box(1.5, -1, 4.5, 1)).tolist() == [2, 3, 4] and STRtree(points).nearest(Point(7.4, 0)) == 7 and shapely.area(np.array([a, b])).tolist() == [4, 4], "trees or arrays")
check(MultiPoint([(0, 0), (1, 0), (0, 1), (0.2, 0.2)]).convex_hull.area == 0.5 and len(ops.triangulate(MultiPoint([(0, 0), (1, 0), (0, 1)]))) == 1, "hull or triangles")
check(ops.unary_union([a, b]).area == 7 and len(list(ops.polygonize([a.exterior]))) == 1 and ops.nearest_points(a, Point(9, 1))[0].x == 2, "operations")
check(affinity.rotate(a, 90).equals(a) and a.simplify(1).area == 4 and pickle.loads(pickle.dumps(a)).equals(a) and shapely.set_precision(Point(0.123, 0), 0.1).x == 0.1, "transforms, pickle or precision")
try:
    shapely.from_wkt("POINT (nonsense)")
    raise SystemExit("shapely: nonsense is a point")
except shapely.errors.GEOSException:
    pass
