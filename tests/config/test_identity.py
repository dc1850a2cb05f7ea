import copy
import subprocess
import sys

import pytest

from fpnkit.config.identity import learned, loss_settings, settings_hash, shared
from fpnkit.config.load import plain, validate

CODEC = {
    "task": "fpn_compression",
    "detector": {"kind": "shapes_fcos"},
    "data": {"train": {"kind": "shapes", "images": 9}, "val": {"kind": "shapes", "images": 3}},
    "loss": {"lambda": 0.01},
    "training": {"epochs": 3},
}
DETECTOR = {**{key: CODEC[key] for key in ("detector", "data")}, "task": "detection", "training": {"epochs": 3}}


def whole(config=CODEC, /, **changes):
    """With every default; `changes` are `section__key=value`."""
    data = copy.deepcopy(config)
    for key, value in changes.items():
        *sections, last = key.split("__")
        target = data
        for section in sections:
            target = target.setdefault(section, {})
        target[last] = value
    return plain(validate(data))


@pytest.mark.parametrize(
    "change",
    [
        {"analysis": {"figures_every": 1}},
        {"cache": {"budget_gb": 1.0}},
        {"data__test": {"kind": "shapes", "images": 3}},
        {"training__device": "cpu"},
        {"training__keep_best": 0},
    ],
)
def test_what_is_written_and_where_is_not_learned(change):
    assert whole(**change) != whole()
    assert learned(whole(**change)) == learned(whole())


@pytest.mark.parametrize("change", [{"seed": 1}, {"loss__lambda": 0.02}])
def test_the_runs_of_a_sweep_and_a_curve_share_all_but_lambda_and_seed(change):
    assert learned(whole(**change)) != learned(whole())
    assert shared(whole(**change)) == shared(whole())
    assert shared(whole(training__lr=1e-3)) != shared(whole())


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"loss__lambda": 0.02}, False),
        ({"loss__distortion_scale": 1.0}, False),
        ({"loss__weights": {"p2": 1.0}}, False),
        ({"data__val": {"kind": "shapes", "images": 4}}, False),
        ({"data__train": {"kind": "shapes", "images": 8}}, False),
        ({"detector": {"kind": "plugin", "name": "mine"}}, False),
        ({"training__calibration_images": 8}, False),
        ({"training__lr": 1e-3}, True),
        ({"training__epochs": 30}, True),
        ({"codec": {"kind": "factorized", "channels": 8}}, True),
        ({"data__test": {"kind": "shapes", "images": 3}}, True),
        ({"seed": 1}, True),
        ({"cache": {"budget_gb": 1.0}}, True),
    ],
)
def test_losses_are_comparable_where_everything_that_defines_the_loss_is_equal(change, same):
    assert (loss_settings(whole(**change)) == loss_settings(whole())) == same


def test_the_seed_counts_where_it_draws_the_validation_images():
    holdout = {"data__val": {"kind": "holdout"}}
    assert loss_settings(whole(**holdout, seed=1)) != loss_settings(whole(**holdout))


def test_detectors_are_compared_on_the_same_data_whatever_they_are():
    other = {"detector": {"kind": "shapes_fcos", "weights": None}}
    assert loss_settings(whole(DETECTOR, data__train__images=8)) != loss_settings(whole(DETECTOR))
    assert loss_settings(whole(DETECTOR, **other)) == loss_settings(whole(DETECTOR))
    assert loss_settings(whole(**other)) != loss_settings(whole())


def test_a_hash_is_the_same_in_every_process_and_order():
    settings = {"b": {"x": 1e-4, "y": None}, "a": [1, "ü"]}
    code = f"from fpnkit.config.identity import settings_hash; print(settings_hash({settings}))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert settings_hash(settings) == other == settings_hash({"a": [1, "ü"], "b.y": None, "b.x": 1e-4})
    assert len(other) == 16
    assert settings_hash({"b": {"x": 1e-5, "y": None}, "a": [1, "ü"]}) != other
