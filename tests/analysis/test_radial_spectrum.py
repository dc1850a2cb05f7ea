import numpy as np
import pandas as pd
import pytest
import torch

from fpnkit.analysis.statistics.spectrum import RadialSpectrum
from fpnkit.pyramid import Pyramid
from tests.support.pyramids import noise


def spectrum(*pyramids: Pyramid) -> pd.DataFrame:
    result = RadialSpectrum()
    for pyramid in pyramids:
        result.update(pyramid)
    return result.table()


def test_white_noise_is_flat_at_its_variance() -> None:
    doubled = (Pyramid({name: 2 * level for name, level in noise(seed, side=64).items()}) for seed in range(10))
    table = spectrum(*doubled)
    level = table[table["level"] == "p3"]
    assert level["frequency"].iloc[[0, -1]].tolist() == pytest.approx([1 / 64, 31 / 64])
    assert level["power"].to_numpy() == pytest.approx(np.full(16, 4.0), rel=0.15)


def test_a_wave_has_its_power_at_its_frequency() -> None:
    columns = torch.arange(64).expand(64, 64)
    table = spectrum(Pyramid({"p3": torch.cos(2 * torch.pi * 0.25 * columns)[None, None]}))
    strongest = table.loc[table["power"].idxmax(), "frequency"]
    assert abs(strongest - 0.25) <= 1 / 64
    far = table[(table["frequency"] - 0.25).abs() > 0.1]
    assert far["power"].max() < 1e-3 * table["power"].max()


def test_an_offset_does_not_count() -> None:
    plain = noise(0)
    shifted = Pyramid({name: level + 100 for name, level in plain.items()})
    assert spectrum(shifted)["power"].to_numpy() == pytest.approx(spectrum(plain)["power"].to_numpy(), rel=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3)])
def test_tiny_levels_give_finite_numbers(size: tuple[int, int]) -> None:
    table = spectrum(Pyramid({"p6": torch.randn(1, 3, *size)}))
    assert np.isfinite(table["power"]).all()


def test_the_state_does_not_grow_with_the_images() -> None:
    def size(count: int) -> int:
        result = RadialSpectrum()
        for seed in range(count):
            result.update(noise(seed, side=16))
        return sum(array.nbytes for array in (*result._power.values(), *result._count.values()))

    assert size(1) == size(5) > 0
