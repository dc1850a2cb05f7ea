"""What an analysis costs in time and memory.

The statistics of channels are set beside scipy's and numpy's on the same features: `scipy.stats.describe` and
`numpy.corrcoef`, which need all images in memory at once.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from scipy import stats

from fpnkit.analysis.statistics.moments import FeatureStatistics
from fpnkit.pyramid import Pyramid
from tests.support import ROOT
from tests.support.in_turns import in_turns
from tests.support.measure_analysis import SPEC, pyramids

IMAGES = 6


def ours(images: list[Pyramid]) -> np.ndarray:
    statistics = FeatureStatistics(SPEC)
    for pyramid in images:
        statistics.update(pyramid)
    statistics.correlations(most=256)
    return statistics.channels()[["mean", "deviation", "excess_kurtosis"]].to_numpy()


def scipys(images: list[Pyramid]) -> np.ndarray:
    rows = []
    for name in SPEC.names:
        values = np.concatenate([pyramid[name][0].flatten(1).double().numpy() for pyramid in images], axis=1)
        described = stats.describe(values, axis=1, ddof=0)
        np.corrcoef(values)
        rows.append(np.stack([described.mean, np.sqrt(described.variance), described.kurtosis], axis=1))
    return np.concatenate(rows)


@pytest.mark.benchmark
def test_channel_statistics_against_scipy() -> None:
    images = list(pyramids(IMAGES))

    def side(work: Callable[[list[Pyramid]], np.ndarray]) -> Callable[[], np.ndarray]:
        return partial(work, images)

    found = in_turns(lambda: side(ours), lambda: side(scipys), repetitions=5)
    names = ("fpnkit's FeatureStatistics, image by image", "scipy's describe and numpy's corrcoef, all at once")
    print(found.table("256 channels, P2 to P6 of 320 pixels", names, IMAGES, "image"))
    for first, second in found.pairs:
        assert first.result == pytest.approx(second.result, rel=1e-6, abs=1e-9)


@pytest.mark.benchmark
def test_a_hundred_images_stay_within_memory() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.measure_analysis"]
    done = [
        subprocess.run([*command, str(count)], cwd=ROOT, capture_output=True, text=True, check=True)
        for count in (10, 100)
    ]
    few, many = (json.loads(each.stdout) for each in done)
    print(f"\n100 images, 256 channels, P2 to P6 of 320 pixels: {many['seconds']:.0f} s ", end="")
    print(f"({many['feature_seconds']:.0f} s features), {many['peak_gb']:.2f} GB; of 10 images {few['peak_gb']:.2f} GB")
    assert many["peak_gb"] < 3
    assert many["peak_gb"] < 1.1 * few["peak_gb"]  # does not grow with the images
