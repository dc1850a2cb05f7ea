import pandas as pd
import pytest

from fpnkit.analysis.statistics.across import Entry, losses, rates, task
from fpnkit.analysis.statistics.epochs import epochs_table
from fpnkit.runs.metrics import MetricsLine


def entry(run: str, lmbda: float, scale: int) -> Entry:
    tables = {
        "image_bits": pd.DataFrame(
            {
                "image": [1, 1, 2, 2],
                "level": ["p3", "p4"] * 2,
                "pixels": [100.0, 100, 300, 300],
                "estimated_bits": [10.0, 5, 30, 15],
                "payload_bits": [16 * scale, 8 * scale, 24 * scale, 16 * scale],
            }
        ),
        "level_loss": pd.DataFrame({"level": ["p3", "p4"], "snr_db": [10.0, 5.0]}),
        "latent_channels": pd.DataFrame({"level": ["p3", "p3", "p4"], "dead": [True, False, False]}),
        "objects": pd.DataFrame(
            {
                "truth": ["detector", "detector", "label"],
                "size": ["large", "small", "small"],
                "lost": [False, True, True],
                "found": True,
            }
        ),
        "task": pd.DataFrame({"features": ["uncompressed", "decoded"], "map": [0.4, 0.3], "self_map": [1.0, 0.7]}),
    }
    return Entry(run, "factorized", lmbda, tables)


ENTRIES = [entry("b", 1e-2, 2), entry("a", 1e-3, 1)]


def test_rates_are_bits_of_all_images_over_pixels_of_all_images_by_lambda() -> None:
    table = rates(ENTRIES)
    assert table["run"].tolist() == ["a", "a", "b", "b"]
    assert table["bpp"].tolist() == pytest.approx([40 / 400, 24 / 400, 80 / 400, 48 / 400])
    assert table["bpp_all"].tolist() == pytest.approx([64 / 400] * 2 + [128 / 400] * 2)
    assert table["dead_share"].tolist() == [0.5, 0, 0.5, 0]
    assert table["snr_db"].tolist() == [10, 5, 10, 5]


def test_losses_count_what_the_detector_had_found_by_size() -> None:
    table = losses(ENTRIES)
    assert table[["run", "size", "lost"]].to_numpy().tolist() == [
        ["a", "small", 1],
        ["a", "large", 0],
        ["b", "small", 1],
        ["b", "large", 0],
    ]


def test_the_task_has_the_ceiling_beside_it() -> None:
    table = task(ENTRIES)
    assert table[["map", "self_map", "map_uncompressed"]].to_numpy().tolist() == [[0.3, 0.7, 0.4]] * 2


def test_epochs_come_from_validation_lines() -> None:
    line = MetricsLine("", "val", 2, 10, 1.0, snr_db={"p3": 4.0}, bpp_level={"p3": 0.1, "p4": 0.2})
    training = MetricsLine("", "train", 2, 9, 1.0, snr_db={"p3": 9.0}, bpp_level={"p3": 9.0})
    table = epochs_table([training, line])
    assert table["level"].tolist() == ["p3", "p4"]
    assert table["bpp"].tolist() == [0.1, 0.2]
    assert table["snr_db"].iloc[0] == 4
    assert table["snr_db"].isna().tolist() == [False, True]
    assert epochs_table([]).empty
