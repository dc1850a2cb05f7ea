import math

import numpy as np
import pytest
import torch

from fpnkit.analysis.statistics.latents import LatentStatistics
from fpnkit.codecs.base import Codec, CodedLatents
from fpnkit.codecs.build import build_codec
from tests.support import tiny


def statistics(*symbols: torch.Tensor, bits: float = 1.0) -> LatentStatistics:
    result = LatentStatistics()
    for each in symbols:
        result.update({"p2": CodedLatents(each, torch.full(each.shape, bits))})
    return result


def codec() -> Codec:
    torch.manual_seed(0)
    result = build_codec(tiny.config().codec, tiny.SPEC).eval()
    result.update_tables()
    return result


def test_entropy_and_bits_of_known_symbols() -> None:
    fair = torch.tensor([[0, 1], [1, 0]])
    dead = torch.full((2, 2), 7)
    skewed = torch.tensor([[0, 0], [0, 4]])
    table = statistics(torch.stack([fair, dead, skewed]), bits=2.0).channels()
    quarter = 0.25 * math.log2(4) + 0.75 * math.log2(4 / 3)
    assert table["entropy"].tolist() == pytest.approx([1, 0, quarter])
    assert table["bits_per_symbol"].tolist() == [2, 2, 2]
    assert table["bits_share"].tolist() == pytest.approx([1 / 3] * 3)
    assert table["dead"].tolist() == [False, True, False]
    assert table[["lowest", "highest"]].to_numpy().tolist() == [[0, 1], [7, 7], [0, 4]]


def test_a_channel_that_changes_from_image_to_image_only_is_not_dead() -> None:
    table = statistics(torch.zeros(1, 2, 2).long(), torch.ones(1, 2, 2).long()).channels()
    assert table["dead"].tolist() == [False]
    assert table["entropy"].tolist() == [1]


def test_symbols_far_out_are_counted_and_their_range_is_kept() -> None:
    table = statistics(torch.tensor([[[0, 100_000]]])).channels()
    assert (table["symbols"].iloc[0], table["highest"].iloc[0]) == (2, 100_000)


def test_the_histogram_lies_beside_the_learned_density() -> None:
    symbols = torch.tensor([[[-1, 0], [0, 2]]]).expand(3, 2, 2)
    table = statistics(symbols).histogram(codec())
    assert table["symbol"].tolist() == [-1, 0, 1, 2]
    assert table["share"].tolist() == [0.25, 0.5, 0, 0.25]
    assert (table["learned"] > 0).all()


def test_learned_probabilities_sum_to_one_over_all_symbols() -> None:
    density = codec().latent_density("p2", torch.arange(-2000, 2001))
    assert density.probability.sum(1).tolist() == pytest.approx([1] * 3, abs=1e-4)


def test_symbols_outside_the_tables_are_told() -> None:
    model = codec()
    first, last = model.latent_density("p2", torch.arange(1)).table[0].tolist()
    assert first <= 0 <= last
    inside = torch.tensor([[[first, last]]]).expand(3, 1, 2)
    assert statistics(inside).histogram(model)["escaped"].unique().tolist() == [0.0]
    outside = torch.tensor([[[0, 0], [first - 1, last + 1]]]).expand(3, 2, 2)
    assert statistics(outside).histogram(model)["escaped"].unique().tolist() == [0.5]


def test_the_state_does_not_grow_with_the_images() -> None:
    def size(count: int) -> int:
        (level,) = statistics(*[torch.zeros(3, 4, 4).long()] * count)._levels.values()
        return sum(array.nbytes for array in vars(level).values() if isinstance(array, np.ndarray))

    assert size(1) == size(5) > 0
