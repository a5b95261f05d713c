"""Beautiful Soup parses broken HTML with each parser that is there, selects with CSS (soupsieve), changes the tree and detects encodings."""
import importlib.metadata
import importlib.util

import bs4
from bs4 import BeautifulSoup, SoupStrainer


def check(ok, what):
    if not ok:
        raise SystemExit("beautifulsoup4: " + what)


check(importlib.metadata.version("beautifulsoup4") == bs4.__version__, "metadata and module disagree on the version")
page = "<html><head><title>T</title></head><body><p class='a b'>one <b>two</b><p id=x>é<br></body>"
for parser, module in (("html.parser", "html"), ("lxml", "lxml"), ("html5lib", "html5lib")):
    if not importlib.util.find_spec(module):
        print("skipped: " + parser + " (it is not there)")
        continue
    soup = BeautifulSoup(page, parser)
    check(soup.title.string == "T" and soup.find("p", class_="b").b.get_text() == "two" and len(soup.find_all("p")) == 2, parser)
    check("é" in soup.get_text() and soup.find(id="x").name == "p" and "<title>" in soup.prettify(), parser + " text")
if importlib.util.find_spec("lxml"):
    check(BeautifulSoup("<r><i n='1'/></r>", "xml").i["n"] == "1", "XML")
soup = BeautifulSoup(page, "html.parser")
if importlib.util.find_spec("soupsieve"):
    check([e.get("id") for e in soup.select("p:not(.a)")] == ["x"] and soup.select_one("p.a > b").text == "two", "CSS")
soup.b.replace_with(soup.new_tag("i", href="/u"))
soup.body.append(bs4.Comment("c"))
check(soup.i["href"] == "/u" and "<!--c-->" in str(soup) and soup.b is None, "changes")
check(BeautifulSoup("é".encode("latin-1") + b"<meta charset='iso-8859-1'>", "html.parser").get_text() == "é", "encoding")
check(len(BeautifulSoup(page, "html.parser", parse_only=SoupStrainer("b")).find_all()) == 1 and [s for s in soup.stripped_strings][0] == "T", "strainer")
