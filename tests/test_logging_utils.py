"""The tests of the run directories, by themselves or as part of the suite.

python tests/test_logging_utils.py [options of pytest]
"""

import json
import sys
from pathlib import Path

import pytest

from fpnkit.runs.metrics import MetricsLine, read_metrics
from fpnkit.runs.record import ConfigSummary
from fpnkit.runs.store import list_runs
from fpnkit.runs.writer import RunWriter

RUNS = Path(__file__).parent / "runs"


def test_two_runs_of_one_second_keep_their_own_logs(tmp_path):
    summary = ConfigSummary(lmbda=2.5e-4, lr=5e-5, batch_size=4)
    for loss in (1.0, 2.0, 3.0):
        run = RunWriter.create(tmp_path, kind="detection", config_yaml="", summary=summary, epochs=1, argv=["train"])
        with run:
            run.log_path.write_text(f"loss {loss}\n")
            run.metric(MetricsLine("t", "train", 0, 0, loss))
    rows = list_runs(tmp_path)
    assert [row.status for row in rows] == ["finished"] * 3
    assert len({json.loads((row.path / "run.json").read_text())["id"] for row in rows}) == 3
    losses = {line.loss for row in rows for line in read_metrics(row.path / "metrics.jsonl")}
    assert losses == {1.0, 2.0, 3.0}
    logs = {log.read_text() for row in rows for log in row.path.glob("train_*.log")}
    assert logs == {"loss 1.0\n", "loss 2.0\n", "loss 3.0\n"}


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, str(RUNS), "-m", "not slow", *sys.argv[1:]]))
