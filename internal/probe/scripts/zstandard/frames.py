"""zstandard compresses and expands frames, streams and dictionaries through its bundled C library."""
import importlib.metadata
import io

import zstandard as zstd


def check(ok, what):
    if not ok:
        raise SystemExit("zstandard: " + what)


check(importlib.metadata.version("zstandard") == zstd.__version__ and zstd.backend in ("cext", "cffi", "rust"), "version or backend")
data = b"".join(b"layer %d of %d\n" % (n % 7, n) for n in range(5000))
for level in (-3, 1, 9, 19):
    small = zstd.ZstdCompressor(level=level, write_checksum=True).compress(data)
    check(len(small) < len(data) / 2 and zstd.ZstdDecompressor().decompress(small) == data, "level %d" % level)
check(zstd.get_frame_parameters(small).content_size == len(data) and zstd.get_frame_parameters(small).has_checksum, "frame parameters")
buffer = io.BytesIO()
with zstd.ZstdCompressor(threads=2).stream_writer(buffer, closefd=False) as writer:
    for start in range(0, len(data), 1000):
        writer.write(data[start:start + 1000])
with zstd.open(io.BytesIO(buffer.getvalue()), "rb") as reader:
    check(reader.read() == data, "stream")
samples = [b"layer %d has %d files and %d bytes" % (n, n * 3, n * n) for n in range(2000)]
words = zstd.train_dictionary(2048, samples)
small = zstd.ZstdCompressor(dict_data=words).compress(samples[77])
check(len(small) < len(zstd.compress(samples[77])) and zstd.ZstdDecompressor(dict_data=words).decompress(small) == samples[77], "dictionary")
worker = zstd.ZstdCompressor().compressobj()
check(zstd.decompress(worker.compress(b"abc" * 9) + worker.flush(), max_output_size=99) == b"abc" * 9, "compressobj")
try:
    zstd.decompress(buffer.getvalue()[:-5] + b"wrong", max_output_size=1 << 20)
    raise SystemExit("zstandard: a damaged frame is accepted")
except zstd.ZstdError:
    pass
