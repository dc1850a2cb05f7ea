"""Panels that start trainings, and the end of what they started."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fpnkit.launch.launchers import find
from fpnkit.launch.stop import stop
from fpnkit.runs.metrics import MetricsLine, MetricsWriter
from fpnkit.widgets.training.panel import TrainingPanel
from tests.support.launch_processes import PATIENCE
from tests.support.panel_tools import Clock
from tests.support.run_processes import until

Open = Callable[..., TrainingPanel]


@contextlib.contextmanager
def training_panels(configs: Path, base: Path) -> Iterator[Open]:
    """Makes panels without a poll thread; what they started is killed in the end."""
    panels: list[TrainingPanel] = []

    def make(**options: Any) -> TrainingPanel:
        panels.append(TrainingPanel(configs, base, **({"poll_seconds": 0} | options)))
        panels[-1].finish()
        return panels[-1]

    try:
        yield make
    finally:
        for panel in panels:
            panel.close()
        for launched in find(base):
            if launched.lives():
                stop(launched, "kill")
            until(lambda launched=launched: not launched.lives())  # type: ignore[misc]


def update_until(panel: TrainingPanel, condition: Callable[[], bool]) -> None:
    """As the poll thread does, but faster."""

    def met() -> bool:
        panel.update()
        panel.finish()
        time.sleep(0.02)
        return condition()

    until(met, PATIENCE)


def simulate(panel: TrainingPanel, run: Path, clock: Clock, seconds: int) -> int:
    """A busy training: each second a line of metrics and of log; → how often the figure was drawn."""
    writer, pictures = MetricsWriter(run / "metrics.jsonl"), 0
    log = run / "train_20260101_000000.log"
    for second in range(1, seconds + 1):
        clock.seconds += 1
        levels = {name: float(second) for name in ("p2", "p3", "p4", "p5")}
        writer.append(MetricsLine("t", "train", 1, second, 1 / second, 0.5, 1.0, 1.0, 1e-3, second, levels, levels))
        with open(log, "a") as file:
            file.write(f"2026-01-01 00:00:00,000 DEBUG step {second} (epoch 1): loss 1 · 0.5 bpp estimated\n")
        before = panel.live.picture.value
        panel.update()
        panel.finish()
        pictures += panel.live.picture.value != before
    writer.close()
    return pictures
