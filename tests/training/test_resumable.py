"""What may be resumed: the same run, with its secrets, and epochs left."""

from pathlib import Path
from typing import Any

import pytest

from fpnkit.config.load import plain, validate
from fpnkit.config.schema import CodecConfig
from fpnkit.errors import ConfigError, RunError, WeightsError
from fpnkit.training.checkpoint import require_resumable
from fpnkit.training.loop import Progress
from tests.support import tiny

RUN = Path("runs/run_a")


def state(config: CodecConfig, epoch: int = 2) -> dict[str, Any]:
    return {"config": plain(config), "progress": Progress(epoch=epoch).plain()}


def with_option(value: object) -> CodecConfig:
    settings = plain(tiny.config())
    settings["detector"] = {"kind": "plugin", "name": "none", "options": {"key": value, "size": 3}}
    config = validate(settings)
    assert isinstance(config, CodecConfig)
    return config


def test_a_run_with_nothing_hidden_is_resumed_and_may_have_other_epochs() -> None:
    require_resumable(RUN, with_option("plain"), state(with_option("plain")), finished=False)
    require_resumable(RUN, tiny.config(epochs=9, patience=2), state(tiny.config(epochs=3)), finished=True)


@pytest.mark.parametrize("value", ["***", "https://***@host/x", ["a", "***"]])
def test_a_secret_that_was_not_kept_is_asked_for(value: object) -> None:
    with pytest.raises(ConfigError) as error:
        require_resumable(RUN, with_option(value), state(with_option(value)), finished=False)
    assert error.value.problems == [
        f"{RUN}/config_used.yaml: detector.options.key: is a secret, which was not kept; "
        "required a plugin that reads it from elsewhere"
    ]


def test_other_settings_are_another_run() -> None:
    with pytest.raises(ConfigError) as error:
        require_resumable(RUN, tiny.config(lr=2e-3), state(tiny.config()), finished=False)
    assert error.value.problems == [
        f"{RUN}/config_used.yaml: training.lr: required 0.001 as in the run so far, found 0.002"
    ]


def test_a_finished_run_needs_more_epochs_one_that_was_killed_does_not() -> None:
    over = state(tiny.config(), epoch=4)
    with pytest.raises(RunError) as error:
        require_resumable(RUN, tiny.config(), over, finished=True)
    assert str(error.value) == f"run {RUN}: required epochs left to train, found 3 done; --epochs N trains up to N"
    require_resumable(RUN, tiny.config(), over, finished=False)
    require_resumable(RUN, tiny.config(epochs=4), over, finished=True)


@pytest.mark.parametrize("config", [None, [], {"task": "other"}, {"task": 3}])
def test_a_state_of_no_training_is_refused(config: object) -> None:
    with pytest.raises(WeightsError) as error:
        require_resumable(RUN, tiny.config(), {**state(tiny.config()), "config": config}, finished=False)
    assert str(error.value).startswith(f"{RUN}/last.pth: config: required that of a training, found something else (")
    assert "\n" not in str(error.value)
