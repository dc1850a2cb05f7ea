"""The viewer on a run that is a whole curve."""

from pathlib import Path

import pytest

from fpnkit.codecs.saved import load_codec
from fpnkit.runs import layout
from fpnkit.widgets.pyramid.viewer import PyramidViewer
from tests.support.coded_run import write_run
from tests.support.curve_run import copy_run

BITS = 1


@pytest.fixture
def viewer(tmp_path: Path) -> PyramidViewer:
    copy_run(tmp_path)
    made = PyramidViewer(tmp_path)
    _ = made.view
    made.raise_failures()
    return made


def test_a_slider_goes_along_the_curve(viewer: PyramidViewer) -> None:
    slider = viewer.quality
    assert (slider.min, slider.max, slider.value, slider.layout.display) == (0, 2, 1, None)
    assert (slider.description, slider.continuous_update) == ("Quality", False)
    middle = viewer.view
    slider.value = 1.7
    viewer.raise_failures()
    codec = load_codec(viewer.view.run / layout.BEST_MODEL).codec
    streams = codec.encode(viewer.view.original, viewer.view.geometry, 1.7)
    assert viewer.view.quality == 1.7
    assert viewer.view.levels["payload_bits"].sum() == sum(streams.bits_level().values())
    assert middle.file_bytes < viewer.view.file_bytes
    assert "quality 1.7 (λ " in viewer.said.value
    assert "of whose payload shared 100%" in viewer.said.value


def test_bits_that_levels_share_are_a_row_and_have_no_map(viewer: PyramidViewer) -> None:
    viewer.tabs.selected_index = BITS
    viewer.raise_failures()
    assert "No map of the bits: the codec does not show them for each level." in viewer.bits.words.value
    assert viewer.bits.level.layout.display == viewer.bits.picture.layout.display == "none"
    assert ">shared<" in viewer.bits.words.value


def test_a_run_of_one_rate_has_no_such_slider(viewer: PyramidViewer, tmp_path: Path) -> None:
    viewer.quality.value = 0.5
    curve = viewer.lmbda.value
    single = write_run(tmp_path, 4)
    viewer.refresh()
    viewer.finish()
    viewer.choice.value = next(value for label, value in viewer.choice.options if "factorized" in label)
    viewer.raise_failures()
    assert viewer.view.run == single
    assert (viewer.view.quality, viewer.quality.layout.display) == (None, "none")
    viewer.choice.value = next(value for label, value in viewer.choice.options if "fused" in label)
    viewer.raise_failures()
    assert (viewer.view.run, viewer.view.quality, viewer.quality.layout.display) == (curve, 1, None)
