"""Mirrored images and parts of images as further features."""

import torch

from fpnkit.config.schema import CodecTraining
from fpnkit.training.views import training_views

IMAGE = torch.arange(3 * 40 * 60, dtype=torch.int32).reshape(3, 40, 60)


def test_without_settings_there_is_the_image_alone() -> None:
    (view,) = training_views(CodecTraining(epochs=1))
    assert view.name == ""
    assert torch.equal(view.transform(IMAGE), IMAGE)


def test_parts_are_always_the_same_of_the_same_image_and_every_other_one_is_mirrored() -> None:
    settings = CodecTraining(epochs=1, flip=True, image_crops=4)
    plain, flip, *parts = training_views(settings)
    assert torch.equal(flip.transform(IMAGE), IMAGE.flip(-1))
    assert [view.name for view in (plain, flip, *parts)] == ["", "flip", "part 0", "part 1", "part 2", "part 3"]
    seen = []
    for number, view in enumerate(parts):
        part = view.transform(IMAGE)
        assert torch.equal(part, training_views(settings)[2 + number].transform(IMAGE))
        assert 20 <= part.shape[1] <= 40
        assert 30 <= part.shape[2] <= 60
        upright = part.flip(-1) if number % 2 else part
        corner = int(upright[0, 0, 0])
        top, left = corner // 60, corner % 60
        assert torch.equal(upright, IMAGE[:, top : top + part.shape[1], left : left + part.shape[2]])
        seen.append((top, left, *part.shape))
    assert len(set(seen)) == 4
    assert not torch.equal(parts[0].transform(IMAGE + 1)[:, :1, :1], parts[0].transform(IMAGE)[:, :1, :1] + 1)
