"""jmespath compiles and evaluates expressions: filters, projections, functions and errors."""
import importlib.metadata

import jmespath

if importlib.metadata.version("jmespath") != jmespath.__version__:
    raise SystemExit("jmespath: metadata and module disagree on the version")
data = {"people": [{"n": "a", "age": 30, "t": ["x"]}, {"n": "b", "age": 20, "t": ["y", "z"]}], "k": {"one": 1, "two": 2}}
for expression, want in (("people[0].n", "a"), ("people[*].age", [30, 20]), ("people[?age > `25`].n | [0]", "a"), ("people[].t[]", ["x", "y", "z"]),
                         ("sort_by(people, &age)[].n", ["b", "a"]), ("length(people)", 2), ("sum(people[].age)", 50), ("sort(keys(k))", ["one", "two"]),
                         ("people[-1:].{name: n, years: age}", [{"name": "b", "years": 20}]), ("join(', ', people[].n)", "a, b"), ("nothing.at.all", None),
                         ("max_by(people, &age).n", "a"), ("contains(people[0].t, 'x') && !`false`", True), ("people[::2].n", ["a"])):
    got = jmespath.search(expression, data)
    if got != want:
        raise SystemExit("jmespath: %s gives %r" % (expression, got))
if jmespath.compile("k.one").search(data) != 1:
    raise SystemExit("jmespath: compile")
for bad, kind in (("people[", jmespath.exceptions.ParseError), ("nope(people)", jmespath.exceptions.UnknownFunctionError), ("abs('x')", jmespath.exceptions.JMESPathTypeError)):
    try:
        jmespath.search(bad, data)
        raise SystemExit("jmespath: accepted " + bad)
    except kind:
        pass
