"""scipy's dense and sparse linear algebra (LAPACK, SuperLU, ARPACK and the iterative solvers) compute right results."""
import importlib.metadata
import io
import warnings

import numpy as np
import scipy
from scipy import linalg, sparse
from scipy.io import loadmat, mmread, mmwrite, savemat
from scipy.linalg import blas, lapack
from scipy.sparse import csgraph
from scipy.sparse import linalg as sla

warnings.simplefilter("ignore")


def check(ok, what):
    if not ok:
        raise SystemExit("scipy linear: " + what)


check(importlib.metadata.version("scipy") == scipy.__version__, "metadata and module disagree on the version")
m = np.sin(np.arange(36.0).reshape(6, 6)) + 6 * np.eye(6)
b = np.ones(6)
check(np.allclose(m @ linalg.solve(m, b), b) and np.allclose(linalg.lu_solve(linalg.lu_factor(m), b), linalg.solve(m, b)), "solve")
p, l, u = linalg.lu(m)
check(np.allclose(p @ l @ u, m) and np.allclose(linalg.expm(linalg.logm(m)), m) and np.allclose(linalg.sqrtm(m) @ linalg.sqrtm(m), m), "lu, expm or sqrtm")
t, z = linalg.schur(m)
check(np.allclose(z @ t @ z.T, m) and np.allclose(linalg.pinv(m), linalg.inv(m)) and abs(linalg.det(m) - np.linalg.det(m)) < 1e-6, "schur, pinv or det")
check(np.allclose(linalg.eigvals_banded(np.array([[0.0, 1, 1], [2, 2, 2]])), [2 - 2 ** 0.5, 2, 2 + 2 ** 0.5]), "banded")
check(blas.ddot(b, b) == 6 and lapack.dgesv(m, b)[3] == 0 and np.allclose(linalg.solve_sylvester(m, m, m), np.eye(6) / 2), "blas or lapack")
n = 100
a = sparse.diags([-np.ones(n - 1), 2.5 * np.ones(n), -np.ones(n - 1)], [-1, 0, 1], format="csc")
rhs = np.ones(n)
direct = sla.spsolve(a, rhs)
check(np.allclose(a @ direct, rhs) and np.allclose(sla.splu(a).solve(rhs), direct), "SuperLU")
for solver in (sla.cg, sla.gmres, sla.bicgstab, sla.minres):
    check(np.allclose(solver(a, rhs)[0], direct, atol=1e-2), solver.__name__)
want = np.sort(np.linalg.eigvalsh(a.toarray()))
check(np.allclose(np.sort(sla.eigsh(a, k=3, return_eigenvectors=False)), want[-3:]), "ARPACK")
check(np.allclose(np.sort(sla.svds(a, k=2, v0=rhs)[1]), want[-2:]) and np.allclose(sla.lsqr(a, rhs)[0], direct, atol=1e-3), "svds or lsqr")
for form in ("csr", "coo", "lil", "dok", "dia", "bsr"):
    check(np.array_equal(a.asformat(form).toarray(), a.toarray()), form)
graph = sparse.csr_matrix([[0, 1, 4], [0, 0, 2], [0, 0, 0]])
check(csgraph.dijkstra(graph)[0].tolist() == [0, 1, 3] and csgraph.minimum_spanning_tree(graph).sum() == 3, "csgraph")
check(csgraph.maximum_flow(graph, 0, 2).flow_value == 5 and csgraph.connected_components(graph)[0] == 1, "maximum_flow")
f = io.BytesIO()
savemat(f, {"m": m})
g = io.BytesIO()
mmwrite(g, a)
check(np.array_equal(loadmat(io.BytesIO(f.getvalue()))["m"], m) and abs(mmread(io.BytesIO(g.getvalue())) - a).sum() == 0, "files")
