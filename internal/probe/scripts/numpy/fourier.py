"""numpy's Fourier transforms (pocketfft extension), polynomials and windows give the textbook results."""
import numpy as np


def check(ok, what):
    if not ok:
        raise SystemExit("numpy fourier: " + what)


for size in (8, 15, 97, 128):
    x = np.cos(np.arange(size)) + 1j * np.sin(3.0 * np.arange(size))
    k = np.arange(size)
    naive = np.exp(-2j * np.pi * np.outer(k, k) / size) @ x
    check(np.allclose(np.fft.fft(x), naive), "fft of %d" % size)
    check(np.allclose(np.fft.ifft(naive), x), "ifft of %d" % size)
    check(np.allclose(np.fft.irfft(np.fft.rfft(x.real), size), x.real), "rfft of %d" % size)
grid = np.add.outer(np.arange(6.0), np.arange(8.0)) % 5
check(np.allclose(np.fft.ifft2(np.fft.fft2(grid)), grid), "fft2")
check(np.allclose(np.fft.irfftn(np.fft.rfftn(grid), grid.shape, axes=(0, 1)), grid), "rfftn")
check(np.array_equal(np.fft.ifftshift(np.fft.fftshift(grid)), grid), "fftshift")
check(np.allclose(np.fft.fftfreq(4), [0, 0.25, -0.5, -0.25]), "fftfreq")
check(np.allclose(np.sort(np.roots([1, -6, 11, -6])), [1, 2, 3]), "roots")
p = np.polynomial.Chebyshev.fit(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9) ** 2, 4)
check(abs(p(0.5) - 0.25) < 1e-9, "Chebyshev fit")
check(np.allclose(np.hanning(5), [0, 0.5, 1, 0.5, 0]) and abs(np.kaiser(5, 14)[2] - 1) < 1e-9, "windows")
check(np.allclose(np.convolve([1, 2, 3], [0, 1, 0.5]), [0, 1, 2.5, 4, 1.5]), "convolve")
