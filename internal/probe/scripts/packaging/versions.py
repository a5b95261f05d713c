"""packaging parses versions, specifiers, markers, requirements and tags."""
import importlib.metadata

import packaging
from packaging import markers, requirements, specifiers, tags, utils, version

checks = {
    "metadata": importlib.metadata.version("packaging") == packaging.__version__,
    "version": version.parse("1.0rc1") < version.Version("1.0") < version.Version("1.0.post1") and str(version.Version("v1.0.0-1")) == "1.0.0.post1",
    "specifier": "2.5" in specifiers.SpecifierSet(">=2,!=2.4,<3") and list(specifiers.SpecifierSet("~=1.2").filter(["1.1", "1.3", "2"])) == ["1.3"],
    "marker": markers.Marker("python_version >= '3.6' and extra == 'x'").evaluate({"extra": "x"}),
    "requirement": requirements.Requirement("a[b]>=1; os_name == 'posix'").extras == {"b"},
    "tags": len(list(tags.sys_tags())) > 10 and any(t.platform == "any" for t in tags.sys_tags()),
    "utils": utils.canonicalize_name("A_b.C") == "a-b-c" and utils.parse_wheel_filename("a_b-1.0-py3-none-any.whl")[0] == "a-b",
}
for name, ok in checks.items():
    if not ok:
        raise SystemExit("packaging: " + name)
try:
    version.Version("not a version")
    raise SystemExit("packaging: a wrong version is accepted")
except version.InvalidVersion:
    pass
