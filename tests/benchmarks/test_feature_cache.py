"""What the feature cache saves: an epoch of crops from it against an epoch through the detector.

The detector is torchvision's `fasterrcnn_resnet50_fpn` at 320 pixels, untrained, which takes as long. Both sides make
the same batches by the same code; the detector's side is a cache without a budget, which decodes each image, scales it,
runs backbone and FPN, rounds and crops. The files of the cache are in memory (the system's page cache), as they are
from the second epoch on where memory suffices.

What limits the cached side is shown by doing more and more of its work: mapping the files and reading their headers;
cutting the windows as they are stored, float16 and channels last; making them float32, channels first; joining them to
batches. What is left of the cached side's time is drawing the windows and the rest of its Python.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from fpnkit.config.schema import Cache, TorchvisionDetector
from fpnkit.data.cache import FeatureCache
from fpnkit.data.folder import FolderSet
from fpnkit.data.images import ImageSet
from fpnkit.data.windows import Window, cells
from fpnkit.detectors.build import build_detector
from fpnkit.detectors.cached import feature_cache
from fpnkit.pyramid import PyramidSpec
from fpnkit.training.batches import CropBatches
from fpnkit.training.losses import Batch
from tests.support.in_turns import in_turns

IMAGES, CROP, BATCH_SIZE = 16, 256, 4


@pytest.mark.benchmark
def test_epoch_from_cache_against_epoch_through_detector(tmp_path: Path, images: ImageSet) -> None:
    torch.manual_seed(0)
    settings = TorchvisionDetector(
        kind="torchvision", model="fasterrcnn_resnet50_fpn", weights=None, min_size=320, max_size=544
    )
    detector = build_detector(settings)
    root = tmp_path / "features"
    filled = feature_cache(Cache(directory=str(root), budget_gb=10.0), detector, images)
    filled.fill()
    none_kept = feature_cache(Cache(directory=str(tmp_path / "nothing"), budget_gb=0.0), detector, images)

    def through(cache: FeatureCache) -> Callable[[], list[Batch]]:
        crops = CropBatches(cache, detector.spec, batch_size=BATCH_SIZE, crop=CROP, crops_per_image=1, seed=0)
        return lambda: [crops.batch(1, index) for index in range(crops.per_epoch)]

    found = in_turns(partial(through, filled), partial(through, none_kept), repetitions=5)
    title = f"an epoch of {IMAGES} images of {images.name}, crops of {CROP} pixels, {torch.get_num_threads()} threads"
    names = "from the cache", "through fasterrcnn_resnet50_fpn at 320 pixels"
    print(found.table(f"{title}; goal: ratio at most 0.1", names, IMAGES, "image"))
    print(parts(sorted(root.rglob("*.safetensors")), detector.spec))
    for cached, computed in found.pairs:
        assert len(cached.result) == len(computed.result) == IMAGES // BATCH_SIZE
        for a, b in zip(cached.result, computed.result, strict=True):
            assert a.pixels == b.pixels
            assert all(torch.equal(a.pyramid[name], b.pyramid[name]) for name in detector.spec.names)


@pytest.fixture
def images(tmp_path: Path, request: pytest.FixtureRequest) -> ImageSet:
    """Photographs where there are any; else noise, which as a JPEG takes longer to decode."""
    try:
        return FolderSet(request.getfixturevalue("real_data") / "coco-train343" / "images", IMAGES)
    except pytest.skip.Exception:
        folder = tmp_path / "noise"
        folder.mkdir()
        rng = np.random.default_rng(0)
        for index in range(IMAGES):
            Image.fromarray(rng.integers(0, 256, (480, 640, 3), np.uint8)).save(folder / f"{index:02}.jpg")
        return FolderSet(folder)


def parts(files: list[Path], spec: PyramidSpec) -> str:
    """Milliseconds an image after each part of the cached side's work; the smallest of several."""
    window, starts = Window(0, 0, CROP, CROP), range(0, len(files), BATCH_SIZE)
    done = [
        ("map the file, read its header", lambda: [opened(file) for file in files]),
        ("cut the windows, float16", lambda: [stored(file, spec, window) for file in files]),
        ("make them float32, channels first", lambda: [as_floats(stored(file, spec, window)) for file in files]),
        ("join them to batches", lambda: [joined(files[i : i + BATCH_SIZE], spec, window) for i in starts]),
    ]
    lines, before = ["", "where the time of the cached side goes, ms/image"], 0.0
    for name, work in done:
        took = 1e3 * min(seconds(work) for _ in range(20)) / len(files)
        lines.append(f"{name:56}{took - before:10.3f}")
        before = took
    size = sum(level.nbytes for level in stored(files[0], spec, window))
    lines.append(f"{'read of a file':56}{size / 1e6:7.1f} MB of {files[0].stat().st_size / 1e6:.1f} MB")
    return "\n".join(lines)


def seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def opened(file: Path) -> dict[str, str]:
    with safe_open(file, "pt") as content:
        return dict(content.metadata())


def stored(file: Path, spec: PyramidSpec, window: Window) -> list[torch.Tensor]:
    with safe_open(file, "pt") as content:
        return [content.get_slice(level.name)[cells(window, level.stride)] for level in spec.levels]


def as_floats(levels: list[torch.Tensor]) -> list[torch.Tensor]:
    return [level.permute(2, 0, 1)[None].to(torch.float32, memory_format=torch.contiguous_format) for level in levels]


def joined(files: list[Path], spec: PyramidSpec, window: Window) -> list[torch.Tensor]:
    images = [as_floats(stored(file, spec, window)) for file in files]
    return [torch.cat(levels) for levels in zip(*images, strict=True)]
