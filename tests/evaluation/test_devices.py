"""Codecs and detectors on another device than the CPU, and what commands say of it."""

import copy
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fpnkit.codecs.base import Codec
from fpnkit.codecs.coder import CoderInput
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import load_codec, on_device
from fpnkit.codecs.sender import SenderSearch
from fpnkit.config.load import plain, to_yaml
from fpnkit.config.schema import ShapesDetector
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.base import Detector
from fpnkit.detectors.build import build_detector
from fpnkit.detectors.nanodet import Nanodet, NanodetAdapter
from fpnkit.errors import UserError
from fpnkit.evaluation.bench import Bench, Transmission
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid
from tests.support import coded_run, fused, linear_codec, warm
from tests.support.coders import config
from tests.support.curve_run import trained_run
from tests.support.detr import detr
from tests.support.elsewhere import elsewhere

Case = tuple[Codec, Pyramid, ImageGeometry, float | None]


def a_linear() -> Case:
    return linear_codec.shared(), linear_codec.pyramid(160, 96), linear_codec.geometry(160, 96), 1.25


def a_fused() -> Case:
    return fused.codec(), fused.pyramid(1), fused.geometry(), 1.25


@pytest.mark.parametrize("made", [a_linear, a_fused])
def test_a_codec_does_on_a_device_what_it_does_on_the_cpu(made: Callable[[], Case]) -> None:
    codec, pyramid, geometry, quality = made()
    here = codec.encode(pyramid, geometry, quality)
    expected = codec.decode(here)
    with elsewhere() as device:
        moved = copy.deepcopy(codec).to(device)
        there = moved.encode(pyramid.to(device), geometry, quality)
        decoded = moved.decode(there)
        assert {level.device for level in decoded.values()} == {device}
        back = decoded.to(torch.device("cpu"))
    assert there == here
    assert there.bits_level_estimated() == here.bits_level_estimated()
    assert all(torch.equal(back[name], level) for name, level in expected.items())


def sent(run: Path, device: torch.device, quality: float | None, search: int | None) -> Transmission:
    trained = load_codec(run / "best_model.pth")
    detector = build_detector(trained.config.detector)
    trained.codec.to(device)
    detector.to(device)
    bench = Bench(detector, ShapesSet(1, 7), "", device=device)
    sample = bench.images[0]
    features = bench.features(sample)
    coder = LearnedCoder(trained, quality, SenderSearch(trained, detector, search) if search else None)
    done = bench.send(coder, CoderInput(sample.image, features.pyramid, features.geometry))
    assert {level.device for level in done.features.pyramid.values()} == {device}
    return replace(done, features=replace(done.features, pyramid=done.features.pyramid.to(torch.device("cpu"))))


@pytest.mark.parametrize("kind", ["factorized", "fused", "searched"])
def test_all_of_an_image_s_way_is_the_same_on_a_device(kind: str, tmp_path: Path) -> None:
    run = coded_run.write_run(tmp_path, 4) if kind == "factorized" else trained_run()
    asked = None if kind == "factorized" else 1.0, 2 if kind == "searched" else None
    here = sent(run, torch.device("cpu"), *asked)
    with elsewhere() as device:
        there = sent(run, device, *asked)
    assert there.coded == here.coded
    assert all(torch.equal(there.features.pyramid[name], level) for name, level in here.features.pyramid.items())
    assert torch.equal(there.detections.boxes, here.detections.boxes)
    assert len(here.detections.boxes) > 0


def a_nanodet() -> Detector:
    torch.manual_seed(0)
    return NanodetAdapter(Nanodet(), score_threshold=0.0)


def a_torchvision() -> Detector:
    return build_detector(ShapesDetector(kind="shapes_fcos"))


def an_rt_detr() -> Detector:
    return detr("rt_detr")


def a_d_fine() -> Detector:
    return detr("d_fine")


@pytest.mark.parametrize("made", [a_torchvision, a_nanodet, an_rt_detr, a_d_fine])
def test_a_detector_finds_on_a_device_what_it_finds_on_the_cpu(made: Callable[[], Detector]) -> None:
    detector = made()
    bench = Bench(detector, ShapesSet(1, 7), "")
    here = bench.detect(bench.features(bench.images[0]))
    with elsewhere() as device:
        detector.to(device)
        bench = Bench(detector, ShapesSet(1, 7), "", device=device)
        there = bench.detect(bench.features(bench.images[0]))
    assert len(here.boxes) > 0
    for name in ("boxes", "scores", "labels"):
        # Attention takes another way through torch, whose sums have another order.
        torch.testing.assert_close(getattr(there, name), getattr(here, name), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("fpnkit.evaluate", ["RUN"]),
        ("fpnkit.analyze", ["RUN"]),
        ("fpnkit.anchors", ["--config", "config.yaml", "--only", "zstd"]),
        ("fpnkit.bitstream", ["encode", "RUN", "IMAGE", "-o", "coded"]),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_one_message(module: str, arguments: list[str], tmp_path: Path) -> None:
    run = coded_run.write_run(tmp_path / "runs", 4)
    image = tmp_path / "image.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(image)
    (tmp_path / "config.yaml").write_text(to_yaml(plain(config())))
    filled = [each.replace("RUN", str(run)).replace("IMAGE", str(image)) for each in arguments]
    environment = {**os.environ, "FPNKIT_HOME": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-m", module, *filled, "--device", "cuda"]
    done = warm.run(command, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert re.fullmatch(f"{module}: --device: required cuda, found only .*cpu\n", done.stderr)


def test_a_codec_that_needs_float64_is_refused_where_there_is_none() -> None:
    trained = load_codec(trained_run() / "best_model.pth")
    with pytest.raises(UserError) as caught:
        on_device(trained, "run a", torch.device("mps"))
    assert str(caught.value) == "run a: required a device that has float64, as fused needs, found mps"
