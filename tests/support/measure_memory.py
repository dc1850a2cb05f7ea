"""Prints by how many bytes anonymous memory grows while a cache of N images is filled and read."""

import sys
from pathlib import Path

from fpnkit.data.windows import Window
from fpnkit.pyramid import LevelSpec, PyramidSpec
from tests.support.feature_files import cache, features

SPEC = PyramidSpec(tuple(LevelSpec(f"p{k}", 32, 2**k) for k in range(2, 6)))


def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


root, count = Path(sys.argv[1]), int(sys.argv[2])
warm = cache(root / "warm", lambda index: features(index, spec=SPEC), count=4, spec=SPEC)
warm.plan(), warm.fill(), [warm.load(index) for index in range(4)]
before = anonymous()
stored = cache(root / "cache", lambda index: features(index, spec=SPEC), count=count, spec=SPEC)
stored.plan()
stored.fill()
for index in range(count):
    stored.load(index)
    stored.crop(index, lambda geometry: Window(0, 32, 64, 64))
print(anonymous() - before)
