"""A codec without gradients goes through the same command as any other."""

import json
from pathlib import Path

import pytest

from fpnkit.codecs.saved import load_codec
from fpnkit.config.load import load_config
from fpnkit.errors import ConfigError
from fpnkit.train import main

_CONFIG = """\
task: fpn_compression
detector: {{kind: shapes_fcos}}
data:
  train: {{kind: shapes, images: 6, seed: 3}}
  val: {{kind: shapes, images: 2, seed: 4}}
cache: {{directory: {folder}/features}}
codec: {{kind: linear, components: 16, context_components: 8, rates: 2}}
loss: {{lambda: 1e-2, lowest_lambda: 1e-3}}
training: {{epochs: 1, calibration_images: 6, device: cpu}}
"""


def config(folder: Path) -> Path:
    file = folder / "linear.yaml"
    file.write_text(_CONFIG.format(folder=folder))
    return file


def test_a_run_is_one_validation_of_a_model_that_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(config(tmp_path)), "--base-dir", str(tmp_path / "runs")]) == 0
    run = Path(capsys.readouterr().out.splitlines()[-1])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(line["split"], line["epoch"], line["step"]) for line in lines] == [("val", 1, 0)]
    assert lines[0]["bpp_estimated"] > 0
    record = json.loads((run / "run.json").read_text())
    assert (record["exit_reason"], record["best"]["epoch"], record["config"]["codec"]) == ("finished", 1, "linear")
    report = (run / "training_diagnostics_epoch_1.txt").read_text()
    assert "Validation, on the model that is kept" in report
    assert "gradient norm" not in report
    trained = load_codec(run / "best_model.pth")
    assert trained.codec.qualities == (0.0, 1.0)
    assert main(["--resume", str(run)]) == 2
    assert "required epochs left to train, found 1 done" in capsys.readouterr().err


def test_more_epochs_than_one_are_refused(tmp_path: Path) -> None:
    file = config(tmp_path)
    file.write_text(file.read_text().replace("epochs: 1", "epochs: 2"))
    with pytest.raises(ConfigError) as error:
        load_config(file)
    assert "training.epochs: required 1 for the codec linear, found 2" in str(error.value)
