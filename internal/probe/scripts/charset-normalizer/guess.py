"""charset-normalizer (compiled or not) guesses encodings and decodes text."""
# versions: >=3.3
import importlib.metadata

import charset_normalizer
from charset_normalizer import detect, from_bytes

if importlib.metadata.version("charset-normalizer") != charset_normalizer.__version__:
    raise SystemExit("charset-normalizer: metadata and module disagree on the version")
texts = (("Bсеки човек има право на образование. Oбразованието трябва да бъде безплатно.", "cp1251"),
         ("El niño comió piñas en la montaña; después, él soñó con un camión.", "utf_8"), ("これは日本語の文章です。とても簡単な文です。", "utf_16"),
         ("这是一个用中文写的句子，很容易理解。", "utf_8"))
for text, encoding in texts:
    best = from_bytes(text.encode(encoding) if encoding != "cp1251" else text.replace("B", "В").replace("O", "О").encode(encoding)).best()
    if best is None or (encoding != "cp1251" and str(best) != text):
        raise SystemExit("charset-normalizer: %s not decoded: %s" % (encoding, best))
if detect("déjà vu à la forêt".encode("utf-8"))["encoding"] != "utf-8" or from_bytes(b"plain text").best().encoding != "ascii":
    raise SystemExit("charset-normalizer: detect")
if not charset_normalizer.is_binary(bytes(range(256)) * 8):
    raise SystemExit("charset-normalizer: is_binary")
