"""Search in the encoder."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fpnkit.codecs.base import CodecOutput
from fpnkit.codecs.fused import FusedPyramidCodec
from fpnkit.codecs.search import searched
from fpnkit.pyramid import Pyramid
from tests.support import fused


@pytest.fixture(scope="module", params=[{}, {"apart": True}], ids=["together", "apart"])
def codec(request: pytest.FixtureRequest) -> FusedPyramidCodec:
    return fused.codec(**request.param).requires_grad_(False)


def cost_of(levels: Pyramid, lmbda: float) -> Callable[[CodecOutput], Tensor]:
    """Bits plus lambda times squared error, of each image."""

    def cost(output: CodecOutput) -> Tensor:
        errors = [(output.reconstruction[name] - levels[name]).square().flatten(1).sum(1) for name in levels]
        bits = [each.flatten(1).sum(1) for each in output.bits.values()]
        return torch.stack(bits).sum(0) + lmbda * torch.stack(errors).sum(0)

    return cost


def found(codec: FusedPyramidCodec, seeds: list[int], steps: int) -> tuple[dict[str, Tensor], Tensor]:
    """Latents, and what they cost."""
    each = [fused.pyramid(seed) for seed in seeds]
    levels = Pyramid({name: torch.cat([one[name] for one in each]) for name in fused.SPEC.names})
    geometry, quality = [fused.geometry()] * len(seeds), torch.full((len(seeds),), 1.0)
    cost = cost_of(levels, 20.0)
    latents = searched(codec, levels, geometry, quality, cost, steps)
    with torch.no_grad():
        return dict(latents), cost(codec.simulate(latents, levels.sizes, geometry, quality))


def test_more_steps_find_something_better_and_none_find_the_start(codec: FusedPyramidCodec) -> None:
    start = codec.latents(fused.pyramid(1), [fused.geometry()], torch.tensor([1.0]))
    latents, before = found(codec, [1], 0)
    assert all(torch.allclose(latents[name], start[name], atol=1e-5) for name in start)
    costs = [found(codec, [1], steps)[1].item() for steps in (1, 8, 64)]
    assert before.item() >= costs[0]
    assert costs[1] < 0.999 * before.item()
    assert costs[2] < costs[1]


def test_it_is_deterministic_and_images_do_not_see_each_other(codec: FusedPyramidCodec) -> None:
    once, again = found(codec, [1], 12), found(codec, [1], 12)
    assert all(torch.equal(once[0][name], again[0][name]) for name in once[0])
    both = found(codec, [1, 2], 12)[1]
    alone = torch.cat([found(codec, [seed], 12)[1] for seed in (1, 2)])
    assert torch.allclose(both, alone, rtol=1e-3)


def test_a_searched_stream_is_an_ordinary_one(codec: FusedPyramidCodec) -> None:
    """Decoded by another codec of the same weights, it is as good as the search promised."""
    latents, cost = found(codec, [3], 24)
    levels, geometry = fused.pyramid(3), fused.geometry()
    streams = codec.encode_latents(latents, levels.sizes, geometry, 1.0)
    other = fused.codec(apart=len(codec.parts) > 1)
    decoded = other.decode(streams)
    error = sum((decoded[name] - levels[name]).square().sum().item() for name in levels)
    assert sum(streams.bits_estimated.values()) + 20 * error == pytest.approx(cost.item(), rel=0.02)


def test_the_codec_is_left_as_it_was(codec: FusedPyramidCodec) -> None:
    before = {name: value.clone() for name, value in codec.state_dict().items()}
    found(codec, [4], 3)
    assert all(torch.equal(value, before[name]) for name, value in codec.state_dict().items())
