"""Figures that training makes on its way."""

import logging
from pathlib import Path

import pytest

from fpnkit.analysis.training import TrainingFigures
from tests.support import tiny
from tests.support.analyze_files import assert_complete
from tests.support.train_process import lines, only_run, train, write_config


def test_epochs_and_the_end_have_figures_of_their_own(trained: Path) -> None:
    names = sorted(path.name for path in (trained / "fpn_analysis").iterdir())
    assert names == ["lambda_2.50e-04", "lambda_2.50e-04_epoch_2"]
    for name in names:
        assert_complete(trained / "fpn_analysis" / name / "index.html", small=True)


def test_training_goes_on_exactly_as_without_figures(trained: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, trained.parents[1] / "features")
    done = train("--config", config, "--base-dir", tmp_path / "runs", "--epochs", 3)
    assert done.returncode == 0, done.stderr
    without = only_run(tmp_path / "runs")
    assert lines(without) == lines(trained)
    assert not (without / "fpn_analysis").exists()


def test_figures_that_cannot_be_made_are_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = tiny.config()
    analysis = settings.analysis.model_copy(update={"figures_every": 1})
    figures = TrainingFigures(settings.model_copy(update={"analysis": analysis}))
    with caplog.at_level(logging.WARNING):
        figures.finish(tmp_path)
    assert [record.message for record in caplog.records] == [
        "no figures: detector `none`: required an installed entry point of the group fpnkit.detectors, found none; an "
        "object made in a notebook has to be given again as detector=…, or its class put into a file that "
        "detector.class names, such as file.py:none"
    ]
    assert list(tmp_path.iterdir()) == []
