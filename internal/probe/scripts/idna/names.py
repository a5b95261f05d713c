"""idna encodes and decodes international domain names with its tables, UTS 46 mapping included."""
import importlib.metadata

import idna

if importlib.metadata.version("idna") != idna.__version__:
    raise SystemExit("idna: metadata and module disagree on the version")
for name, want in (("ドメイン.テスト", b"xn--eckwd4c7c.xn--zckzah"), ("bücher.example", b"xn--bcher-kva.example"), ("faß.de", b"xn--fa-hia.de"), ("президент.рф", b"xn--d1abbgf6aiiy.xn--p1ai")):
    if idna.encode(name) != want or idna.decode(want) != name:
        raise SystemExit("idna: " + name)
if idna.encode("Königsgäßchen", uts46=True) != b"xn--knigsgchen-b4a3dun" or idna.uts46_remap("ＡＢＣ") != "abc":
    raise SystemExit("idna: UTS 46")
for bad in ("-a", "a" * 64, "א1b", "☃!"):
    try:
        idna.encode(bad)
        raise SystemExit("idna: accepted " + bad)
    except idna.IDNAError:
        pass
