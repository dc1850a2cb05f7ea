from pathlib import Path

import numpy as np
import pytest
import torch

from fpnkit.geometry import ImageGeometry
from fpnkit.training.batches import CropBatches, chosen
from fpnkit.training.losses import Batch
from tests.support import tiny


def batches(folder: Path, *, crop: int = 32, crops_per_image: int = 1, seed: int = 0) -> CropBatches:
    stored = tiny.cache(folder, 0, 9)
    return CropBatches(stored, tiny.SPEC, batch_size=2, crop=crop, crops_per_image=crops_per_image, seed=seed)


def same(a: Batch, b: Batch) -> bool:
    return a.pixels == b.pixels and all(torch.equal(a.pyramid[name], b.pyramid[name]) for name in a.pyramid)


def test_a_batch_depends_on_seed_epoch_and_index_alone(tmp_path: Path) -> None:
    first, second = batches(tmp_path), batches(tmp_path)
    second.batch(2, 1)
    assert same(first.batch(1, 0), second.batch(1, 0))
    assert not same(first.batch(1, 0), batches(tmp_path, seed=1).batch(1, 0))


def test_every_epoch_cuts_an_image_at_another_place(tmp_path: Path) -> None:
    one_image = CropBatches(tiny.cache(tmp_path, 0, 1), tiny.SPEC, batch_size=1, crop=32, crops_per_image=1, seed=0)
    crops = [one_image.batch(epoch, 0).pyramid["p2"] for epoch in range(8)]
    assert len({crop.numpy().tobytes() for crop in crops}) > 4


@pytest.mark.parametrize("crops_per_image", [1, 3])
def test_an_epoch_takes_every_item_at_most_once_and_leaves_out_less_than_a_batch(crops_per_image: int) -> None:
    items = 9 * crops_per_image
    taken = [item for index in range(items // 2) for item in chosen(0, 5, index, 2, items)]
    assert len(taken) == len(set(taken)) == items // 2 * 2
    assert set(taken) <= set(range(items))


def test_crops_of_all_levels_are_the_same_part_of_the_image(tmp_path: Path) -> None:
    batch = batches(tmp_path).batch(1, 0)
    assert batch.pyramid.sizes == {"p2": (8, 8), "p3": (4, 4)}
    assert batch.pixels == 2 * 32 * 32
    whole = [tiny.features(seed).pyramid for seed in range(9)]
    for row in range(2):
        places = [
            (seed, top, left)
            for seed, pyramid in enumerate(whole)
            for top in range(pyramid["p3"].shape[2] - 3)
            for left in range(pyramid["p3"].shape[3] - 3)
            if torch.equal(pyramid["p3"][0, :, top : top + 4, left : left + 4].half().float(), batch.pyramid["p3"][row])
        ]
        ((seed, top, left),) = places
        part = whole[seed]["p2"][0, :, 2 * top : 2 * top + 8, 2 * left : 2 * left + 8].half().float()
        assert torch.equal(part, batch.pyramid["p2"][row])


def test_images_smaller_than_the_crop_make_the_batch_smaller_and_only_their_pixels_count(tmp_path: Path) -> None:
    batch = batches(tmp_path, crop=128).batch(1, 0)
    images = [seed for seed in chosen(0, 1, 0, 2, 9)]
    height = min(64 + 8 * (seed % 3) for seed in images)
    assert batch.pyramid.sizes == {"p2": (height // 4, 18), "p3": (height // 8, 9)}
    assert batch.pixels == 2 * height * 72


def test_pixels_of_a_crop_are_those_of_the_original_image() -> None:
    halved = ImageGeometry(original=(128, 144), content=(64, 72), canvas=(64, 96))
    assert halved.original_pixels(0, 64, 32, 32) == 32 * 8 * 4  # 8 columns of content, the rest is padding
    assert np.isclose(halved.original_pixels(), 128 * 144)
