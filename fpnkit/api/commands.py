"""Training and evaluation from Python: the same commands as in a terminal, in processes of their own.

So a crash, a full memory or Ctrl-C ends the command and not the notebook, and a run is the same whoever started it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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


def train(config: ConfigLike, *, base_dir: str | Path | None = None, **settings: Setting) -> Run:
    """Train what a config file, or a dictionary, says; `settings` are keys with `__` for a dot.

    `train("a.yaml", training__epochs=3, loss__lambda=0.01)`. Prints the log. Raises `UserError` where the command
    refuses its input, and `FpnkitError` where it fails.
    """
    with _file(config) as file:
        arguments = ["--config", file, *_set(settings), *_base_dir(base_dir)]
        record = _run("fpnkit.train", arguments)
    if record.run is None:
        raise FpnkitError("train: the command made no run")
    return Run(Path(record.run))


def sweep(
    config: ConfigLike,
    lambdas: Sequence[float],
    *,
    seeds: Sequence[int] = (),
    evaluate: bool = False,
    anchors: Sequence[str] = (),
    base_dir: str | Path | None = None,
    **settings: Setting,
) -> pd.DataFrame:
    """One run per lambda and seed; called again it skips what is finished and goes on with the rest.

    Returns the sweep's runs as `fpnkit.runs` does. Raises as `train` does.
    """
    with _file(config) as file:
        arguments = ["--config", file, *_set(settings), *_base_dir(base_dir), "--lambdas", *map(repr, lambdas)]
        arguments += ["--seeds", *map(str, seeds)] if seeds else []
        arguments += ["--evaluate"] if evaluate else []
        arguments += ["--anchors", *anchors] if anchors else []
        record = _run("fpnkit.sweep", arguments)
    return table(f"sweep == {record.sweep!r}", base_dir)


def evaluate(
    run: Run | str | Path,
    *,
    qualities: Sequence[float] = (),
    search: int | None = None,
    base_dir: str | Path | None = None,
    **settings: Setting,
) -> pd.DataFrame:
    """Measure the run's best model on its test images; what was measured before is not measured again.

    Returns the run's points as `fpnkit.points` does. Raises as `train` does.
    """
    name = str(run.path if isinstance(run, Run) else run)
    arguments = [name, *_set(settings), *_base_dir(base_dir)]
    arguments += ["--qualities", *map(repr, qualities)] if qualities else []
    arguments += ["--search", str(search)] if search is not None else []
    _run("fpnkit.evaluate", arguments)
    return points([run], anchors=(), base_dir=base_dir)


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


def _run(module: str, arguments: Sequence[str]) -> ProcessRecord:
    """What the command recorded of itself; its output is shown as it comes, interrupts reach it."""
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
        record = read_process_record(path)
    if process.returncode == UserError.exit_code:
        raise UserError(record.reason or last)
    if process.returncode:
        raise FpnkitError(record.reason or last or f"{module}: ended with exit code {process.returncode}")
    return record


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
