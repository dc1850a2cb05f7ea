"""`python -m fpnkit.analyze` on a run that is a whole curve."""

from pathlib import Path

import pandas as pd
import pytest

from fpnkit.analysis.across import entries_of
from fpnkit.analyze import main
from tests.support.analyze_files import assert_complete, shown_images
from tests.support.coded_run import write_run
from tests.support.curve_run import HIGHEST, LOWEST, copy_run


@pytest.fixture(scope="module")
def curve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_run(tmp_path_factory.mktemp("runs"))


def page_of(run: Path, lmbda: float) -> Path:
    return run / "fpn_analysis" / f"lambda_{lmbda:.2e}" / "index.html"


def test_the_middle_of_the_curve_is_analyzed_and_what_does_not_apply_is_left_out_with_the_reason(curve: Path) -> None:
    assert main([str(curve), "--images", "1"]) == 0
    page = page_of(curve, (LOWEST * HIGHEST) ** 0.5)
    assert_complete(page)
    text = page.read_text()
    assert "fused, quality 1, lambda 3.16e-05, best model of epoch 1" in text
    assert (
        "<th>left out</th><td>bits of each level: all levels share one payload; "
        "figures of latents: fused does not show them for each level</td>"
    ) in text
    assert not {"bits_per_level", "bits_per_channel", "latent_histogram", "bits_map_1"} & set(shown_images(page))
    epochs = pd.read_csv(page.parent / "epochs.csv")
    assert epochs["level"].tolist() == ["p2", "p3", "p4", "p5", "shared"]
    assert epochs["snr_db"].notna().tolist() == [True] * 4 + [False]


def test_each_quality_has_a_directory_of_its_own(curve: Path) -> None:
    assert main([str(curve), "--images", "1", "--small", "--quality", "0"]) == 0
    low = pd.read_csv(page_of(curve, LOWEST).parent / "rate_gap.csv")
    assert main([str(curve), "--images", "1", "--small", "--quality", "2"]) == 0
    high = pd.read_csv(page_of(curve, HIGHEST).parent / "rate_gap.csv")
    assert low["level"].tolist() == high["level"].tolist() == ["shared"]
    assert low["payload_bits"].sum() < high["payload_bits"].sum()
    (entry,) = entries_of([curve], count=1, quality=2)
    assert entry.lmbda == pytest.approx(HIGHEST)
    assert entry.tables["image_bits"]["payload_bits"].sum() == high["payload_bits"].sum()


def test_a_quality_that_a_codec_does_not_have_is_refused(
    curve: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run, quality, expected in (
        (curve, "3", "required a number from 0 to 2, found 3"),
        (write_run(tmp_path, 4), "1", "required none, the codec has one rate; found 1"),
    ):
        capsys.readouterr()
        assert main([str(run), "--quality", quality]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == f"fpnkit.analyze: run {run}: quality: {expected}"
