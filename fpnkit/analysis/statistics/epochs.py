"""Rate and SNR of each level over the epochs, from metrics.jsonl."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fpnkit.runs.metrics import MetricsLine


def epochs_table(lines: Sequence[MetricsLine]) -> pd.DataFrame:
    """A row per validation and level: epoch, level, bpp (estimated), snr_db."""
    rows = [
        (line.epoch, level, bpp, (line.snr_db or {}).get(level, float("nan")))
        for line in lines
        if line.split == "val"
        for level, bpp in (line.bpp_level or {}).items()
    ]
    return pd.DataFrame(rows, columns=["epoch", "level", "bpp", "snr_db"])
