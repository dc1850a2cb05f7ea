import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fpnkit.launch.launchers import submit
from fpnkit.launch.local import LocalLaunch
from fpnkit.runs.writer import RunWriter
from tests.support import ROOT, fake_trainer
from tests.support.run_processes import until


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "fpn_compression"


@pytest.fixture
def launch(base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., LocalLaunch]]:
    """Starts fake trainers as `python -m tests.support.fake_trainer`; those still alive are killed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    launched: list[LocalLaunch] = []

    def begin(*arguments: object, module: str = "tests.support.fake_trainer") -> LocalLaunch:
        launched.append(submit(list(map(str, arguments)), base, module))
        return launched[-1]

    yield begin
    for item in launched:
        if item.lives():
            os.kill(item.pid, 9)
        until(lambda item=item: not item.lives())  # type: ignore[misc]


@pytest.fixture
def new(base: Path) -> Iterator[RunWriter]:
    """A run that this process trains."""
    run = RunWriter.create(
        base, kind="fpn_compression", config_yaml="seed: 0\n", summary=fake_trainer.SUMMARY, epochs=5, argv=["train"]
    )
    yield run
    run.end("finished", 0)
