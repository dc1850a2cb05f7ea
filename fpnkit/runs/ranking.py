"""Which runs are the best of those that can be compared."""

import math
from collections.abc import Iterable, Sequence

from fpnkit.runs.store import RunInfo

_PRUNED = ("finished", "stopped", "crashed", "killed")  # not what may live elsewhere, nor what cannot be read


def comparable(run: RunInfo) -> tuple[object, ...]:
    """Runs for which this is equal answer the same question; the smaller best loss is the better answer."""
    return run.kind, run.detector, run.dataset, run.codec, run.lmbda


def is_best(run: RunInfo, runs: Iterable[RunInfo]) -> bool:
    """Whether no comparable run has a smaller best loss."""
    if not _measured(run):
        return False
    rivals = [other for other in runs if comparable(other) == comparable(run) and _measured(other)]
    return all(_loss(run) <= _loss(other) for other in rivals)


def to_prune(runs: Sequence[RunInfo], keep: int) -> list[RunInfo]:
    """All but the `keep` best of each comparable group; those that run, or cannot be judged, stay."""
    groups: dict[tuple[object, ...], list[RunInfo]] = {}
    for run in runs:
        if run.status in _PRUNED:
            groups.setdefault(comparable(run), []).append(run)
    pruned = {run.path for group in groups.values() for run in sorted(group, key=_loss)[keep:]}
    return [run for run in runs if run.path in pruned]


def _measured(run: RunInfo) -> bool:
    return math.isfinite(_loss(run))


def _loss(run: RunInfo) -> float:
    return math.inf if run.best_loss is None or math.isnan(run.best_loss) else run.best_loss
