"""What differs between runs: settings, versions, results."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpnkit.config.diff import flatten
from fpnkit.errors import ConfigError, RunError
from fpnkit.foundation import text
from fpnkit.runs import layout
from fpnkit.runs.details import read_json, versions
from fpnkit.runs.evaluations import Evaluation, read_evaluations
from fpnkit.runs.record import read_record
from fpnkit.runs.settings import plain_settings
from fpnkit.runs.store import RunInfo, run_info

_CURVE = ("bpp", "map", "mask_map", "keypoint_map", "self_map")
_NO_MERIT = ("epoch", "step", "lr", "seconds", "aux_loss")


@dataclass(frozen=True)
class ComparedValue:
    """One line that differs between runs, with a text for each run."""

    label: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Lines that differ, by section: settings, source, results."""

    names: tuple[str, ...]
    sections: dict[str, list[ComparedValue]]


def compare_runs(run_dirs: Sequence[Path]) -> Comparison:
    """Compare the first run with the others. Raises RunError if there are fewer than two, or one is not a run."""
    if len(run_dirs) < 2:
        raise RunError(f"diff: required two runs or more, found {len(run_dirs)}")
    infos = [run_info(run_dir) for run_dir in run_dirs]
    names = tuple(text.printable(info.name) for info in infos)
    settings = _differing([_settings(info) for info in infos])
    source = _differing([_source(run_dir) for run_dir in run_dirs])
    results = [_results(info) for info in infos]
    moved = [
        ComparedValue(label, tuple(_moved(label, row.get(label), results[0].get(label)) for row in results))
        for label in _labels(results)
        if len({row.get(label) for row in results}) > 1
    ]
    return Comparison(names, {"Settings": settings, "Source": source, "Results": moved})


def _labels(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(label for row in rows for label in row))


def _differing(rows: Sequence[Mapping[str, str]]) -> list[ComparedValue]:
    found = [ComparedValue(label, tuple(row.get(label, text.NOTHING) for row in rows)) for label in _labels(rows)]
    return [difference for difference in found if len(set(difference.values)) > 1]


def _settings(info: RunInfo) -> dict[str, str]:
    """All settings, or the few found in an old-style log."""
    try:
        settings = plain_settings(info.path)
    except ConfigError:
        few = {"loss.lambda": info.lmbda, "training.lr": info.lr, "training.batch_size": info.batch_size}
        settings = {key: value for key, value in few.items() if value is not None}
    return {key: _shown(value) for key, value in settings.items()}


def _shown(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.printable(shown)


def _source(run_dir: Path) -> dict[str, str]:
    git = read_json(run_dir / layout.ENV / layout.GIT_JSON)
    system = read_json(run_dir / layout.ENV / layout.SYSTEM_JSON)
    rows = {"commit": git.get("commit"), "changed since": git.get("dirty"), "host": system.get("host")}
    rows |= {"python": system.get("python"), **versions(run_dir)}
    words = {True: "yes", False: "no", None: text.NOTHING}
    return {
        label: words[value] if value is None or isinstance(value, bool) else text.printable(str(value))
        for label, value in rows.items()
    }


def _results(info: RunInfo) -> dict[str, float | None]:
    """Numbers of the best checkpoint, then those of the newest evaluation; of a whole curve, a few at each quality."""
    rows: dict[str, float | None] = {"best epoch": info.best_epoch, "best loss": info.best_loss}
    with contextlib.suppress(RunError):
        best = read_record(info.path).best
        rows |= _numbers(best.metrics) if best else {}
        rows.pop("loss", None)
    evaluations = read_evaluations(info.path)
    for evaluation in evaluations[-1:]:
        if evaluation.quality is None:
            rows |= {f"{key} on {evaluation.dataset}": value for key, value in evaluation.measured().items()}
        else:
            rows |= _on_curve(evaluations, evaluation.dataset)
    return rows


def _on_curve(evaluations: Sequence[Evaluation], dataset: str) -> dict[str, float | None]:
    """Of the newest evaluation at each quality, without search before with search."""
    newest = {(each.search_steps or 0, each.quality or 0.0): each for each in evaluations if each.dataset == dataset}
    rows: dict[str, float | None] = {}
    for (steps, quality), evaluation in sorted(newest.items()):
        where = f"{dataset} at quality {quality:g}" + (f" with {steps} steps of search" if steps else "")
        values = evaluation.measured()
        rows |= {f"{key} on {where}": values[key] for key in _CURVE if key in values}
    return rows


def _numbers(values: Mapping[str, Any]) -> dict[str, float | None]:
    flat = {key: value for key, value in flatten(values).items() if key not in _NO_MERIT}
    return {key: value for key, value in flat.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def _moved(key: str, value: float | None, first: float | None) -> str:
    """The number, with its difference from the first run's: decibels are compared by subtraction."""
    if value is None or first is None or value == first:
        return text.number(value)
    if key.startswith("snr_db"):
        return f"{text.number(value)} ({value - first:+.2f})"
    return f"{text.number(value)} ({(value - first) / abs(first):+.1%})" if first else text.number(value)
