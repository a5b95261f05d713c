"""lxml parses, searches, transforms and validates XML and HTML with its bundled libxml2, libxslt and Schematron files."""
import importlib.metadata
import io

import lxml
from lxml import etree, html, objectify
from lxml.builder import E
from lxml.isoschematron import Schematron


def check(ok, what):
    if not ok:
        raise SystemExit("lxml: " + what)


check(importlib.metadata.version("lxml") == lxml.__version__, "metadata and module disagree on the version")
root = etree.fromstring('<r xmlns:n="urn:u"><i id="1">é</i><n:i id="2"/></r>'.encode("utf-8"))
check(root.xpath("count(//*[@id])") == 2 and root.find("{urn:u}i").get("id") == "2" and etree.tostring(root, encoding="unicode").count("é") == 1, "XML")
sheet = etree.XSLT(etree.XML('<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"><o><xsl:value-of select="//i"/></o></xsl:template></xsl:stylesheet>'))
check(sheet(root).getroot().text == "é", "XSLT")
schema = etree.XMLSchema(etree.XML('<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="n" type="xs:int"/></xs:schema>'))
check(schema.validate(etree.XML("<n>3</n>")) and not schema.validate(etree.XML("<n>x</n>")), "XML Schema")
check(etree.RelaxNG(etree.XML('<element name="a" xmlns="http://relaxng.org/ns/structure/1.0"><text/></element>')).validate(etree.XML("<a>t</a>")), "RELAX NG")
rules = Schematron(etree.XML('<schema xmlns="http://purl.oclc.org/dsdl/schematron"><pattern><rule context="s"><assert test="sum(//p)=100">no</assert></rule></pattern></schema>'))
check(rules.validate(etree.XML("<s><p>60</p><p>40</p></s>")) and not rules.validate(etree.XML("<s><p>60</p></s>")), "Schematron")
try:
    Schematron(etree.XML('<schema xmlns="http://purl.oclc.org/dsdl/schematron"><nonsense/></schema>'))
    raise SystemExit("lxml: a wrong Schematron schema is accepted")
except etree.SchematronParseError:
    pass
page = html.fromstring("<div><p class=x>one<br>two<a href='/u'>l</a></div>")
page.make_links_absolute("http://h/")
check(page.xpath("//a/@href") == ["http://h/u"] and page.text_content() == "onetwol" and html.tostring(page).startswith(b"<div>"), "HTML")
check([e.tag for _, e in etree.iterparse(io.BytesIO(b"<a><b/><c/></a>"))] == ["b", "c", "a"] and objectify.fromstring("<a><b>3</b></a>").b + 1 == 4, "iterparse or objectify")
check(etree.tostring(E.a(E.b("t"), k="v")) == b'<a k="v"><b>t</b></a>' and etree.tostring(root, method="c14n").startswith(b"<r"), "builder or C14N")
try:
    etree.fromstring("<a><b></a>")
    raise SystemExit("lxml: broken XML is accepted")
except etree.XMLSyntaxError as e:
    check(e.lineno == 1, "error position")
