"""numpy's linear algebra (BLAS and LAPACK through OpenBLAS) computes right results, and arrays survive npz files."""
import os
import tempfile

import numpy as np


def check(ok, what):
    if not ok:
        raise SystemExit("numpy linalg: " + what)


n = np.arange(36.0).reshape(6, 6)
spd = np.sin(n) @ np.sin(n).T + 6 * np.eye(6)
for dtype, tol in ((np.float32, 1e-3), (np.float64, 1e-9), (np.complex64, 1e-3), (np.complex128, 1e-9)):
    m = spd.astype(dtype)
    b = np.ones(6, dtype)
    check(np.allclose(m @ np.linalg.solve(m, b), b, atol=tol), "solve")
    check(np.allclose(m @ np.linalg.inv(m), np.eye(6), atol=tol), "inv")
    u, s, v = np.linalg.svd(m)
    check(np.allclose((u * s) @ v, m, atol=tol * 10), "svd")
    q, r = np.linalg.qr(m)
    check(np.allclose(q @ r, m, atol=tol * 10), "qr")
    c = np.linalg.cholesky(m)
    check(np.allclose(c @ c.conj().T, m, atol=tol * 10), "cholesky")
    w, x = np.linalg.eigh(m)
    check(np.allclose(m @ x, x * w, atol=tol * 10), "eigh")
    check(np.allclose(np.sort(np.linalg.eigvals(m).real), w, atol=tol * 10), "eigvals")
    check(np.allclose(np.linalg.lstsq(m, b, rcond=None)[0], np.linalg.solve(m, b), atol=tol), "lstsq")
big = np.arange(40000.0).reshape(200, 200) % 7
check(np.array_equal(big @ big, np.einsum("ij,jk->ik", big, big)), "gemm differs from einsum")
check(abs(np.linalg.det(np.diag([2.0, 3.0, 4.0])) - 24) < 1e-9, "det")
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "a.npz")
    np.savez_compressed(path, big=big, spd=spd)
    with np.load(path) as back:
        check(np.array_equal(back["big"], big) and np.array_equal(back["spd"], spd), "npz")
