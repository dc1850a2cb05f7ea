"""Which runs are the best among comparable ones."""

import math
from collections.abc import Iterable, Sequence

from fpnkit.config.identity import loss_settings, settings_hash
from fpnkit.config.load import load_config, plain
from fpnkit.config.schema import PluginDetector
from fpnkit.errors import ConfigError
from fpnkit.runs import layout
from fpnkit.runs.store import RunInfo

_PRUNED = ("finished", "stopped", "crashed", "killed")  # not what may live elsewhere, nor what cannot be read

Group = tuple[object, ...]


def comparable(run: RunInfo) -> Group | None:
    """Equal for runs whose best losses can be compared; the smaller loss is better.

    They need the same kind of codec or detector, equal loss settings (`identity.loss_settings`) and the same detector
    fingerprint. An older run recorded neither: its settings are read from its directory, and equal settings imply the
    same detector, except for plugins, whose code they do not cover. None if unknown: then no other run is comparable.
    """
    model = run.detector if run.kind == "detection" else run.codec
    known = run.settings_hash is not None and (run.detector_fingerprint is not None or run.kind == "detection")
    settings = run.settings_hash if known else _hash_of_older(run)
    return None if settings is None else (run.kind, model, settings, run.detector_fingerprint)


def _hash_of_older(run: RunInfo) -> str | None:
    try:
        config = load_config(run.path / layout.CONFIG_USED)
    except ConfigError:
        return None
    return None if isinstance(config.detector, PluginDetector) else settings_hash(loss_settings(plain(config)))


def is_best(run: RunInfo, runs: Iterable[RunInfo]) -> bool:
    """Whether no comparable run has a smaller best loss; False if unknown."""
    if not math.isfinite(_loss(run)) or (group := comparable(run)) is None:
        return False
    return not any(_loss(other) < _loss(run) and comparable(other) == group for other in runs)


def to_prune(runs: Sequence[RunInfo], keep: int) -> list[RunInfo]:
    """All but the `keep` best of each comparable group; running runs and those that cannot be compared stay."""
    groups: dict[Group, list[RunInfo]] = {}
    for run in runs:
        if run.status in _PRUNED and (group := comparable(run)) is not None:
            groups.setdefault(group, []).append(run)
    pruned = {run.path for group in groups.values() for run in sorted(group, key=_loss)[keep:]}
    return [run for run in runs if run.path in pruned]


def _loss(run: RunInfo) -> float:
    return math.inf if run.best_loss is None or math.isnan(run.best_loss) else run.best_loss
