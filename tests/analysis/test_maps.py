import pytest
import torch

from fpnkit.analysis.statistics.maps import bits_map, boxes, energy_map, mosaic
from fpnkit.codecs.base import CodedLatents
from fpnkit.detectors.base import Detections
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid
from tests.support.pyramids import GEOMETRY, SPEC, noise


def test_bits_lie_where_they_were_spent_in_pixels_of_the_original() -> None:
    bits = torch.zeros(3, 8, 8)
    bits[:, 1, 2] = 5
    coded = {"p3": CodedLatents(bits.long(), bits)}
    # The image, 512 wide and 256 high, was halved and lies 16 pixels from the left edge of the canvas.
    geometry = ImageGeometry((256, 512), (128, 256), (256, 256), (0, 16))
    table = bits_map(coded, SPEC, noise(0), geometry)
    assert table["bits"].sum() == pytest.approx(15)
    (row,) = table[table["bits"] > 0].to_dict("records")
    # A latent covers 4 cells of 8 pixels of the canvas: rows 32 to 64, columns 64 to 96.
    edges = (row["left"], row["top"], row["right"], row["bottom"])
    assert edges == pytest.approx(((64 - 16) * 2, 32 * 2, (96 - 16) * 2, 64 * 2))


@pytest.mark.parametrize(("side", "halvings"), [(32, 1), (32, 3), (5, 1), (10, 3), (3, 1)])
def test_latents_of_padded_levels_have_the_size_that_they_were_made_with(side: int, halvings: int) -> None:
    latent_side = -(-side // 2**halvings)
    pyramid = Pyramid({"p3": torch.zeros(1, 6, side, side)})
    coded = {
        "p3": CodedLatents(torch.zeros(2, latent_side, latent_side).long(), torch.ones(2, latent_side, latent_side))
    }
    table = bits_map(coded, SPEC, pyramid, GEOMETRY)
    assert (table["right"] - table["left"]).unique().tolist() == [8 * 2**halvings]


def test_energy_of_a_perfect_copy_has_no_error_and_of_the_mean_is_all_error() -> None:
    original = noise(0)
    copy = energy_map(original, original, SPEC, GEOMETRY)
    assert copy["error"].max() == 0
    assert copy["original"].tolist() == copy["decoded"].tolist()
    means = Pyramid({name: level.mean((2, 3), keepdim=True).expand_as(level) for name, level in original.items()})
    flat = energy_map(original, means, SPEC, GEOMETRY)
    assert flat["decoded"].max() == pytest.approx(0, abs=1e-6)
    assert flat["error"].tolist() == pytest.approx(flat["original"].tolist())


def test_mosaics_show_the_strongest_channels_first_and_large_levels_smaller() -> None:
    level = torch.stack([scale * torch.ones(100, 60) for scale in (1, 3, 2)])
    table = mosaic(level, level + 1, most=2)
    assert table.groupby("rank")["channel"].first().tolist() == [1, 2]
    assert (table["row"].max(), table["column"].max()) == (47, 47)
    assert table["original"].unique().tolist() == pytest.approx([3, 2])
    assert (table["decoded"] - table["original"]).tolist() == pytest.approx([1.0] * len(table))


def test_only_sure_detections_are_shown() -> None:
    found = Detections(torch.tensor([[0.0, 0, 5, 5], [1, 1, 9, 9]]), torch.tensor([0.9, 0.1]), torch.tensor([3, 3]))
    table = boxes(found, found, 0.3, {3: "dog"})
    assert table[["features", "category"]].to_numpy().tolist() == [["uncompressed", "dog"], ["decoded", "dog"]]
