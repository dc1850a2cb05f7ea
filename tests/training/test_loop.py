import copy
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fpnkit.codecs.saved import load_codec
from fpnkit.errors import DivergedError, WeightsError
from fpnkit.runs.metrics import MetricsLine, read_metrics
from fpnkit.runs.writer import RunWriter
from fpnkit.torch_files import load_checkpoint
from fpnkit.training.diagnostics import diagnostics_writer
from fpnkit.training.loop import TrainingEnd, train
from tests.support import ROOT, tiny, warm
from tests.support.trainings_alike import Interrupted, assert_same_state, lines


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, settings = tmp_path_factory.mktemp("whole"), tiny.config()
    run = tiny.run(settings, folder)
    assert train(tiny.learner(settings, folder), run, settings.training).finished
    run.end("finished", 0)
    return run.path


@pytest.mark.parametrize("after", [1, 4, 5, 11])  # 4 steps an epoch: within, at and after an epoch's end
def test_stopped_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path, uninterrupted: Path, after: int) -> None:
    settings = tiny.config()
    run = tiny.run(settings, tmp_path)
    learner = Interrupted(tiny.learner(settings, tmp_path), after)
    assert not train(learner, run, settings.training).finished
    run.end("stopped", 130)
    torch.rand(7)  # the generator of a new process stands elsewhere

    again = RunWriter.resume(run.path, argv=["train"])
    state = load_checkpoint(run.path / "last.pth", "last")
    assert state["progress"]["step"] == after
    assert train(tiny.learner(settings, tmp_path), again, settings.training, resume=state).finished
    again.end("finished", 0)
    assert_same_state(
        load_checkpoint(run.path / "last.pth", "last"), load_checkpoint(uninterrupted / "last.pth", "last")
    )
    assert_same_state(
        load_checkpoint(run.path / "best_model.pth", "fpn_compression"),
        load_checkpoint(uninterrupted / "best_model.pth", "fpn_compression"),
    )
    assert lines(run.path) == lines(uninterrupted)


def test_resuming_from_an_older_save_as_after_a_kill_equals_uninterrupted(tmp_path: Path, uninterrupted: Path) -> None:
    settings = tiny.config()
    run = tiny.run(settings, tmp_path)
    train(Interrupted(tiny.learner(settings, tmp_path), 4), run, settings.training)
    shutil.copy(run.path / "last.pth", tmp_path / "older.pth")
    run.end("stopped", 130)
    later = RunWriter.resume(run.path, argv=["train"])
    train(
        Interrupted(tiny.learner(settings, tmp_path), 4),
        later,
        settings.training,
        resume=load_checkpoint(tmp_path / "older.pth", "last"),
    )
    later.end("stopped", 130)  # metrics.jsonl knows of these steps, the older save does not

    again = RunWriter.resume(run.path, argv=["train"])
    older = load_checkpoint(tmp_path / "older.pth", "last")
    train(tiny.learner(settings, tmp_path), again, settings.training, resume=older)
    again.end("finished", 0)
    assert_same_state(
        load_checkpoint(run.path / "last.pth", "last"), load_checkpoint(uninterrupted / "last.pth", "last")
    )
    assert lines(run.path) == lines(uninterrupted)


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(tmp_path: Path, uninterrupted: Path) -> None:
    for seed in (0, 1):
        settings = tiny.config().model_copy(update={"seed": seed})
        run = tiny.run(settings, tmp_path / str(seed))
        train(tiny.learner(settings, tmp_path / str(seed)), run, settings.training)
        run.end("finished", 0)
        assert (lines(run.path) == lines(uninterrupted)) is (seed == 0)


def test_validation_lines_say_what_best_model_holds_and_it_codes_at_once_in_a_new_process(uninterrupted: Path) -> None:
    code = f"""
import torch
from pathlib import Path
from tests.support import tiny
from fpnkit.codecs.saved import load_codec
torch.set_num_threads(1)
trained = load_codec(Path({str(uninterrupted / "best_model.pth")!r}))
bits = 0
for seed in (100, 101, 102):
    pyramid = tiny.features(seed).pyramid
    streams = trained.codec.encode(pyramid, tiny.features(seed).geometry)
    decoded = trained.codec.decode(streams)
    with torch.no_grad():
        assert all(torch.equal(decoded[name], trained.codec(pyramid).reconstruction[name]) for name in pyramid)
    bits += sum(streams.bits_level().values())
print(trained.epoch, bits / sum(tiny.features(seed).original_pixels for seed in (100, 101, 102)))
"""
    done = warm.run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    epoch, bpp = done.stdout.split()
    best = min((line for line in read_metrics(uninterrupted / "metrics.jsonl") if line.split == "val"), key=_loss)
    assert int(epoch) == best.epoch
    headers_bpp = 8 * 8 * 2 * 3 / (3 * 64 * 72)  # at most 8 bytes a stream
    assert best.bpp_estimated is not None
    assert 0.99 * best.bpp_estimated <= float(bpp) <= 1.01 * best.bpp_estimated + headers_bpp


def _loss(line: MetricsLine) -> float:
    return line.loss


def test_loss_is_lambda_times_distortion_plus_rate_and_levels_add_up(uninterrupted: Path) -> None:
    found = read_metrics(uninterrupted / "metrics.jsonl")
    assert [line.split for line in found].count("val") == 3
    for line in found:
        assert line.distortion is not None
        assert line.bpp_estimated is not None
        assert line.bpp_level is not None
        assert line.snr_db is not None
        assert line.loss == pytest.approx(0.01 * line.distortion + line.bpp_estimated)
        assert sum(line.bpp_level.values()) == pytest.approx(line.bpp_estimated)
        mse = [10 ** (-snr / 10) for snr in line.snr_db.values()]
        assert line.distortion == pytest.approx(65025 * sum(mse) / len(mse), rel=1e-4)


def test_a_diverging_loss_stops_and_the_last_good_checkpoint_stays(tmp_path: Path) -> None:
    settings = tiny.config(lr=1e4)
    run = tiny.run(settings, tmp_path)
    first = tiny.config(lr=1e-3, epochs=1)
    train(tiny.learner(first, tmp_path), run, first.training)
    before = (run.path / "last.pth").read_bytes(), (run.path / "best_model.pth").read_bytes()
    with pytest.raises(DivergedError) as error:
        train(tiny.learner(settings, tmp_path), run, settings.training)
    run.end("diverged", 1)
    assert str(error.value).startswith("diverged at step ")
    assert " (epoch 1): " in str(error.value)
    assert str(error.value).endswith("; try a smaller training.lr than 1.00e+04")
    assert "level p" in str(error.value)
    assert before == ((run.path / "last.pth").read_bytes(), (run.path / "best_model.pth").read_bytes())
    assert load_codec(run.path / "best_model.pth").epoch == 1


def test_a_nan_is_reported_with_its_level_before_it_touches_a_weight(tmp_path: Path) -> None:
    settings = tiny.config()
    learner, run = tiny.learner(settings, tmp_path), tiny.run(settings, tmp_path)
    with torch.no_grad():
        learner._codec.levels["p3"].analysis[0].bias[0] = math.nan  # type: ignore[index,union-attr]
    before = copy.deepcopy(learner.state_dict()["codec"])
    with pytest.raises(DivergedError) as error:
        train(learner, run, settings.training)
    run.end("diverged", 1)
    assert str(error.value) == (
        "diverged at step 1 (epoch 1): level p3: the rate is nan; try a smaller training.lr than 1.00e-03"
    )
    after = learner.state_dict()["codec"]
    assert all(torch.equal(before[key].nan_to_num(), after[key].nan_to_num()) for key in before)


def test_a_stop_file_stops_the_run(tmp_path: Path) -> None:
    settings = tiny.config()
    learner, run = tiny.learner(settings, tmp_path), tiny.run(settings, tmp_path)
    (run.path / "STOP").touch()
    assert train(learner, run, settings.training) == TrainingEnd(False, "STOP file")
    run.end("STOP file", 130)
    assert load_checkpoint(run.path / "last.pth", "last")["progress"]["step"] == 1


def test_only_the_newest_best_models_stay(tmp_path: Path) -> None:
    settings = tiny.config(epochs=6, keep_best=2)
    run = tiny.run(settings, tmp_path)
    train(tiny.learner(settings, tmp_path), run, settings.training)
    run.end("finished", 0)
    validation = [line for line in read_metrics(run.path / "metrics.jsonl") if line.split == "val"]
    improved = [line.epoch for i, line in enumerate(validation) if all(line.loss < e.loss for e in validation[:i])]
    kept = sorted(int(path.name.split("_")[3]) for path in run.path.glob("best_model_epoch_*.pth"))
    assert len(improved) > 2
    assert kept == improved[-2:]
    assert run.record.best is not None
    assert (run.path / run.record.best.file).read_bytes() == (run.path / "best_model.pth").read_bytes()


def test_training_ends_early_when_validation_stops_improving(tmp_path: Path) -> None:
    settings = tiny.config(epochs=50, patience=2, lr=1e-12, schedule="constant", aux_lr=1e-12)
    run = tiny.run(settings, tmp_path)
    assert train(tiny.learner(settings, tmp_path), run, settings.training) == TrainingEnd(True, "early stop")
    run.end("early stop", 0)
    assert run.record.epoch < 50
    assert run.record.best is not None
    assert run.record.epoch == run.record.best.epoch + 2


def test_features_of_another_detector_are_refused_on_resume(tmp_path: Path) -> None:
    settings = tiny.config()
    run = tiny.run(settings, tmp_path)
    train(Interrupted(tiny.learner(settings, tmp_path), 2), run, settings.training)
    run.end("stopped", 130)
    with pytest.raises(WeightsError) as error:
        tiny.learner(settings, tmp_path, fingerprint="0" * 64).load_state_dict(
            load_checkpoint(run.path / "last.pth", "last")["learner"]
        )
    assert str(error.value) == (
        "detector: required the one that the run began with, fingerprint ffffffff; "
        "found 00000000: its weights or its preprocessing changed"
    )


def test_diagnostics_of_an_epoch_name_every_level_with_rate_and_snr(tmp_path: Path) -> None:
    settings = tiny.config(epochs=2)
    run = tiny.run(settings, tmp_path)
    train(tiny.learner(settings, tmp_path), run, settings.training, after_epoch=[diagnostics_writer(2)])
    run.end("finished", 0)
    assert not (run.path / "training_diagnostics_epoch_1.txt").exists()
    text = (run.path / "training_diagnostics_epoch_2.txt").read_text()
    line = read_metrics(run.path / "metrics.jsonl")[-1]
    assert line.snr_db is not None
    assert line.bpp_level is not None
    for name in ("p2", "p3"):
        row = next(row for row in text.splitlines() if row.split()[:1] == [name])
        assert float(row.split()[1]) == pytest.approx(line.bpp_level[name], abs=1e-6)
        assert float(row.split()[4]) == pytest.approx(line.snr_db[name], abs=0.01)
    assert "of 3 channels dead" in text
    assert "gradient norm, mean" in text
    assert "auxiliary loss" in text


def test_bfloat16_training_learns_and_keeps_weights_and_likelihoods_in_float32(tmp_path: Path) -> None:
    settings = tiny.config(amp=True, epochs=8)
    run, learner = tiny.run(settings, tmp_path), tiny.learner(settings, tmp_path)
    assert train(learner, run, settings.training).finished
    run.end("finished", 0)
    validation = [line.loss for line in read_metrics(run.path / "metrics.jsonl") if line.split == "val"]
    assert validation[-1] < validation[0]
    assert all(value.dtype != torch.bfloat16 for value in learner.state_dict()["codec"].values())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = learner._codec(tiny.features(0).pyramid)
    assert all(bits.dtype == torch.float32 for bits in output.bits.values())


def test_reading_ahead_takes_one_core_and_leaves_the_training_all_of_its_own() -> None:
    code = (
        "import torch\n"
        "from fpnkit.training.batches import Prefetcher\n"
        "ahead = Prefetcher(lambda epoch, index: torch.get_num_threads(), 5)\n"
        "ahead.get(0, 0)\n"
        "print(ahead.get(0, 1), torch.get_num_threads())\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "1 2\n"


def test_validating_leaves_the_training_state_untouched(tmp_path: Path) -> None:
    learner = tiny.learner(tiny.config(), tmp_path)
    learner.step(1, 0, 1e-3)
    before = copy.deepcopy(learner.state_dict())
    exported = learner.validate().content()["state_dict"]
    assert_same_state(learner.state_dict(), before)
    quantiles = "levels.p2.bottleneck.quantiles"
    assert not torch.equal(exported[quantiles], before["codec"][quantiles])  # so the copy did get its tables


def test_the_loss_of_a_step_is_lambda_times_distortion_plus_bits_over_pixels_of_the_image(tmp_path: Path) -> None:
    settings = tiny.config()
    tally = tiny.learner(settings, tmp_path).step(1, 0, 1e-3)
    assert tally.pixels == 2 * 48 * 48  # two crops, of images that were not resized
    assert tally.loss == pytest.approx(0.01 * tally.distortion + sum(tally.bits.values()) / tally.pixels, rel=1e-5)
