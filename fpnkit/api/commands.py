"""Training and evaluation from Python: the same commands as in a terminal, in processes of their own.

So a crash, a full memory or Ctrl-C ends the command and not the notebook, and a run is the same whoever started it.
With a detector that is an object they run in this process, for the object cannot leave it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fpnkit.api.rate_distortion import points
from fpnkit.api.runs import Run, table
from fpnkit.config.load import to_yaml
from fpnkit.errors import FpnkitError, UserError
from fpnkit.foundation.process_record import ProcessRecord, read_process_record, record_environment
from fpnkit.launch.local import command

if TYPE_CHECKING:
    import pandas as pd

ConfigLike = str | Path | Mapping[str, object]
Setting = str | int | float | bool

_EPOCHS = "training__epochs"


def train(
    config: ConfigLike | Run,
    *,
    detector: Any = None,
    base_dir: str | Path | None = None,
    **settings: Setting,
) -> Run:
    """Train what a config file, or a dictionary, says; `settings` are keys with `__` for a dot. A run is gone on with.

    `train("a.yaml", training__epochs=3, loss__lambda=0.01)`. Prints the log. Raises `UserError` where the command
    refuses its input, and `FpnkitError` where it fails or is interrupted; what was trained is then kept.

    `detector`: any object with the methods of a plugin, in place of the config's `detector`, which may be left out.
    Training then runs in this process; in another thread than the main one only the run's file STOP interrupts it.
    With `task: detection` the object itself is trained, and holds the last weights, not the best.
    """
    if isinstance(config, Run):
        return _resume(config, detector, base_dir, settings)
    with _file(config) as file:
        arguments = ["--config", file, *_set(settings), *_base_dir(base_dir)]
        record = _run("fpnkit.train", [*arguments, *_given(detector, config)], detector)
    return _trained(record, detector)


def _resume(run: Run, detector: Any, base_dir: str | Path | None, settings: Mapping[str, Setting]) -> Run:
    detector = run.given if detector is None else detector
    if detector is not None:
        from fpnkit.api.given import require_that_of

        require_that_of(run, detector)
    others = {key: value for key, value in settings.items() if key != _EPOCHS}
    epochs = ["--epochs", str(settings[_EPOCHS])] if _EPOCHS in settings else []
    arguments = ["--resume", str(run.path), *epochs, *_set(others), *_base_dir(base_dir)]
    return _trained(_run("fpnkit.train", arguments, detector), detector)


def _trained(record: ProcessRecord, detector: Any) -> Run:
    if record.run is None:
        raise FpnkitError("train: the command made no run")
    return Run(Path(record.run), detector)


def sweep(
    config: ConfigLike,
    lambdas: Sequence[float],
    *,
    seeds: Sequence[int] = (),
    jobs: int | Literal["auto"] = 1,
    devices: Sequence[int | str] = (),
    on: Literal["here", "slurm"] = "here",
    evaluate: bool = False,
    anchors: Sequence[str] = (),
    detector: Any = None,
    base_dir: str | Path | None = None,
    **settings: Setting,
) -> pd.DataFrame:
    """One run per lambda and seed; called again it skips what is finished and goes on with the rest.

    `jobs` trainings at a time, each with its share of the cores, or one on each of the CUDA `devices`. On Slurm, with
    options such as `slurm__time="04:00:00"`, it is submitted and not waited for. Returns the sweep's runs as
    `fpnkit.runs` does. `detector` and errors are as for `train`.
    """
    with _file(config) as file:
        arguments = ["--config", file, *_set(settings), *_base_dir(base_dir), "--lambdas", *map(repr, lambdas)]
        arguments += ["--seeds", *map(str, seeds)] if seeds else []
        arguments += ["--jobs", str(jobs)] if jobs != 1 else []
        arguments += ["--devices", ",".join(map(str, devices))] if devices else []
        arguments += ["--on", on] if on != "here" else []
        arguments += ["--evaluate"] if evaluate else []
        arguments += ["--anchors", *anchors] if anchors else []
        record = _run("fpnkit.sweep", [*arguments, *_given(detector, config)], detector)
    return table(f"sweep == {record.sweep!r}", base_dir)


def evaluate(
    run: Run | str | Path,
    *,
    qualities: Sequence[float] = (),
    search: int | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    workers: int | None = None,
    detector: Any = None,
    base_dir: str | Path | None = None,
    **settings: Setting,
) -> pd.DataFrame:
    """Measure the run's best model on its test images; what was measured before is not measured again.

    `workers` processes measure side by side (default: one per core, fewer for few images); their number changes no
    result. Returns the run's points as `fpnkit.points` does. `detector` and errors are as for `train`; a run that
    `train` returned remembers its detector.
    """
    name = str(run.path if isinstance(run, Run) else run)
    arguments = [name, *_set(settings), *_base_dir(base_dir)]
    arguments += ["--qualities", *map(repr, qualities)] if qualities else []
    arguments += ["--search", str(search)] if search is not None else []
    arguments += ["--device", device] if device != "auto" else []
    arguments += ["--workers", str(workers)] if workers is not None else []
    detector = run.given if detector is None and isinstance(run, Run) else detector
    _run("fpnkit.evaluate", [*arguments, *_given(detector)], detector)
    return points([run], anchors=(), base_dir=base_dir)


def _given(detector: Any, config: ConfigLike | None = None) -> list[str]:
    if detector is None:
        return []
    from fpnkit.api.given import in_config  # brings torch, which other commands need in their own process only

    return in_config(detector, config)


def _set(settings: Mapping[str, Setting]) -> list[str]:
    return [part for key, value in settings.items() for part in ("--set", f"{key.replace('__', '.')}={_text(value)}")]


def _text(value: Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _base_dir(folder: str | Path | None) -> list[str]:
    return [] if folder is None else ["--base-dir", str(folder)]


@contextmanager
def _file(config: ConfigLike) -> Iterator[str]:
    """A config as a file, for as long as the command runs."""
    if not isinstance(config, Mapping):
        yield str(config)
        return
    with tempfile.TemporaryDirectory(prefix="fpnkit-") as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(to_yaml(config))
        yield str(path)


def _run(module: str, arguments: Sequence[str], detector: Any = None) -> ProcessRecord:
    """What the command recorded of itself; its output is shown as it comes, interrupts reach it."""
    if detector is None:
        code, record, last = _run_apart(module, arguments)
        cause = None
    else:
        from fpnkit.api.given import run_with

        ended = run_with(detector, module, arguments)
        code, record, last, cause = ended.code, ended.guest.record, "", ended.error
    if code == 0:
        return record
    reason = record.reason or last or f"{module}: ended with exit code {code}"
    raise (UserError if code == UserError.exit_code else FpnkitError)(reason) from cause


def _run_apart(module: str, arguments: Sequence[str]) -> tuple[int, ProcessRecord, str]:
    """Exit code, facts and last line of a process."""
    with tempfile.TemporaryDirectory(prefix="fpnkit-") as folder:
        path = Path(folder) / "record.json"
        with subprocess.Popen(
            command(arguments, module),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env=record_environment(path),
        ) as process:
            last = _shown(process)
        return process.returncode, read_process_record(path), last


def _shown(process: subprocess.Popen[str]) -> str:
    """Print what it says until it has ended; its last line."""
    last = ""
    while True:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                last = line.strip() or last
                sys.stdout.write(line)
                sys.stdout.flush()
            process.wait()
            return last
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # it ends as on Ctrl-C in a terminal, with its state saved
