import pytest

from fpnkit.runs.ranking import is_best, to_prune
from fpnkit.runs.record import Best
from fpnkit.runs.store import list_runs
from tests.support.run_dirs import CONFIG, trained, write_run


def with_loss(base, name, loss, write=trained, **facts):
    return write(base, name, best=Best(1, loss, "best_model.pth"), **facts)


def recorded(base, name, loss, settings="a" * 16, detector="b" * 64, **facts):
    return with_loss(base, name, loss, write_run, settings_hash=settings, detector_fingerprint=detector, **facts)


def pruned(base, keep=1):
    return sorted(run.name for run in to_prune(list_runs(base), keep))


def best(base):
    runs = list_runs(base)
    return sorted(run.name for run in runs if is_best(run, runs))


@pytest.mark.parametrize("other", [{"settings": "c" * 16}, {"detector": "c" * 64}])
def test_losses_are_ranked_among_equal_settings_and_detectors_only(base, other):
    recorded(base, "run_a", 1.0)
    recorded(base, "run_b", 2.0)
    recorded(base, "run_c", 9.0, **other)
    recorded(base, "run_d", 10.0, **other)
    assert pruned(base) == ["run_b", "run_d"]
    assert best(base) == ["run_a", "run_c"]


@pytest.mark.parametrize("key", ["distortion_scale", "weights"])
def test_runs_from_before_the_hash_are_told_apart_by_their_settings(base, key):
    other = {**CONFIG, "loss": {"lambda": 0.01, key: 2.0 if key == "distortion_scale" else {"p2": 1.0}}}
    with_loss(base, "run_a", 1.0)
    with_loss(base, "run_b", 2.0, config={**CONFIG, "training": {"epochs": 9, "lr": 1e-3}})
    with_loss(base, "run_c", 9.0, config=other)
    assert pruned(base) == ["run_b"]
    assert best(base) == ["run_a", "run_c"]


def test_a_recorded_hash_is_that_of_the_settings_in_the_file(base):
    """So that a run of this version and an older one are compared by the same rule."""
    from fpnkit.config.identity import loss_settings, settings_hash
    from fpnkit.runs.settings import whole_settings

    first, second = with_loss(base, "run_a", 1.0), with_loss(base, "run_b", 2.0, config={**CONFIG, "seed": 0})
    assert settings_hash(loss_settings(whole_settings(first))) == settings_hash(loss_settings(whole_settings(second)))


def test_what_cannot_be_compared_is_neither_best_nor_pruned(base):
    plugin = {**CONFIG, "detector": {"kind": "plugin", "name": "lab"}}
    for number, loss in enumerate((1.0, 2.0)):
        with_loss(base, f"run_plugin_{number}", loss, config=plugin)  # who knows whether its code is the same
        with_loss(base, f"run_lost_{number}", loss, write_run)
        (with_loss(base, f"run_broken_{number}", loss) / "config_used.yaml").write_text("loss: {lambda: 1}")
    assert pruned(base) == []
    assert best(base) == []


def test_plugins_with_a_recorded_fingerprint_are_ranked(base):
    plugin = {**CONFIG, "detector": {"kind": "plugin", "name": "lab"}}
    for name, loss in (("run_a", 1.0), ("run_b", 2.0)):
        facts = {"settings_hash": "a" * 16, "detector_fingerprint": "b" * 64}
        with_loss(base, name, loss, config=plugin, **facts)
    assert pruned(base) == ["run_b"]
    assert best(base) == ["run_a"]


def test_detectors_in_training_have_no_fingerprint_and_are_ranked(base):
    for name, loss in (("run_a", 0.5), ("run_b", 0.75)):
        recorded(base, name, loss, detector=None, kind="detection")
    assert pruned(base) == ["run_b"]
