import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fpnkit.data.feature_file import UnreadableFile, read_features, write_features
from fpnkit.data.windows import Window, as_float16, as_float32, crop
from fpnkit.errors import PyramidError, StorageError
from fpnkit.pyramid import LevelSpec, PyramidSpec
from tests.support import ROOT, warm
from tests.support.feature_files import SPEC, features

ODD = (800, 1066)  # no level of it is a whole number of cells


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    whole = as_float16(features(1, ODD), "x")
    path = tmp_path_factory.mktemp("odd") / "a.safetensors"
    write_features(path, whole)
    return path, as_float32(whole)


def same(a, b):
    levels = list(a.pyramid) == list(b.pyramid) and all(
        torch.equal(a.pyramid[name], b.pyramid[name]) for name in a.pyramid
    )
    return levels and (a.geometry, a.window) == (b.geometry, b.window)


def test_what_is_read_is_what_was_written(odd):
    path, whole = odd
    read = read_features(path, SPEC)
    assert same(read, whole)
    assert read.pyramid["p5"].shape == (1, 8, 25, 34)
    assert all(level.is_contiguous() and level.dtype == torch.float32 for level in read.pyramid.values())


def test_a_file_that_holds_outputs_of_heads_as_well_is_read_without_them(odd, tmp_path):
    path, whole = odd
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file({**load_file(path), "p3/scores": torch.ones(100, 134, 2)}, tmp_path / "more", metadata)
    assert same(read_features(tmp_path / "more", SPEC), whole)


def aligned(length):
    """Start and size of all windows along one side."""
    starts = st.integers(0, (length - 1) // 32).map(lambda n: 32 * n)
    return starts.flatmap(
        lambda start: st.tuples(st.just(start), st.sampled_from([*range(32, length - start + 1, 32), length - start]))
    )


@settings(max_examples=60, deadline=None)
@given(aligned(ODD[0]), aligned(ODD[1]))
def test_a_window_read_from_the_file_is_that_part_of_the_whole(odd, rows, columns):
    path, whole = odd
    window = Window(rows[0], columns[0], rows[1], columns[1])
    read = read_features(path, SPEC, lambda geometry: window)
    assert same(read, crop(whole, window, SPEC))
    for level in SPEC.levels:
        top, left = window.top // level.stride, window.left // level.stride
        part = read.pyramid[level.name]
        assert torch.equal(part, whole.pyramid[level.name][..., top : top + part.shape[2], left : left + part.shape[3]])


def test_a_window_off_the_grid_is_refused(odd):
    with pytest.raises(PyramidError):
        read_features(odd[0], SPEC, lambda geometry: Window(8, 0, 32, 32))


def test_levels_of_equal_stride_keep_their_order(tmp_path):
    spec = PyramidSpec(tuple(LevelSpec(name, 4, stride) for name, stride in (("p4", 16), ("p5", 32), ("p5b", 32))))
    whole = as_float16(features(0, spec=spec), "x")
    write_features(tmp_path / "a", whole)
    assert list(read_features(tmp_path / "a", spec).pyramid) == ["p4", "p5", "p5b"]


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_unreadable(odd, kept):
    path = odd[0].with_name("torn")
    content = odd[0].read_bytes()
    path.write_bytes(content[: int(len(content) * kept**4)])  # more often within the header
    with pytest.raises(UnreadableFile):
        read_features(path, SPEC)


def test_missing_and_foreign_files_are_unreadable(tmp_path):
    (tmp_path / "text").write_text("no features " * 100)
    save_file({"p2": torch.zeros(3)}, tmp_path / "foreign")
    save_file({"p2": torch.zeros(3)}, tmp_path / "other", {"features": "[1]"})
    (tmp_path / "folder").mkdir()
    write_features(tmp_path / "fewer", as_float16(features(0, spec=PyramidSpec(SPEC.levels[:3])), "x"))
    save_file({"p2": torch.zeros(3)}, tmp_path / "newer", {"features": '{"format": 2}'})
    for name in ("none", "text", "foreign", "other", "newer", "folder", "fewer"):
        with pytest.raises(UnreadableFile):
            read_features(tmp_path / name, SPEC)


def test_a_failed_write_leaves_nothing(tmp_path):
    (tmp_path / "a").mkdir()  # cannot be replaced by a file
    with pytest.raises(StorageError):
        write_features(tmp_path / "a", as_float16(features(0), "x"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_reading_a_window_maps_a_small_part_of_the_file(tmp_path):
    """Pages that were touched count as resident; the first read loads what the library itself needs."""
    done = warm.run([sys.executable, "-m", "tests.support.measure_pages", str(tmp_path / "a")], cwd=ROOT)
    window, whole, size = map(int, done.stdout.split())
    assert whole > 0.9 * size
    assert window < 0.3 * size  # an eighth of the rows; neighboring pages come along
