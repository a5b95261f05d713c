"""Pillow reads and writes its formats (JPEG, PNG, TIFF, WebP, ...), resizes, filters and draws text with its own font."""
import importlib.metadata
import io
import pickle

import PIL
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageFilter, ImageFont, ImageOps, ImageStat, features


def check(ok, what):
    if not ok:
        raise SystemExit("pillow: " + what)


check(importlib.metadata.version("pillow") == PIL.__version__, "metadata and module disagree on the version")
image = Image.linear_gradient("L").resize((64, 48), Image.LANCZOS)
image = Image.merge("RGB", (image, ImageOps.mirror(image), ImageOps.invert(image)))
formats = ["PNG", "BMP", "GIF", "PPM", "TIFF", "ICO", "TGA", "PDF"] + [f for f, c in (("JPEG", "jpg"), ("WEBP", "webp"), ("JPEG2000", "jpg_2000"), ("AVIF", "avif")) if features.check(c)]
for needed in ("jpg", "zlib", "freetype2", "littlecms2", "libtiff", "webp"):
    check(features.check(needed), needed + " is missing")
for name in formats:
    buffer = io.BytesIO()
    image.save(buffer, name)
    if name == "PDF":
        check(buffer.getvalue().startswith(b"%PDF"), name)
        continue
    back = Image.open(io.BytesIO(buffer.getvalue()))
    back.load()
    check(back.format == name, name)
    if name not in ("ICO", "GIF"):
        check(max(ImageStat.Stat(ImageChops.difference(back.convert("RGB"), image)).mean) < 8, name + " loses too much")
for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg"):
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression=compression)
    check(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB").size == (64, 48), compression)
check(image.filter(ImageFilter.GaussianBlur(2)).size == (64, 48) and image.rotate(30, expand=True).size[0] > 64 and len(image.quantize(8).getcolors()) <= 8, "filters")
canvas = Image.new("L", (120, 30))
ImageDraw.Draw(canvas).text((2, 2), "Layer", fill=255, font=ImageFont.load_default())
check(canvas.getbbox() is not None and sum(canvas.histogram()[1:]) > 20, "text")
srgb = ImageCms.createProfile("sRGB")
check(ImageCms.profileToProfile(image, srgb, ImageCms.createProfile("LAB"), outputMode="LAB").mode == "LAB", "colour management")
check(pickle.loads(pickle.dumps(image)).tobytes() == image.tobytes() and image.getexif() is not None, "pickle")
