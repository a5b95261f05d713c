"""scipy's signal, image, Fourier, spatial and clustering code (Qhull and KD-trees included) compute right results."""
import io
import pickle

import numpy as np
from scipy import fft, ndimage, signal, spatial
from scipy.cluster import hierarchy, vq
from scipy.io import wavfile
from scipy.spatial import distance
from scipy.spatial.transform import Rotation


def check(ok, what):
    if not ok:
        raise SystemExit("scipy signals: " + what)


t = np.arange(400) / 100.0
x = np.sin(2 * np.pi * 5 * t)
check(np.allclose(fft.ifft(fft.fft(x)), x) and np.allclose(fft.idct(fft.dct(x)), x) and np.allclose(fft.rfft(x), np.fft.rfft(x)) and fft.next_fast_len(97) == 98, "fft")
f, p = signal.welch(x, fs=100, nperseg=200)
check(f[p.argmax()] == 5.0 and len(signal.find_peaks(x)[0]) == 20, "welch or find_peaks")
b, a = signal.butter(4, 10, fs=100)
check(np.abs(signal.filtfilt(b, a, x)[50:-50] - x[50:-50]).max() < 0.05 and len(signal.firwin(11, 0.3)) == 11, "filters")
check(np.allclose(signal.sosfilt(signal.butter(4, 10, fs=100, output="sos"), x), signal.lfilter(b, a, x)), "sosfilt")
check(np.allclose(signal.fftconvolve(x, b), np.convolve(x, b)) and signal.resample(x, 200).shape == (200,) and signal.savgol_filter(x, 7, 2).shape == x.shape, "convolve")
check(signal.correlate2d(np.eye(3), np.eye(3))[2, 2] == 3 and signal.medfilt([1, 9, 1, 1, 1]).tolist() == [1, 1, 1, 1, 1] and signal.resample_poly(x, 1, 2).size == 200, "correlate")
check(abs(signal.hilbert(x)[100:300]).std() < 1e-6 and signal.TransferFunction([1], [1, 1]).poles[0] == -1, "hilbert or systems")
img = np.zeros((9, 9))
img[2:4, 2:4] = img[6:8, 6:8] = 1
check(ndimage.label(img)[1] == 2 and ndimage.center_of_mass(img[:6, :6]) == (2.5, 2.5) and abs(ndimage.gaussian_filter(img, 1).sum() - 8) < 0.1, "ndimage")
check(ndimage.binary_dilation(img).sum() == 24 and ndimage.distance_transform_edt(img).max() == 1 and ndimage.zoom(img, 2).shape == (18, 18) and ndimage.rotate(img, 90).sum() > 7.9, "morphology")
pts = np.random.default_rng(0).random((60, 2))
tree = spatial.cKDTree(pts)
d = distance.cdist(pts, pts)
check(np.allclose(tree.query(pts, k=2)[0][:, 1], np.sort(d, axis=1)[:, 1]) and pickle.loads(pickle.dumps(tree)).n == 60, "KD-tree")
check(len(tree.query_pairs(0.1)) == (d[np.triu_indices(60, 1)] <= 0.1).sum() and np.allclose(distance.squareform(distance.pdist(pts)), d), "distances")
square = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [0.5, 0.5]])
check(spatial.ConvexHull(square).volume == 1 and len(spatial.Delaunay(square).simplices) == 4 and len(spatial.Voronoi(square).vertices) == 4, "Qhull")
check(np.allclose(Rotation.from_euler("z", 90, degrees=True).apply([1, 0, 0]), [0, 1, 0]) and spatial.procrustes(pts, pts)[2] < 1e-9, "Rotation")
check(distance.jensenshannon([1, 0], [1, 0]) == 0 and distance.directed_hausdorff(pts, pts)[0] == 0 and distance.cosine([1, 0], [0, 1]) == 1, "metrics")
z = hierarchy.linkage(np.array([[0.0], [0.1], [9.0], [9.1]]), "ward")
check(len(set(hierarchy.fcluster(z, 2, "maxclust"))) == 2 and vq.vq(pts, pts)[1].max() == 0, "cluster")
w = io.BytesIO()
wavfile.write(w, 100, (x * 1000).astype("int16"))
check(wavfile.read(io.BytesIO(w.getvalue()))[1].size == 400, "wavfile")
