"""scipy's optimizers (L-BFGS, SLSQP, HiGHS, MINPACK), integrators (QUADPACK, ODE solvers) and interpolators reach known answers."""
# versions: >=1.9
import numpy as np
from scipy import integrate, interpolate, optimize


def check(ok, what):
    if not ok:
        raise SystemExit("scipy calculus: " + what)


for method in ("L-BFGS-B", "BFGS", "Nelder-Mead", "Powell", "SLSQP", "TNC", "CG", "COBYLA", "trust-constr"):
    r = optimize.minimize(lambda v: (v[0] - 1) ** 2 + 3 * (v[1] + 2) ** 2, [0.0, 0.0], method=method)
    check(np.allclose(r.x, [1, -2], atol=1e-2), method)
bounded = optimize.minimize(lambda v: v @ v, [3.0, 3.0], method="SLSQP", constraints={"type": "eq", "fun": lambda v: v.sum() - 2})
check(np.allclose(bounded.x, [1, 1], atol=1e-4), "constraint")
check(abs(optimize.linprog([-1, -2], A_ub=[[1, 1]], b_ub=[4], bounds=[(0, 3), (0, 3)]).fun + 7) < 1e-8, "HiGHS")
check(optimize.milp([-1, -1], constraints=optimize.LinearConstraint([[2, 3]], -np.inf, 7), integrality=[1, 1]).fun == -3, "mixed integers")
check(abs(optimize.brentq(np.cos, 1, 2) - np.pi / 2) < 1e-9 and abs(optimize.fsolve(lambda v: v ** 2 - 2, 1.0)[0] - 2 ** 0.5) < 1e-9, "roots")
x = np.linspace(0, 4, 30)
check(np.allclose(optimize.curve_fit(lambda t, a, b: a * np.exp(-b * t), x, 2.5 * np.exp(-1.3 * x))[0], [2.5, 1.3]), "curve_fit")
check(np.allclose(optimize.least_squares(lambda v: v - [1, 2], [0, 0]).x, [1, 2]) and np.allclose(optimize.nnls(np.eye(2), [1, 2])[0], [1, 2]), "least_squares")
check(optimize.linear_sum_assignment([[4, 1], [2, 3]])[1].tolist() == [1, 0] and optimize.direct(lambda v: v @ v, [(-1, 2)]).fun < 1e-3, "assignment")
check(optimize.differential_evolution(lambda v: v @ v, [(-2, 2)] * 2, seed=1, maxiter=20).fun < 1e-4, "differential_evolution")
check(abs(integrate.quad(np.exp, -np.inf, 0)[0] - 1) < 1e-8 and abs(integrate.dblquad(lambda u, v: u * v, 0, 1, 0, 1)[0] - 0.25) < 1e-9, "QUADPACK")
for method in ("RK45", "DOP853", "Radau", "BDF", "LSODA"):
    s = integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0], method=method, rtol=1e-6)
    check(abs(s.y[0, -1] - np.exp(-1)) < 1e-4, method)
check(np.allclose(integrate.odeint(lambda y, t: -y, 1.0, [0, 1])[-1], np.exp(-1), atol=1e-5) and integrate.simpson([0, 1, 4], x=[0, 1, 2]) == 8 / 3, "odeint")
for name in ("dopri5", "vode"):
    o = integrate.ode(lambda t, y: -y).set_integrator(name).set_initial_value(1.0)
    check(abs(o.integrate(1.0)[0] - np.exp(-1)) < 1e-4, name)
s = np.sin(x)
for f in (interpolate.CubicSpline(x, s), interpolate.interp1d(x, s, kind="cubic"), interpolate.UnivariateSpline(x, s, s=0), interpolate.PchipInterpolator(x, s),
          interpolate.Akima1DInterpolator(x, s), interpolate.make_interp_spline(x, s), interpolate.BarycentricInterpolator(x[::3], s[::3])):
    check(abs(f(1.234) - np.sin(1.234)) < 1e-2, type(f).__name__)
pts = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
check(abs(interpolate.griddata(pts, pts.sum(axis=1), [[0.3, 0.4]])[0] - 0.7) < 1e-9 and abs(interpolate.RBFInterpolator(pts, pts.sum(axis=1))([[0.3, 0.4]])[0] - 0.7) < 1e-6, "griddata")
check(abs(interpolate.RegularGridInterpolator((x, x), np.add.outer(x, x))([[1, 2]])[0] - 3) < 1e-9 and abs(interpolate.RectBivariateSpline(x, x, np.add.outer(x, x))(1, 2)[0, 0] - 3) < 1e-9, "grids")
