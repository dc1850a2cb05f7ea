"""States that no training had are refused; the message says what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fpnkit.errors import WeightsError
from fpnkit.training.codec_learner import CodecLearner
from fpnkit.training.loop import Progress
from fpnkit.training.optim import Schedule
from fpnkit.training.saved_state import restore_learner
from tests.support import tiny
from tests.support.trainings_alike import assert_same_state

FILE = Path("run/last.pth")


@pytest.fixture
def learner(tmp_path: Path) -> CodecLearner:
    made = tiny.learner(tiny.config(), tmp_path)
    made.step(1, 0, 1e-3)
    return made


def state_of(learner: CodecLearner) -> dict[str, Any]:
    return {
        "learner": {**learner.state_dict(), "codec": dict(learner.state_dict()["codec"])},
        "schedule": Schedule("cosine", 1e-3, 10).state_dict(),
        "progress": Progress(step=1, index=1).plain(),
        "rng": {"cpu": torch.get_rng_state()},
    }


def put(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Set what lies there, or take it away if the value is `...`."""

    def change(state: dict[str, Any]) -> None:
        *folders, name = path.split("/")
        place: Any = state
        for folder in folders:
            place = place[int(folder) if folder.isdigit() else folder]
        if value is ...:
            del place[name]
        else:
            place[name] = value

    return change


NETWORK = "learner/optimizers/network"
FIRST = "learner/codec/standardiser.mean"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("progress", ...), "progress: required some of epoch, index, step, first_loss, best_loss, best_epoch, "),
        (put("progress/index", -1), "progress.index: required a whole number from 0 on"),
        (put("progress/step", ...), "progress: required epoch, index, step, sums"),
        (put("progress/epoch", 0), "progress.epoch: required 1 or more"),
        (put("progress/window/bits", {"p2": "many"}), "progress.window.bits: required numbers by level"),
        (put("schedule/factor", None), "schedule.factor: required a number"),
        (put("rng", {}), "rng: required the state of a generator"),
        (put("rng/cpu", torch.zeros(3, dtype=torch.uint8)), "rng.cpu: required uint8 [5056]"),
        (put("learner", []), "learner: required codec, optimizers, detector_fingerprint"),
        (put("learner/detector_fingerprint", 3), "learner.detector_fingerprint: required a text"),
        (put("learner/codec", {}), "learner: required the weights of its config, found others: Missing key(s) in "),
        (put(FIRST, torch.full((2,), torch.nan)), "learner.codec.standardiser.mean: required finite numbers"),
        (put(FIRST, torch.zeros(1).expand(2)), "learner.codec.standardiser.mean: required numbers of a plain tensor"),
        (put(FIRST, torch.zeros(2).to_sparse()), "learner.codec.standardiser.mean: required numbers of a plain tensor"),
        (put(NETWORK, None), "optimizers.network: required that of an optimizer"),
        (put(f"{NETWORK}/param_groups", []), "optimizers.network.param_groups: required 1 groups"),
        (put(f"{NETWORK}/param_groups/0/eps", 1e30), "optimizers.network.param_groups.0.eps: required 1e-08"),
        (put(f"{NETWORK}/param_groups/0/lr", "x"), "optimizers.network.param_groups.0.lr: required a number"),
        (put(f"{NETWORK}/param_groups/0/params", [0]), "optimizers.network.param_groups.0.params: required all "),
        (put(f"{NETWORK}/state", {0: {}}), "optimizers.network.state.0: required step, exp_avg, exp_avg_sq"),
    ],
)
def test_what_no_training_saved_is_refused(
    change: Callable[[dict[str, Any]], None], told: str, learner: CodecLearner
) -> None:
    state = state_of(learner)
    change(state)
    with pytest.raises(WeightsError) as error:
        restore_learner(FILE, state, learner)
    assert str(error.value).startswith(f"{FILE}: {told}")
    assert "\n" not in str(error.value)
    learner.close()


def test_moments_are_of_the_size_of_their_parameter(learner: CodecLearner) -> None:
    state = state_of(learner)
    moments = state["learner"]["optimizers"]["network"]["state"][0]
    for name, value, told in (
        ("exp_avg", torch.zeros(1), "float32 ["),
        ("exp_avg_sq", -torch.ones_like(moments["exp_avg_sq"]), "squares"),
        ("step", torch.tensor(-1.0), "a number of steps"),
    ):
        changed = {**moments, name: value}
        state["learner"]["optimizers"]["network"]["state"][0] = changed
        with pytest.raises(WeightsError) as error:
            restore_learner(FILE, state, learner)
        assert str(error.value).startswith(f"{FILE}: optimizers.network.state.0.{name}: required {told}")
    learner.close()


def test_what_was_not_changed_is_restored(learner: CodecLearner, tmp_path: Path) -> None:
    other = tiny.learner(tiny.config(), tmp_path)
    restore_learner(FILE, state_of(learner), other)
    assert_same_state(other.state_dict(), learner.state_dict())
    other.close()
    learner.close()
