# Prints the tag triples of CPython 3.13 on glibc 2.34 and x86_64, best first, as packaging orders them:
#   pip install packaging; python tags.py > tags-cp313-x86_64.txt
from packaging import _manylinux, tags

_manylinux._get_glibc_version = lambda: (2, 34)
_manylinux._is_compatible = lambda arch, version: True
_manylinux._have_compatible_abi = lambda executable, archs: True
platforms = list(_manylinux.platform_tags(["x86_64"]))
for tag in tags.cpython_tags((3, 13), ["cp313"], platforms):
    print(tag)
for tag in tags.compatible_tags((3, 13), "cp313", platforms):
    print(tag)
