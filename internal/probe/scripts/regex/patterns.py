"""regex matches Unicode properties, scripts and sets, recursion, fuzzy patterns and overlaps through its C module."""
import importlib.metadata
import pickle

import regex


def check(ok, what):
    if not ok:
        raise SystemExit("regex: " + what)


check(importlib.metadata.version("regex")[0].isdigit(), "no metadata")
check(regex.findall(r"\p{Lu}\p{Ll}+", "Ärger und Öl") == ["Ärger", "Öl"] and regex.findall(r"\p{Script=Greek}+", "aαβb") == ["αβ"], "properties")
check(regex.findall(r"\X", "e\u0301x") == ["e\u0301", "x"] and regex.sub(r"(?i)straße", "x", "STRASSE", flags=regex.FULLCASE) == "x", "graphemes or case folding")
check(regex.fullmatch(r"(\((?:[^()]|(?1))*\))", "(a(b)(c(d)))") and not regex.fullmatch(r"(\((?:[^()]|(?1))*\))", "(a(b)"), "recursion")
found = regex.search(r"(?e)(?:layer){e<=2}", "the lyar is")
check(found and sum(found.fuzzy_counts) <= 2, "fuzzy")
check(regex.findall(r"..", "abcd", overlapped=True) == ["ab", "bc", "cd"] and regex.match(r"(\w)+", "abc").captures(1) == ["a", "b", "c"], "overlaps or captures")
check(regex.findall(r"[[a-z]--[aeiou]]+", "layers", flags=regex.V1) == ["l", "y", "rs"] and regex.split(r"(?<=\d{1,2})-", "1-22-x") == ["1", "22", "x"], "sets or lookbehind")
check(regex.search(r"\L<names>", "a Bob b", names=["Ann", "Bob"]).group() == "Bob" and regex.match(r"(?|(a)|(b))", "b").group(1) == "b", "named lists or branch reset")
pattern = regex.compile(r"(?P<year>\d{4})")
check(pickle.loads(pickle.dumps(pattern)).search("in 2024").groupdict() == {"year": "2024"} and regex.subf(r"(\w+) (\w+)", "{2} {1}", "a b") == "b a", "pickle or subf")
try:
    regex.match(r"(?:a+)+$", "a" * 5000 + "b", timeout=0.001) or regex.match(r"(a|aa)+$", "a" * 60 + "b", timeout=0.05)
except TimeoutError:
    pass
try:
    regex.compile("(")
    raise SystemExit("regex: a broken pattern is accepted")
except regex.error:
    pass
