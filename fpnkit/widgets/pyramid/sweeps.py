"""Trained codecs grouped into sweeps, so that one slider goes through their lambdas."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fpnkit.foundation import text
from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common.html import icon


@dataclass(frozen=True)
class RunSet:
    """Runs that differ only in lambda, or belong to one sweep."""

    key: Hashable
    runs: tuple[RunInfo, ...]  # by lambda

    @property
    def label(self) -> str:
        """One line of a list."""
        first, lambdas = self.runs[0], sorted({run.lmbda for run in self.runs if run.lmbda is not None})
        parts = [text.date(self.newest.created)]
        parts += [f"sweep {text.printable(first.sweep)}"] if first.sweep else []
        parts.append(f"{text.printable(first.codec or '?')} for {text.printable(first.detector or '?')}")
        parts.append(f"on {text.printable(first.dataset or '?')}")
        ends = text.rate(lambdas[0]) + (f" to {text.rate(lambdas[-1])}" if len(lambdas) > 1 else "")
        parts.append(f"λ {ends}")
        parts.append(f"{len(self.runs)} {'run' if len(self.runs) == 1 else 'runs'}")
        return " · ".join(parts)

    @property
    def newest(self) -> RunInfo:
        """The latest run."""
        return max(self.runs, key=_age)

    def options(self, most: int) -> list[tuple[str, Path]]:
        """(label, path) of each, at most the newest ones, by lambda."""
        shown = set(sorted(self.runs, key=_age, reverse=True)[:most])
        return [(_label(run), run.path) for run in self.runs if run in shown]


def run_sets(runs: Iterable[RunInfo]) -> list[RunSet]:
    """All codecs of a base directory, newest set first; runs without a lambda are not codecs or cannot be read."""
    sets: dict[Hashable, list[RunInfo]] = {}
    for run in runs:
        if run.lmbda is not None and math.isfinite(run.lmbda):
            sets.setdefault(_key(run), []).append(run)
    made = [
        RunSet(key, tuple(sorted(found, key=lambda run: (run.lmbda, run.created is None, run.created, run.name))))
        for key, found in sets.items()
    ]
    return sorted(made, key=lambda each: _age(each.newest), reverse=True)


def _key(run: RunInfo) -> Hashable:
    if run.sweep:
        return run.sweep
    return run.codec, run.detector, run.dataset, run.lr, run.batch_size, run.epochs


def _age(run: RunInfo) -> tuple[float, str]:
    return run.created.timestamp() if run.created else 0.0, run.name


def _label(run: RunInfo) -> str:
    """The short label of a slider position; the run is named below."""
    sign = "λ" if run.status == "finished" else icon(run.status)
    bpp, about = (run.bpp, "") if run.bpp is not None else (run.bpp_estimated, "≈")
    return f"{sign} {text.rate(run.lmbda)}" + (f" · {about}{bpp:.3f} bpp" if bpp is not None else "")
