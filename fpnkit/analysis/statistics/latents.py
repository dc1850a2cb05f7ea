"""Which levels and latent channels take the bits, and how well the learned densities fit the coded symbols."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fpnkit.codecs.base import CodedLatents, InspectableCodec

_HALF = 256  # symbols beyond are counted with the outermost ones
_SYMBOLS = 2 * _HALF + 1


class LatentStatistics:
    """Counts of symbols and sums of bits, per level and latent channel."""

    def __init__(self) -> None:
        self._levels: dict[str, _Level] = {}

    def update(self, coded: Mapping[str, CodedLatents]) -> None:
        """One image."""
        for name, level in coded.items():
            if name not in self._levels:
                self._levels[name] = _Level(len(level.symbols))
            self._levels[name].add(level)

    def channels(self) -> pd.DataFrame:
        """One row per latent channel.

        `bits` of all images, `bits_per_symbol` by the learned density, `entropy` by the channel's own histogram: their
        difference is the most that a better density could save. `dead`: a single symbol, which carries no information.
        """
        table = pd.concat([level.channels(name) for name, level in self._levels.items()], ignore_index=True)
        table["bits_share"] = table["bits"] / (table["bits"].sum() or 1.0)
        return table

    def histogram(self, codec: InspectableCodec) -> pd.DataFrame:
        """Per level, over all its channels: the share of each symbol, and its probability under the learned densities.

        `escaped`: the share of symbols outside the coding tables, which cost more than estimated.
        """
        return pd.concat([level.histogram(name, codec) for name, level in self._levels.items()], ignore_index=True)


class _Level:
    def __init__(self, channels: int) -> None:
        self.counts: NDArray[np.int64] = np.zeros((channels, _SYMBOLS), np.int64)
        self.bits: NDArray[np.float64] = np.zeros(channels)
        self.low = np.full(channels, np.iinfo(np.int64).max)
        self.high = np.full(channels, np.iinfo(np.int64).min)

    def add(self, level: CodedLatents) -> None:
        symbols = level.symbols.flatten(1)
        channels = len(symbols)
        places = symbols.clamp(-_HALF, _HALF) + _HALF + torch.arange(channels)[:, None] * _SYMBOLS
        counts = torch.bincount(places.flatten(), minlength=channels * _SYMBOLS)
        self.counts += counts.view(channels, _SYMBOLS).numpy()
        self.bits += level.bits.flatten(1).double().sum(1).numpy()
        self.low = np.minimum(self.low, symbols.amin(1).numpy())
        self.high = np.maximum(self.high, symbols.amax(1).numpy())

    def channels(self, name: str) -> pd.DataFrame:
        total = self.counts.sum(1)
        share = self.counts / total[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -np.where(share > 0, share * np.log2(share), 0).sum(1)
        columns = {
            "bits": self.bits,
            "symbols": total,
            "bits_per_symbol": self.bits / total,
            "entropy": entropy + 0.0,  # no -0.0
            "lowest": self.low,
            "highest": self.high,
            "dead": self.low == self.high,
        }
        return pd.DataFrame({"level": name, "channel": np.arange(len(total)), **columns})

    def histogram(self, name: str, codec: InspectableCodec) -> pd.DataFrame:
        pooled = self.counts.sum(0)
        used = np.flatnonzero(pooled)
        places = np.arange(used[0], used[-1] + 1)
        density = codec.latent_density(name, torch.from_numpy(places - _HALF))
        table = density.table.cpu().numpy() + _HALF
        inside = (np.arange(_SYMBOLS) >= table[:, :1]) & (np.arange(_SYMBOLS) <= table[:, 1:])
        return pd.DataFrame(
            {
                "level": name,
                "symbol": places - _HALF,
                "count": pooled[places],
                "share": pooled[places] / pooled.sum(),
                "learned": density.probability.mean(0).cpu().double().numpy(),
                "escaped": float(self.counts[~inside].sum() / pooled.sum()),
            }
        )
