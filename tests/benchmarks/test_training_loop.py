"""What fpnkit's training loop costs beyond the bare work.

Ours: `train` with everything a run does (crops read from the feature cache, metrics, log, heartbeat, diagnostics,
validation of the model with updated tables, best and last checkpoint on disk). Bare: the same codec, loss, optimizers
and clipping in the shortest loop, over the same batches and the same validation pyramids, all in memory; it keeps
nothing. Three epochs each, as large as those of 300 training and 43 validation images: an epoch's files are written
beside the next one's steps, and the last epoch's are waited for. Making the run directory is not timed.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import pytest
import torch
from torch.nn.utils import clip_grad_norm_

from fpnkit.codecs.base import Codec
from fpnkit.codecs.build import build_codec
from fpnkit.codecs.calibration import calibrate
from fpnkit.config.load import plain, to_yaml, validate
from fpnkit.config.schema import CodecConfig, CodecTraining
from fpnkit.data.cache import FeatureCache
from fpnkit.data.windows import Features
from fpnkit.foundation.logs import RunLog
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.record import ConfigSummary
from fpnkit.runs.writer import RunWriter
from fpnkit.training.batches import CropBatches
from fpnkit.training.codec_learner import CodecLearner, objective
from fpnkit.training.diagnostics import diagnostics_writer
from fpnkit.training.loop import train
from fpnkit.training.losses import Batch, Objective, loss_terms
from fpnkit.training.optim import CodecOptimizers
from tests.support.in_turns import in_turns

SPEC = PyramidSpec(tuple(LevelSpec(f"p{exponent}", 64, 2**exponent) for exponent in (2, 3, 4, 5)))
SIDE = 192  # pixels of an image
IMAGES, VALIDATION_IMAGES = 300, 43
EPOCHS = 3
CPU = torch.device("cpu")

Losses = tuple[list[float], list[float]]  # means of the windows of the training, and of each validation


@pytest.mark.benchmark
def test_loop_against_bare_loop(tmp_path: Path) -> None:
    config = settings()
    train_cache = cache(tmp_path / "features", 0, IMAGES)
    val_cache = cache(tmp_path / "features", IMAGES, VALIDATION_IMAGES)
    torch.manual_seed(config.seed)
    codec = build_codec(config.codec, SPEC)
    loaded = map(train_cache.load, range(config.training.calibration_images))
    codec.standardiser.set(calibrate((each.pyramid, each.geometry) for each in loaded))
    crops = CropBatches(
        train_cache,
        SPEC,
        batch_size=config.training.batch_size,
        crop=config.training.crop,
        crops_per_image=config.training.crops_per_image,
        seed=config.seed,
    )
    batches = [[crops.batch(epoch, index) for index in range(crops.per_epoch)] for epoch in range(1, EPOCHS + 1)]
    validation = [
        Batch(features.pyramid, features.original_pixels) for features in map(val_cache.load, range(VALIDATION_IMAGES))
    ]

    def ours() -> Callable[[], Losses]:
        learner = CodecLearner(
            own := copy.deepcopy(codec), config, train_cache, val_cache, objective(config, own), "f" * 64, CPU
        )
        run = new_run(config, tmp_path / "runs")
        torch.manual_seed(config.seed)
        return lambda: fpnkit_loop(learner, run, config)

    def bare() -> Callable[[], Losses]:
        own = copy.deepcopy(codec)
        optimizers, goal = CodecOptimizers.of(own, config.training), objective(config, own)
        torch.manual_seed(config.seed)
        return lambda: bare_loop(own, batches, validation, goal, optimizers, config.training)

    found = in_turns(ours, bare, repetitions=5)
    shape = f"{crops.per_epoch} steps of batch {config.training.batch_size}, {VALIDATION_IMAGES} validation images"
    title = f"training loop: {EPOCHS} epochs of {shape}, {torch.get_num_threads()} threads; goal: ratio at most 1.05"
    print(found.table(title, ("fpnkit's loop, features on disk", "bare loop, features in memory"), EPOCHS, "epoch"))
    for ours_timed, bare_timed in found.pairs:
        assert ours_timed.result[0] == pytest.approx(bare_timed.result[0], rel=1e-3)
        assert ours_timed.result[1] == pytest.approx(bare_timed.result[1], rel=0.05)  # the medians of its tables moved


def fpnkit_loop(learner: CodecLearner, run: RunWriter, config: CodecConfig) -> Losses:
    run_log = RunLog()
    run_log.write_to(run.log_path, run.redact)
    with run:
        train(learner, run, config.training, after_epoch=[diagnostics_writer(1)])
    run_log.close()
    lines = list(read_metrics(run.path / "metrics.jsonl"))
    validation = [line.loss for line in lines if line.split == "val"]
    return [line.loss for line in lines if line.split == "train"], validation


def bare_loop(
    codec: Codec,
    epochs: Sequence[Sequence[Batch]],
    validation: Sequence[Batch],
    goal: Objective,
    optimizers: CodecOptimizers,
    training: CodecTraining,
) -> Losses:
    windows, evaluated = [], []
    parameters = optimizers.network.param_groups[0]["params"]
    for batches in epochs:
        losses = []
        codec.train()
        for batch in batches:
            loss = loss_terms(codec, codec(batch.pyramid), batch, goal).loss
            optimizers.network.zero_grad()
            loss.backward()
            clip_grad_norm_(parameters, training.clip)
            optimizers.network.step()
            optimizers.quantiles.zero_grad()
            codec.aux_loss().backward()
            optimizers.quantiles.step()
            losses.append(loss.item())
        codec.eval()
        with torch.no_grad():
            evaluated.append(
                fmean(loss_terms(codec, codec(batch.pyramid), batch, goal).loss.item() for batch in validation)
            )
        windows += [losses[start : start + training.log_every] for start in range(0, len(losses), training.log_every)]
    return [fmean(window) for window in windows], evaluated


def settings() -> CodecConfig:
    config = validate(
        {
            "task": "fpn_compression",
            "detector": {"kind": "plugin", "name": "none"},
            "data": {"train": {"kind": "shapes", "images": IMAGES}},
            "loss": {"lambda": 2.5e-4},
            "training": {"epochs": EPOCHS, "batch_size": 4, "crop": 128, "log_every": 25, "device": "cpu"},
        }
    )
    assert isinstance(config, CodecConfig)
    return config


def cache(folder: Path, first: int, count: int) -> FeatureCache:
    """A filled one, of images whose features are noise."""

    def compute(index: int) -> Features:
        generator = torch.Generator().manual_seed(first + index)
        levels = {
            level.name: torch.randn(1, 64, SIDE // level.stride, SIDE // level.stride, generator=generator)
            for level in SPEC.levels
        }
        return Features(Pyramid(levels), ImageGeometry((SIDE, SIDE), (SIDE, SIDE), (SIDE, SIDE)))

    result = FeatureCache(folder, "noise", SPEC, [str(first + index) for index in range(count)], compute, 10**9)
    result.fill()
    return result


def new_run(config: CodecConfig, base_dir: Path) -> RunWriter:
    training = config.training
    return RunWriter.create(
        base_dir,
        kind="fpn_compression",
        config_yaml=to_yaml(plain(config)),
        summary=ConfigSummary(lmbda=config.loss.lmbda, lr=training.lr, batch_size=training.batch_size),
        epochs=training.epochs,
        argv=["benchmark"],
    )
