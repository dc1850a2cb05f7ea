"""Rate and SNR of each level over the epochs, from metrics.jsonl."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from fpnkit.container import SHARED
from fpnkit.runs.metrics import MetricsLine


def epochs_table(lines: Sequence[MetricsLine]) -> pd.DataFrame:
    """A row per validation and level, or `shared`: epoch, level, bpp (estimated), snr_db."""
    rows = []
    for line in lines:
        if line.split == "val" and line.bpp_level:
            bpp, snr_db = line.bpp_level, line.snr_db or {}
            names = {**snr_db, **bpp} if SHARED in bpp else bpp
            rows += [(line.epoch, name, bpp.get(name, math.nan), snr_db.get(name, math.nan)) for name in names]
    return pd.DataFrame(rows, columns=["epoch", "level", "bpp", "snr_db"])
