"""SymPy simplifies, solves, integrates, factors, prints, parses and compiles expressions, with mpmath below."""
import importlib.metadata
import pickle

import sympy as sp
from sympy.parsing.sympy_parser import implicit_multiplication_application, parse_expr, standard_transformations


def check(ok, what):
    if not ok:
        raise SystemExit("sympy: " + what)


check(importlib.metadata.version("sympy") == sp.__version__, "metadata and module disagree on the version")
x, y = sp.symbols("x y")
f = sp.Function("f")
check(sp.simplify(sp.sin(x) ** 2 + sp.cos(x) ** 2) == 1 and sp.factor(x ** 3 - 1) == (x - 1) * (x ** 2 + x + 1), "simplify or factor")
check(sp.integrate(sp.exp(-x ** 2), (x, -sp.oo, sp.oo)) == sp.sqrt(sp.pi) and sp.limit(sp.sin(x) / x, x, 0) == 1 and sp.diff(sp.log(x), x) == 1 / x, "calculus")
check(sp.solve([x + y - 3, x - y - 1], [x, y]) == {x: 2, y: 1} and sp.solveset(x ** 2 - 2, x) == {-sp.sqrt(2), sp.sqrt(2)}, "equations")
check(sp.dsolve(f(x).diff(x) - f(x), f(x)).rhs.has(sp.exp(x)) and sp.series(sp.cos(x), x, 0, 4).removeO() == 1 - x ** 2 / 2, "differential equations or series")
m = sp.Matrix([[2, 1], [1, 2]])
check(m.eigenvals() == {1: 1, 3: 1} and m.inv() * m == sp.eye(2) and sp.factorint(2 ** 32 + 1) == {641: 1, 6700417: 1}, "matrices or factors")
check(str(sp.pi.evalf(30)).startswith("3.1415926535897932384626433832") and abs(sp.zeta(3).evalf() - 1.2020569031595942) < 1e-12, "digits")
check(sp.latex(sp.sqrt(x) / 2) == r"\frac{\sqrt{x}}{2}" and "⎮" in sp.pretty(sp.Integral(x), use_unicode=True) and "pow(" in sp.ccode(x ** 3), "printers")
check(parse_expr("2x y", transformations=standard_transformations + (implicit_multiplication_application,)) == 2 * x * y, "parser")
check(sp.lambdify((x, y), x * sp.sin(y), "math")(2, 0) == 0 and pickle.loads(pickle.dumps(sp.sin(x))) == sp.sin(x), "lambdify or pickle")
check(sp.physics.units.convert_to(sp.physics.units.mile, sp.physics.units.meter).args[0] > 1609 if hasattr(sp, "physics") else True, "units")
check(sp.combinatorics.Permutation([1, 0]).order() == 2 and sp.Symbol("n", integer=True).is_integer and len(list(sp.primerange(30))) == 10, "permutations, assumptions or primes")
