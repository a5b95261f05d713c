"""jsonschema validates every draft, with the meta-schemas that its helper distribution carries and the Rust-backed registry."""
import importlib.metadata

import jsonschema
from jsonschema import validators


def check(ok, what):
    if not ok:
        raise SystemExit("jsonschema: " + what)


check(importlib.metadata.version("jsonschema")[0].isdigit(), "no metadata")
schema = {"type": "object", "properties": {"a": {"$ref": "#/definitions/n"}, "e": {"enum": [1, 2]}, "m": {"type": "string", "format": "ipv4"}},
          "definitions": {"n": {"type": "integer", "minimum": 0}}, "required": ["a"]}
for name in ("Draft3Validator", "Draft4Validator", "Draft6Validator", "Draft7Validator", "Draft201909Validator", "Draft202012Validator"):
    kind = getattr(jsonschema, name)
    usable = dict(schema, **({"required": True} if name == "Draft3Validator" else {}))
    kind.check_schema(usable)
    try:
        kind.check_schema({"type": 12})
        raise SystemExit("jsonschema: %s accepts a wrong schema" % name)
    except jsonschema.SchemaError:
        pass
    if name != "Draft3Validator":
        check(kind(schema).is_valid({"a": 1}) and {e.validator for e in kind(schema).iter_errors({"a": -1, "e": 3})} == {"minimum", "enum"}, name)
        check([list(e.path) for e in kind(schema, format_checker=jsonschema.FormatChecker()).iter_errors({"a": 1, "m": "999.1"})] == [["m"]], name + " formats")
    address = kind.META_SCHEMA.get("$id") or kind.META_SCHEMA["id"]
    check(validators.validator_for({"$schema": address}) is kind, "validator_for " + address)
try:
    jsonschema.validate({}, schema)
    raise SystemExit("jsonschema: a missing property is accepted")
except jsonschema.ValidationError as e:
    check("'a' is a required property" in str(e), "message")
check(jsonschema.Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"}).is_valid({"type": "string"}), "reference to a meta-schema")
