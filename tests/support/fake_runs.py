"""Realistic runs without training.

python tests/benchmarks/fake_runs.py BASE_DIR COUNT
"""

import json
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fpnkit.foundation import clock
from fpnkit.foundation.files import to_json
from fpnkit.runs import layout
from fpnkit.runs.metrics import MetricsLine
from fpnkit.runs.record import Best, ConfigSummary, RunRecord, record_to_dict
from fpnkit.runs.results import Ceiling, Summary, write_summary

LEVELS = ("p2", "p3", "p4", "p5", "p6")
LAMBDAS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3)
START = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = """task: fpn_compression
detector: {kind: shapes_fcos}
data: {train: {kind: shapes, images: 500}}
loss: {lambda: LAMBDA}
training: {epochs: EPOCHS}
"""


def write_runs(base_dir: Path, count: int, *, lines: int = 2, seed: int = 0) -> list[Path]:
    """Runs of all ends, a third evaluated, some with a note or tags; `lines` of metrics for each."""
    random_ = random.Random(seed)
    return [
        _write_run(base_dir, START + timedelta(minutes=7 * number), number, lines, random_) for number in range(count)
    ]


def _write_run(base_dir: Path, created: datetime, number: int, lines: int, random_: random.Random) -> Path:
    lmbda, epochs = LAMBDAS[number % len(LAMBDAS)], max(1, lines // 2)
    path = base_dir / layout.run_name(created, lmbda, 5e-5, 4)
    path.mkdir(parents=True)
    metrics = [_line(created, line, epochs, random_) for line in range(lines)]
    code, reason = random_.choices(
        [(0, "finished"), (130, "stopped"), (1, "diverged"), (None, None)], [80, 8, 8, 4], k=1
    )[0]
    ended = created + timedelta(hours=random_.uniform(1, 30))
    record = RunRecord(
        id=f"{number:032x}",
        name=path.name,
        kind="fpn_compression",
        created=clock.to_text(created),
        pid=1000 + number % 30000,
        pid_created=clock.to_text(created),
        host="cluster",
        heartbeat=clock.to_text(ended),
        started=clock.to_text(created),
        ended=clock.to_text(ended) if code is not None else None,
        exit_reason=reason,
        exit_code=code,
        epoch=epochs,
        epochs=epochs,
        step=lines,
        config=ConfigSummary(lmbda, 5e-5, 4, "factorized", "shapes_fcos", "shapes", number % 3),
        best=Best(epochs, metrics[-1].loss, layout.BEST_MODEL, metrics[-1].to_dict()),
        last=metrics[-1].to_dict(),
        size_bytes=random_.randrange(10**6, 10**9),
    )
    _write(path / layout.RUN_JSON, record_to_dict(record))
    (path / layout.CONFIG_USED).write_text(CONFIG.replace("LAMBDA", str(lmbda)).replace("EPOCHS", str(epochs)))
    text = "".join(json.dumps(to_json(line.to_dict())) + "\n" for line in metrics)
    (path / layout.METRICS).write_text(text)
    (path / layout.log_name(created)).write_text("epoch 1\n" * epochs)
    if number % 3 == 0:
        folder = path / layout.EVALUATION / "shapes" / "0123abcd"
        folder.mkdir(parents=True)
        write_summary(folder, _summary(lmbda, random_))
    if number % 10 == 0:
        (path / layout.NOTE).write_text(f"note {number}\n")
    if number % 10 == 1:
        _write(path / layout.TAGS, ["paper"])
    return path


def _summary(lmbda: float, random_: random.Random) -> Summary:
    return Summary(
        codec="factorized",
        dataset="shapes",
        data_id="d" * 16,
        detector="shapes_fcos",
        detector_id="e" * 16,
        images=24,
        pixels=24 * 65536,
        bpp=random_.uniform(0.05, 2),
        kb_per_image=random_.uniform(0.1, 2),
        snr_db={level: random_.uniform(0, 20) for level in LEVELS},
        self_map=random_.uniform(0.2, 0.5),
        encode_seconds=0.1,
        decode_seconds=0.1,
        peak_memory_mb=500.0,
        ceiling=Ceiling(0.5, 0.75),
        map=random_.uniform(0.2, 0.5),
        lmbda=lmbda,
    )


def _line(created: datetime, number: int, epochs: int, random_: random.Random) -> MetricsLine:
    loss = 10 / (number + 1) + random_.random()
    levels = {level: random_.uniform(0.01, 0.5) for level in LEVELS}
    return MetricsLine(
        time=clock.to_text(created + timedelta(minutes=number)),
        split="val" if number % 2 else "train",
        epoch=min(number // 2 + 1, epochs),
        step=number + 1,
        loss=loss,
        bpp_estimated=sum(levels.values()),
        distortion=loss * 100,
        aux_loss=random_.random(),
        lr=5e-5,
        seconds=60.0 * number,
        snr_db={level: random_.uniform(0, 20) for level in LEVELS},
        bpp_level=levels,
    )


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(to_json(value), indent=1))


if __name__ == "__main__":
    write_runs(Path(sys.argv[1]), int(sys.argv[2]))
