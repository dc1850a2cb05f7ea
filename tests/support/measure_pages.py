"""Prints how many bytes of a feature file become resident: for a window, for all of it, and the file's size."""

import sys
from pathlib import Path

from fpnkit.data import feature_file
from fpnkit.data.windows import Window, as_float16
from fpnkit.pyramid import LevelSpec, PyramidSpec
from tests.support.feature_files import features

SPEC = PyramidSpec((LevelSpec("p2", 256, 4), LevelSpec("p5", 256, 32)))


def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile"))


def touched(path, window):
    """Growth while the file is open, measured after the conversion of its last level."""
    after = []
    convert = feature_file._to_float32

    def watched(stored):
        level = convert(stored)
        after.append(resident())
        return level

    feature_file._to_float32 = watched
    before = resident()
    feature_file.read_features(path, SPEC, window and (lambda geometry: window))
    feature_file._to_float32 = convert
    return after[-1] - before


path = Path(sys.argv[1])
feature_file.write_features(path, as_float16(features(0, (1024, 1024), SPEC), "x"))
touched(path, None)  # loads what the library itself needs
print(touched(path, Window(512, 256, 128, 128)), touched(path, None), path.stat().st_size)
