"""A request to train, checked before anything starts, and its command line."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fpnkit.config.flags import FLAGS, flag_overrides, override, slurm_override
from fpnkit.config.load import Override, load_config, parse_override
from fpnkit.config.schema import Config
from fpnkit.errors import ConfigError
from fpnkit.launch.places import AUTO, number_of
from fpnkit.launch.protocol import SWEEP, TRAIN
from fpnkit.runs import layout

_LAMBDA, _SEED = FLAGS["--lambda"], FLAGS["--seed"]


@dataclass(frozen=True)
class Points:
    """Runs that share everything but lambda and seed."""

    config: Config  # of the first
    lambdas: tuple[float, ...]  # in the order typed
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Request:
    """One run, or a sweep of several lambdas."""

    module: str
    arguments: tuple[str, ...]
    config: Config  # of the first run
    lambdas: tuple[float, ...]  # of a sweep; none for one run
    base_dir: Path

    @property
    def command(self) -> str:
        """The command as typed into a terminal."""
        return shlex.join(["python", "-m", self.module, *self.arguments])


def read_points(file: Path, overrides: Sequence[Override], lambdas: Sequence[str], seeds: Sequence[str]) -> Points:
    """The runs a sweep is to train; without seeds, the config's. Raises ConfigError with all problems at once."""
    problems = [
        f"{each.origin}: a sweep sets {'.'.join(each.path)} itself, see --{flag}"
        for each in overrides
        for key, flag in ((_LAMBDA, "lambdas"), (_SEED, "seeds"))
        if each.path == key
    ]
    of_lambda = _varied("--lambdas", _LAMBDA, lambdas, problems)
    of_seed = _varied("--seeds", _SEED, seeds, problems)
    config: Config | None = None
    for extra in (*of_lambda, *of_seed):
        # Each value separately, always with a lambda, so that other problems are reported once.
        try:
            loaded = load_config(file, [*overrides, *(of_lambda[:1] if extra.path == _SEED else of_seed[:1]), extra])
            config = config or loaded
        except ConfigError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems or config is None:
        raise ConfigError(problems)
    chosen = tuple(float(each.value) for each in of_lambda)
    return Points(config, chosen, tuple(int(each.value) for each in of_seed) or (config.seed,))


def make_request(
    file: Path,
    lambdas: Sequence[str],
    flags: Mapping[str, str | None],
    settings: Sequence[str],
    base_dir: Path | None,
    jobs: str | None = None,
    slurm: Sequence[str] | None = None,
) -> Request:
    """A request for one run, or for a sweep if there are several lambdas; without lambdas, the config's.

    Raises UserError, and ConfigError for all problems of the config at once.

    `settings` are `key.path=value` texts; `base_dir` None is the default of the config's task; `jobs` of a sweep are
    trainings at a time; `slurm` are sbatch's options as `key=value` texts, for a command that submits to Slurm.
    """
    overrides = [*map(parse_override, settings), *map(slurm_override, slurm or ()), *flag_overrides(flags)]
    given = [part for flag, text in flags.items() if text is not None for part in (flag, text)]
    given += [part for text in settings for part in ("--set", text)]
    given += [] if slurm is None else ["--on", "slurm", *(part for text in slurm for part in ("--slurm", text))]
    given += [] if base_dir is None else ["--base-dir", str(base_dir)]
    if len(lambdas) > 1:
        points = read_points(file, overrides, lambdas, [])
        if jobs is not None:
            given += ["--jobs", jobs if jobs == AUTO else str(number_of(jobs))]
        arguments = ("--config", str(file), "--lambdas", *lambdas, *given)
        place = base_dir or layout.default_base_dir("fpn_compression")
        return Request(SWEEP, arguments, points.config, points.lambdas, place)
    one = [part for text in lambdas for part in ("--lambda", text)]
    config = load_config(file, [*overrides, *(override("--lambda", _LAMBDA, text) for text in lambdas)])
    place = base_dir or layout.default_base_dir(config.task)
    return Request(TRAIN, ("--config", str(file), *one, *given), config, (), place)


def _varied(flag: str, key: tuple[str, ...], texts: Sequence[str], problems: list[str]) -> list[Override]:
    found: dict[object, str] = {}
    overrides = []
    for given in texts:
        one = override(flag, key, given)
        same = float(one.value) if isinstance(one.value, int | float) else given
        if same in found:
            problems.append(f"{flag} {given}: appears twice, first as {found[same]}")
        found.setdefault(same, given)
        overrides.append(one)
    return overrides
