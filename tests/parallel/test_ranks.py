"""What each of several processes takes of a batch; without other processes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fpnkit.codecs.bottleneck import Bottleneck
from fpnkit.codecs.noise import drawn_for_batch, share_of_batch
from fpnkit.errors import ConfigError
from fpnkit.training.batches import CropBatches
from fpnkit.training.ranks import ALONE, Ranks
from fpnkit.training.rates import with_quality
from fpnkit.training.stop import StopRequest
from fpnkit.training.tally import Tally, of_batch
from tests.support import fused, tiny
from tests.training.test_detector_learner import config, learner
from tests.training.test_losses import batch
from tests.training.test_rates import GOAL


class Part(Ranks):
    """One of two, with nobody to talk to."""

    size = 2

    def __init__(self, rank: int) -> None:
        self.rank = rank


@pytest.mark.parametrize("crop", [32, 128])  # the second is larger than the images, which are of different heights
def test_parts_of_a_batch_are_together_the_batch_of_one_process(crop: int, tmp_path: Path) -> None:
    def batches(ranks: Ranks) -> CropBatches:
        stored = tiny.cache(tmp_path, 0, 9)
        return CropBatches(stored, tiny.SPEC, batch_size=4, crop=crop, crops_per_image=2, seed=3, ranks=ranks)

    whole, left, right = batches(ALONE), batches(Part(0)), batches(Part(1))
    for epoch, index in [(1, 0), (1, 1), (1, 3), (2, 0)]:
        one, *two = (each.batch(epoch, index) for each in (whole, left, right))
        assert one.geometry == tuple(place for part in two for place in part.geometry or ())
        assert [part.pixels for part in two] == [one.pixels / 2] * 2
        for name, level in one.pyramid.items():
            assert torch.equal(level, torch.cat([part.pyramid[name] for part in two]))


def test_images_of_a_part_get_the_qualities_that_they_have_in_the_whole_batch() -> None:
    codec = fused.codec()
    whole = with_quality(batch(0, 3, 6, 9), GOAL, codec, [1, 2])
    parts = [
        with_quality(batch(*seeds), GOAL, codec, [1, 2], Part(rank)) for rank, seeds in enumerate([(0, 3), (6, 9)])
    ]
    assert whole.quality is not None
    assert torch.equal(whole.quality, torch.cat([part.quality for part in parts if part.quality is not None]))


def in_parts(work: Callable[[int], Tensor], axis: int) -> Tensor:
    """Both begin with the same generator."""
    found = []
    for rank in range(2):
        torch.manual_seed(0)
        with share_of_batch(rank, 2):
            found.append(work(rank))
    return torch.cat(found, axis)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_noise_is_that_of_the_whole_batch(layout: torch.memory_format) -> None:
    whole = torch.zeros(4, 3, 5, 7).contiguous(memory_format=layout)
    torch.manual_seed(0)
    expected = drawn_for_batch(whole, torch.rand_like)
    found = in_parts(lambda rank: drawn_for_batch(whole.chunk(2)[rank], torch.rand_like), 0)
    assert torch.equal(found, expected)
    torch.manual_seed(0)
    assert torch.equal(torch.rand_like(whole), expected)


def test_noise_of_a_factorized_prior_is_that_of_the_whole_batch_and_compressais() -> None:
    torch.manual_seed(1)
    prior, latents = Bottleneck(3), torch.randn(4, 3, 5, 7)
    torch.manual_seed(0)
    expected = prior(latents, training=True)[0]
    assert torch.equal(in_parts(lambda rank: prior(latents.chunk(2)[rank], training=True)[0], 0), expected)
    torch.manual_seed(0)
    noise = torch.empty(3, 1, 4 * 5 * 7).uniform_(-0.5, 0.5).view(3, 4, 5, 7).transpose(0, 1)
    assert torch.equal(latents + noise, expected)


def test_means_are_over_parts_and_bits_and_pixels_of_all() -> None:
    one = Tally(1, 1.0, 2.0, 3.0, 4.0, 10.0, {"p2": 5.0}, {"p2": 6.0}, {"head": 7.0})
    two = Tally(1, 3.0, 4.0, 3.0, 4.0, 10.0, {"p2": 7.0}, {"p2": 8.0}, {"head": 9.0})
    assert of_batch([one, two]) == Tally(1, 2.0, 3.0, 3.0, 4.0, 20.0, {"p2": 12.0}, {"p2": 7.0}, {"head": 8.0})
    assert of_batch([one]) == one


def test_a_detector_sees_parts_of_the_same_batch() -> None:
    whole, left, right = (learner(config(), ranks) for ranks in (ALONE, Part(0), Part(1)))
    one, *two = (each._batch(1, 0) for each in (whole, left, right))
    assert [len(each.images) for each in (one, *two)] == [2, 1, 1]
    for ours, theirs in zip([image for part in two for image in part.images], one.images, strict=True):
        assert torch.equal(ours, theirs)
    for each in (whole, left, right):
        each.close()


@pytest.mark.parametrize(
    ("batch_size", "items", "message"),
    [
        (3, 9, "training.batch_size: required a multiple of the number of processes, 2; found 3"),
        (1, 9, "training.batch_size: required a multiple of the number of processes, 2; found 1"),
        (10, 9, "training.batch_size: required at most 9, as many as an epoch has; found 10"),
    ],
)
def test_batches_that_cannot_be_shared_are_refused(batch_size: int, items: int, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Part(0).require_batch(batch_size, items)
    assert str(caught.value) == message
    ALONE.require_batch(batch_size, items)


class Asked(Part):
    """The other one may have been asked to stop."""

    other = 0

    def largest(self, value: int) -> int:
        return max(value, self.other)


def test_a_stop_that_another_was_asked_for_counts_and_further_signals_do_nothing() -> None:
    ranks = Asked(0)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with StopRequest(lambda: False, ranks) as stop:
            assert not stop.requested()
            ranks.other = signal.SIGTERM
            assert stop.requested()
            assert stop.reason == "SIGTERM"
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
