"""How much noise on one level at a time costs the detector, and the distortion weights this suggests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from fpnkit.data.windows import Features
from fpnkit.detectors.base import Detections, Detector
from fpnkit.detectors.device import CPU
from fpnkit.detectors.one_image import detections_in
from fpnkit.errors import DataError
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.metrics.detection import average_precision
from fpnkit.pyramid import Pyramid

SNRS_DB = (20.0, 15.0, 10.0, 5.0, 0.0)
FLOOR = 0.02  # smallest weight of a level before normalizing, as a share of the largest


@torch.no_grad()
def level_sensitivity(
    detector: Detector,
    features: Iterable[Features],
    level: str,
    deviation: float,
    truth: Mapping[str, Sequence[GroundTruth]],
    snrs_db: Sequence[float] = SNRS_DB,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
    device: torch.device = CPU,
) -> pd.DataFrame:
    """The metric for each kind of `truth` at each SNR, with Gaussian noise on one level of every image's features.

    The SNR is relative to `deviation`² of the level. An image gets the same noise, scaled, at every SNR: the curve is
    smooth, and the same seed gives the same numbers. `device`: the detector's; features are on the CPU.
    """
    found: dict[float, list[Detections]] = {snr: [] for snr in snrs_db}
    for index, image in enumerate(features):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
        noise = torch.randn(image.pyramid[level].shape, generator=generator)
        for snr in snrs_db:
            noisy = {**image.pyramid, level: image.pyramid[level] + noise * deviation * 10 ** (-snr / 20)}
            found[snr].append(detections_in(detector, Pyramid(noisy).to(device), image.geometry).to(CPU))
        progress()
    rows = [{"level": level, "snr_db": snr} | metrics(truth, found[snr]) for snr in snrs_db]
    return pd.DataFrame(rows)


def metrics(truth: Mapping[str, Sequence[GroundTruth]], detections: Sequence[Detections]) -> dict[str, float]:
    """Kind of truth → AP@[.50:.95]; NaN if nothing is labeled."""
    scores = {kind: average_precision(objects, detections).map for kind, objects in truth.items()}
    return {kind: float("nan") if score is None else score for kind, score in scores.items()}


def suggested_weights(
    table: pd.DataFrame, clean: float, metric: str = "self_map", from_db: float = 5.0
) -> pd.DataFrame:
    """Weights of the levels in the distortion, summing to 1.

    The drop of the metric is modeled as a sum over levels of slope times standardized MSE (10^(-SNR/10)), so weights
    in proportion to the slopes make the loss count errors as the task does. Slopes are fitted through 0 on points of at
    least `from_db`; slopes below `FLOOR` of the largest are raised to it, because no level can be left out. Raises
    `DataError` if noise on no level matters.
    """
    used = table[table["snr_db"] >= from_db]
    rows = []
    for level, points in used.groupby("level", sort=False):
        mse = 10 ** (-points["snr_db"].to_numpy(float) / 10)
        drop = clean - points[metric].to_numpy(float)
        rows.append((level, float((mse * drop).sum() / (mse**2).sum())))
    slopes = np.array([slope for _, slope in rows])
    if not len(slopes) or not np.nanmax(slopes) > 0:
        raise DataError(f"sensitivity: required a {metric} that falls with noise on some level, found none that does")
    kept = np.maximum(np.nan_to_num(slopes), FLOOR * np.nanmax(slopes))
    weights = kept / kept.sum()
    return pd.DataFrame({"level": [level for level, _ in rows], "slope": slopes, "weight": weights})


def weights_or_none(sensitivity: pd.DataFrame) -> pd.DataFrame | None:
    """`suggested_weights` of all levels; rows with infinite SNR have no noise.

    None if noise does not matter or nothing is detected that could be lost.
    """
    clean = sensitivity["snr_db"] == float("inf")
    try:
        return suggested_weights(sensitivity[~clean], float(sensitivity.loc[clean, "self_map"].iloc[0]))
    except DataError:
        return None


def weights_yaml(weights: pd.DataFrame) -> str:
    """YAML to paste into a config; the rounded numbers still sum to 1."""
    rounded = weights["weight"].to_numpy(float).round(4)
    rounded[rounded.argmax()] += 1 - rounded.sum()
    pairs = ", ".join(f"{level}: {weight:.4f}" for level, weight in zip(weights["level"], rounded, strict=True))
    return f"loss:\n  weights: {{{pairs}}}\n"
