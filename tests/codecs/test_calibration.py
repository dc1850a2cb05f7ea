import pytest
import torch

from fpnkit.codecs.calibration import Standardizer, calibrate
from fpnkit.errors import DataError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

SPEC = PyramidSpec((LevelSpec("p2", 3, 4), LevelSpec("p3", 2, 8)))
GEOMETRY = ImageGeometry((64, 64), (32, 32), (32, 32))


def features(count: int, mixing: torch.Tensor) -> list[Pyramid]:
    torch.manual_seed(0)
    return [
        Pyramid(
            {
                "p2": torch.einsum("ij,bjhw->bihw", mixing, torch.randn(1, 3, 8, 8)) + 5,
                "p3": 0.01 * torch.randn(1, 2, 4, 4) - 1,
            }
        )
        for _ in range(count)
    ]


def test_standardized_levels_have_mean_0_and_variance_1_whatever_their_scale() -> None:
    pyramids = features(20, 7 * torch.eye(3))
    standardiser = Standardizer(SPEC)
    standardiser.set(calibrate((pyramid, GEOMETRY) for pyramid in pyramids))
    for name in SPEC.names:
        values = torch.cat([standardiser(pyramid)[name].flatten() for pyramid in pyramids])
        assert values.mean().item() == pytest.approx(0, abs=1e-5)
        assert values.square().mean().item() == pytest.approx(1, rel=1e-4)


def test_inverse_undoes_standardizing() -> None:
    pyramids = features(3, torch.eye(3))
    standardiser = Standardizer(SPEC)
    standardiser.set(calibrate((pyramid, GEOMETRY) for pyramid in pyramids))
    back = standardiser.inverse(standardiser(pyramids[0]))
    assert all(torch.allclose(back[name], pyramids[0][name], atol=1e-6) for name in SPEC.names)


def test_spectrum_is_that_of_all_values_at_once() -> None:
    mixing = torch.tensor([[3.0, 0, 0], [2.0, 1.0, 0], [0, 0, 0.1]])
    pyramids = features(50, mixing)
    calibration = calibrate((pyramid, GEOMETRY) for pyramid in pyramids)
    level = calibration.levels["p2"]
    values = torch.cat([pyramid["p2"][0].flatten(1) for pyramid in pyramids], 1).double()
    values = (values - values.mean()) / level.deviation
    expected = torch.linalg.eigvalsh(values @ values.T / values.shape[1]).flip(0)
    assert torch.allclose(level.spectrum, expected, rtol=1e-6)
    assert level.spectrum.mean().item() == pytest.approx(1)  # the mean variance of standardized channels
    assert level.cells_per_pixel == 64 / 64**2
    assert calibration.images == 50


@pytest.mark.parametrize(
    ("value", "found"), [(3.0, "only one value"), (float("nan"), "variance nan"), (float("inf"), "variance nan")]
)
def test_a_level_that_cannot_be_standardized_is_named(value: float, found: str) -> None:
    pyramid = Pyramid({"p2": torch.randn(1, 3, 8, 8), "p3": torch.full((1, 2, 4, 4), value)})
    with pytest.raises(DataError) as error:
        calibrate([(pyramid, GEOMETRY)])
    assert str(error.value) == f"level p3: required features that vary and are finite, found {found}"
