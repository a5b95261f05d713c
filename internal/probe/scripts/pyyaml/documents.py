"""PyYAML loads and dumps documents, with its C extension (libyaml) where the build has it and in pure Python."""
import datetime
import importlib.metadata

import yaml

if importlib.metadata.version("PyYAML") != yaml.__version__:
    raise SystemExit("pyyaml: metadata and module disagree on the version")
text = "a: &x [1, 2.5, true, null, 'é']\nb: *x\nd: 2024-02-29\nm: {k: |\n    v}\n".replace("{k: |\n    v}", "\n  k: |\n    line 1\n    line 2")
want = {"a": [1, 2.5, True, None, "é"], "b": [1, 2.5, True, None, "é"], "d": datetime.date(2024, 2, 29), "m": {"k": "line 1\nline 2\n"}}
compiled = "Root-Is-Purelib: false" in (importlib.metadata.distribution("PyYAML").read_text("WHEEL") or "")
if compiled and not yaml.__with_libyaml__:
    raise SystemExit("pyyaml: the C extension of this wheel does not load")
pairs = [(yaml.SafeLoader, yaml.SafeDumper)] + ([(yaml.CSafeLoader, yaml.CSafeDumper)] if yaml.__with_libyaml__ else [])
for loader, dumper in pairs:
    got = yaml.load(text, Loader=loader)
    if got != want or yaml.load(yaml.dump(got, Dumper=dumper, allow_unicode=True), Loader=loader) != want:
        raise SystemExit("pyyaml: %s gives %r" % (loader.__name__, got))
    if list(yaml.load_all("--- 1\n--- [2]\n", Loader=loader)) != [1, [2]]:
        raise SystemExit("pyyaml: several documents")
    for bad in ("a: [", "!!python/object/apply:os.getcwd []"):
        try:
            yaml.load(bad, Loader=loader)
            raise SystemExit("pyyaml: accepted " + bad)
        except yaml.YAMLError:
            pass
