"""scikit-image loads its submodules lazily by their stubs, filters, segments, measures, warps and reads pictures."""
import importlib.metadata

import numpy as np
import skimage


def check(ok, what):
    if not ok:
        raise SystemExit("scikit-image: " + what)


check(importlib.metadata.version("scikit-image") == skimage.__version__, "metadata and module disagree on the version")
for name in ("color", "data", "draw", "exposure", "feature", "filters", "graph", "io", "measure", "metrics", "morphology", "registration", "restoration", "segmentation", "transform", "util"):
    module = getattr(skimage, name)  # lazy: read from a stub
    check(module.__all__ and all(hasattr(module, n) for n in module.__all__), name)
y, x = np.mgrid[:64, :64]
disk = ((x - 30) ** 2 + (y - 34) ** 2 < 150).astype(float)
noisy = np.clip(disk + np.random.default_rng(0).normal(0, 0.1, disk.shape), 0, 1)
check(((noisy > skimage.filters.threshold_otsu(noisy)) == disk.astype(bool)).mean() > 0.99 and skimage.filters.gaussian(noisy, 2).std() < noisy.std() and skimage.filters.sobel(disk).max() > 0.1, "filters")
region = skimage.measure.regionprops(skimage.measure.label(disk > 0))[0]
check(region.area == disk.sum() and np.allclose(region.centroid, (34, 30)) and len(skimage.measure.find_contours(disk, 0.5)) == 1, "measure")
check(skimage.morphology.skeletonize(disk > 0).sum() < 30 and skimage.morphology.convex_hull_image(disk > 0).sum() >= disk.sum(), "morphology")
check(skimage.segmentation.watershed(-disk, np.diag(np.arange(64) % 32 == 0) * 1 + 0, mask=disk > 0).shape == (64, 64) and len(np.unique(skimage.segmentation.slic(np.dstack([noisy] * 3), n_segments=9))) > 3, "segmentation")
turned = skimage.transform.rotate(disk, 90)
check(skimage.transform.resize(disk, (32, 32)).shape == (32, 32) and abs(turned.sum() - disk.sum()) < 5 and skimage.transform.hough_circle(skimage.filters.sobel(disk) > 0.1, [12]).max() > 0.5, "transform")
check(skimage.metrics.structural_similarity(disk, disk, data_range=1) == 1 and skimage.exposure.equalize_hist(noisy).max() <= 1 and skimage.restoration.denoise_tv_chambolle(noisy, 0.1).std() > 0, "metrics or restoration")
check(np.allclose(skimage.color.hsv2rgb(skimage.color.rgb2hsv(np.ones((2, 2, 3)) * 0.5)), 0.5) and skimage.color.label2rgb(np.eye(3, dtype=int)).shape == (3, 3, 3), "color")
check(len(skimage.feature.corner_peaks(skimage.feature.corner_harris(np.pad(np.ones((10, 10)), 9)))) >= 4 and skimage.feature.hog(disk, cells_per_block=(1, 1)).size > 9, "feature")
check(skimage.draw.disk((5, 5), 3)[0].size > 20 and skimage.graph.route_through_array(np.ones((5, 5)), (0, 0), (4, 4))[0][2] == (2, 2) and skimage.util.img_as_ubyte(disk).max() == 255, "draw, graph or util")
check(skimage.data.camera().shape == (512, 512) and skimage.data.binary_blobs(16).shape == (16, 16), "data")
shift = skimage.registration.phase_cross_correlation(disk, np.roll(disk, 3, 0))[0]
check(np.allclose(np.abs(shift), (3, 0)), "registration")
