"""Trainings under way that would learn what is about to be started."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from fpnkit.config.flags import FLAGS, flag_overrides
from fpnkit.config.identity import learned
from fpnkit.config.load import load_config, parse_override, plain
from fpnkit.errors import FpnkitError
from fpnkit.launch.launchers import load
from fpnkit.launch.protocol import FOLDER, Launch
from fpnkit.launch.queue import Queued, queued
from fpnkit.launch.request import Request
from fpnkit.launch.sweep import id_fits
from fpnkit.launch.watch import Choice, of_processes
from fpnkit.runs.settings import learned_by


def twins(request: Request) -> list[Choice]:
    """Running and queued trainings that would learn the same."""
    wanted = learned(plain(request.config))
    arguments = ("-m", request.module, *request.arguments)
    found = []
    for candidate in of_processes(request.base_dir):
        if candidate.path.parent.name == FOLDER:
            same = load(candidate.path).argv[-len(arguments) :] == arguments
        else:
            same = _equal(learned_by(candidate.path), wanted, request.lambdas)
        found += [candidate] if same else []
    waiting = [each for each in queued(request.base_dir) if each.trains and _may_be_same(each, request, wanted)]
    # Sweeps of equal settings have equal ids, which tells it of a thousand jobs without reading a config.
    sweeps = {id for id in {each.sweep for each in waiting} if id is not None and id_fits(id, request.config)}
    for each in waiting:
        if each.sweep in sweeps or (
            each.sweep is None and _equal(_learned_by_command(each.launch), wanted, request.lambdas)
        ):
            found.append(Choice(each.launch.file, each.describe))
    return found


def _may_be_same(each: Queued, request: Request, wanted: Mapping[str, object]) -> bool:
    lambdas = request.lambdas or (wanted.get("loss.lambda"),)
    return each.lmbda in (None, *lambdas) and each.seed in (None, request.config.seed)


def _learned_by_command(launched: Launch) -> Mapping[str, object]:
    """Nothing if its config is gone or changed for the worse."""
    pairs = list(itertools.pairwise(launched.argv))
    sets = [parse_override(value) for flag, value in pairs if flag == "--set"]
    flags = {flag: value for flag, value in pairs if flag in FLAGS}
    try:
        return learned(plain(load_config(dict(pairs)["--config"], [*sets, *flag_overrides(flags)])))
    except (FpnkitError, KeyError):
        return {}


def _equal(found: Mapping[str, object], wanted: Mapping[str, object], lambdas: tuple[float, ...]) -> bool:
    """For a sweep, any of its lambdas counts."""
    if not lambdas:
        return found == wanted
    return found.get("loss.lambda") in lambdas and {**found, "loss.lambda": 0} == {**wanted, "loss.lambda": 0}
