"""A sweep: the same training for several lambdas and seeds, as a plan that knows which of its runs exist.

`<base_dir>/sweeps/<id>.yaml` is the plan. Its runs are trained from the copy `<base_dir>/sweeps/<id>/config.yaml`, so
editing the original config meanwhile changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from fpnkit.config.diff import differences
from fpnkit.config.identity import VARIED, learned, settings_hash, shared, without
from fpnkit.config.load import plain, to_yaml, validate
from fpnkit.config.schema import CodecConfig, Config
from fpnkit.config.yaml import parse
from fpnkit.errors import ConfigError, RunError
from fpnkit.foundation import clock, text
from fpnkit.foundation.files import is_machine_error, storage_error, write_text
from fpnkit.foundation.redact import without_secrets
from fpnkit.runs import layout
from fpnkit.runs.settings import learned_by
from fpnkit.runs.status import GOING_ON, StatusWord
from fpnkit.runs.store import RunInfo, list_runs

SCHEMA_VERSION = 1
CONFIG = "config.yaml"

_LONGEST_STEM = 80
_DIVERGED = "diverged"


@dataclass(frozen=True)
class Sweep:
    """The plan: every lambda with every seed."""

    id: str
    created: str  # ISO 8601
    settings: Mapping[str, Any]  # all of them but lambda and seed
    lambdas: tuple[float, ...]
    seeds: tuple[int, ...]

    def config(self, lmbda: float, seed: int) -> CodecConfig:
        """The whole configuration of one of its runs."""
        loss = {"lambda": lmbda, **self.settings["loss"]}
        config = validate({**self.settings, "loss": loss, "seed": seed})
        assert isinstance(config, CodecConfig)
        return config

    def points(self) -> list[tuple[float, int]]:
        """(lambda, seed) of every run that belongs to it."""
        return [(lmbda, seed) for lmbda in self.lambdas for seed in self.seeds]


@dataclass(frozen=True)
class SweepPoint:
    """One run of a sweep, or a gap for it."""

    lmbda: float
    seed: int
    run: RunInfo | None
    status: StatusWord | Literal["missing", "waiting"]  # `waiting`: for the sweep's process to come to it
    job: str | None = None  # of a scheduler, that is to make the run

    @property
    def resumable(self) -> bool:
        """Whether the run can be resumed.

        A run that diverged would diverge again, because training is deterministic.
        """
        ended = self.run is not None and self.status in ("stopped", "killed", "stale", "crashed")
        return ended and not self.diverged and (self.run.path / layout.LAST).exists()  # type: ignore[union-attr]

    @property
    def diverged(self) -> bool:
        """Whether its loss became NaN or exploded."""
        return self.run is not None and self.status == "crashed" and self.run.reason == _DIVERGED


def new_sweep(file: Path, config: Config, lambdas: Sequence[float], seeds: Sequence[int]) -> Sweep:
    """The sweep of a config file with its overrides; equal settings have equal ids.

    Raises ConfigError for a detector's config, and for one with a secret, which must not be written to a file.
    """
    if not isinstance(config, CodecConfig):
        raise ConfigError([f"{file}: task: required fpn_compression, found {config.task}: only codecs have a lambda"])
    whole = plain(config)
    if hidden := differences(whole, without_secrets(whole)):
        keys = ", ".join(each.key for each in hidden)
        raise ConfigError([f"{file}: {keys}: a sweep keeps its settings in a file; required none that is a secret"])
    settings = {key: value for key, value in whole.items() if key != "seed"}
    settings["loss"] = {key: value for key, value in whole["loss"].items() if key != "lambda"}
    stem = re.sub(r"[^\w.-]", "_", file.stem)[:_LONGEST_STEM]
    name = f"{stem}_{_hash(whole)}"
    return Sweep(name, clock.to_text(clock.now()), settings, tuple(sorted(set(lambdas))), tuple(sorted(set(seeds))))


def sweep_path(base_dir: Path, sweep_id: str) -> Path:
    """Path of the plan with this id."""
    return base_dir / layout.SWEEPS / f"{sweep_id}.yaml"


def id_fits(sweep_id: str, config: Config) -> bool:
    """Whether a run of this config could belong to the sweep, whatever its lambda and seed."""
    return sweep_id.endswith(f"_{_hash(plain(config))}")


def _hash(settings: Mapping[str, Any]) -> str:
    return settings_hash(shared(settings))[:8]


def is_plan(path: Path) -> bool:
    """Whether the path is that of a plan."""
    return path.parent.name == layout.SWEEPS


def config_path(base_dir: Path, sweep_id: str) -> Path:
    """Path of the config that the sweep's runs are trained from."""
    return base_dir / layout.SWEEPS / sweep_id / CONFIG


def extended(base_dir: Path, sweep: Sweep) -> Sweep:
    """The sweep with the lambdas and seeds of the plan on disk added; settings are the new ones. Raises RunError."""
    path = sweep_path(base_dir, sweep.id)
    if not path.exists():
        return sweep
    before = read_sweep(path)
    return replace(
        sweep,
        created=before.created,
        lambdas=tuple(sorted({*before.lambdas, *sweep.lambdas})),
        seeds=tuple(sorted({*before.seeds, *sweep.seeds})),
    )


def write_sweep(base_dir: Path, sweep: Sweep) -> None:
    """Write the plan and the config of its runs. Raises StorageError or RunError."""
    path, config = sweep_path(base_dir, sweep.id), config_path(base_dir, sweep.id)
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_machine_error(error):
            raise storage_error(config.parent, error) from error
        raise RunError(f"{config.parent}: required a directory that can be written to: {error.strerror}") from error
    write_text(config, to_yaml(plain(sweep.config(*sweep.points()[0]))))
    head = {"schema_version": SCHEMA_VERSION, "id": sweep.id, "created": sweep.created}
    varied = {"lambdas": list(sweep.lambdas), "seeds": list(sweep.seeds)}
    top = yaml.safe_dump({**head, **varied}, sort_keys=False, default_flow_style=None)
    write_text(path, top + to_yaml({"config": dict(sweep.settings)}))


def read_sweep(path: Path) -> Sweep:
    """Read the plan. Raises RunError if it is missing, broken or written by a newer fpnkit."""
    try:
        source = parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: required the plan of a sweep, found: {error.strerror}") from error
    except UnicodeDecodeError:
        raise RunError(f"{path}: required the plan of a sweep, found no text") from None
    data = source.data
    version = data.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise RunError(f"{path}: has schema version {version}, this fpnkit reads up to {SCHEMA_VERSION}; update fpnkit")
    try:
        sweep = Sweep(
            path.stem,
            str(data["created"]),
            data["config"],
            tuple(float(each) for each in data["lambdas"]),
            tuple(int(each) for each in data["seeds"]),
        )
        sweep.config(*sweep.points()[0])
        return sweep
    except (KeyError, TypeError, ValueError, IndexError, AssertionError) as error:  # pydantic's is a ValueError
        found = "settings that this fpnkit does not take" if isinstance(error, ValidationError) else "something else"
        raise RunError(f"{path}: required the plan of a sweep, found {found}") from error


def sweep_ids(base_dir: Path) -> list[str]:
    """Ids of all plans, in order; none if there is no directory."""
    return sorted(path.stem for path in (base_dir / layout.SWEEPS).glob("*.yaml"))


def runs_of_sweep(base_dir: Path, sweep_id: str) -> tuple[list[Path], list[str]]:
    """The sweep's runs, and a line about each missing one. Raises RunError if there is no such plan."""
    state = sweep_state(base_dir, sweep_id)
    missing = [
        f"sweep {sweep_id}: lambda {text.rate(each.lmbda)}, seed {each.seed} is missing: no run of it was started"
        for each in state
        if each.run is None
    ]
    return [each.run.path for each in state if each.run is not None], missing


def sweep_state(base_dir: Path, sweep_id: str) -> tuple[SweepPoint, ...]:
    """Every run of the plan in order. Raises RunError if there is no such plan."""
    sweep = read_sweep(sweep_path(base_dir, sweep_id))
    runs = list_runs(base_dir)
    return tuple(find_point(sweep, runs, lmbda, seed) for lmbda, seed in sweep.points())


def find_point(sweep: Sweep, runs: Sequence[RunInfo], lmbda: float, seed: int) -> SweepPoint:
    """The run of one point: finished before running before ended early, newest first.

    It was made by the sweep, or is finished or running with equal settings, whoever made it.
    """
    near = [run for run in runs if (run.lmbda, run.seed) == (lmbda, seed) and run.kind == "fpn_compression"]
    wanted = learned(plain(sweep.config(lmbda, seed))) if near else {}
    for status in ("finished", *GOING_ON):
        for run in near:
            if run.status == status and (run.sweep == sweep.id or learned_by(run.path) == wanted):
                return SweepPoint(lmbda, seed, run, run.status)
    own = next((run for run in near if run.sweep == sweep.id), None)
    return SweepPoint(lmbda, seed, own, own.status if own else "missing")


def similar(sweep: Sweep, runs: Sequence[RunInfo]) -> list[RunInfo]:
    """Finished runs that differ only in lambda, seed and output settings."""
    wanted = shared(sweep.settings)
    training = sweep.settings["training"]
    told = tuple(training[key] for key in ("lr", "batch_size", "epochs"))  # to open few files
    found = []
    for run in runs:
        if run.status == "finished" and (run.lr, run.batch_size, run.epochs) == told:
            found += [run] if without(learned_by(run.path), VARIED) == wanted else []
    return found
