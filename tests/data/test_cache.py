import logging
import os
import random
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from fpnkit.data import cache as cache_module
from fpnkit.data import cache_folder
from fpnkit.data.cache import CachePlan, FeatureCache, default_root
from fpnkit.data.feature_file import write_features
from fpnkit.data.windows import Window, as_float16, as_float32, crop
from fpnkit.errors import FpnkitError, PyramidError
from fpnkit.pyramid import LevelSpec, PyramidSpec
from tests.support import ROOT, warm
from tests.support.feature_files import SPEC, Counted, cache, features, files

WINDOW = Window(32, 64, 64, 96)
ROUNDED = [as_float32(as_float16(features(index), "x")) for index in range(6)]
IMAGE_BYTES = as_float16(features(0), "x").pyramid_bytes
FILE_BYTES = IMAGE_BYTES + 1000  # more than a header takes


def same(a, b):
    return (a.geometry, a.window, list(a.pyramid)) == (b.geometry, b.window, list(b.pyramid)) and all(
        torch.equal(a.pyramid[name], b.pyramid[name]) for name in a.pyramid
    )


def age(folder, seconds):
    past = time.time() - seconds
    os.utime(folder, (past, past))


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_filled_cache_gives_every_image_without_computing(tmp_path):
    compute = Counted()
    stored = cache(tmp_path, compute)
    seen = []
    stored.fill(lambda done, total: seen.append((done, total)))
    assert sorted(compute.asked) == list(range(6))
    assert seen == [(done, 6) for done in range(1, 7)]
    assert all(same(stored.load(index), ROUNDED[index]) for index in range(6))
    assert all(
        same(stored.crop(index, lambda geometry: WINDOW), crop(ROUNDED[index], WINDOW, SPEC)) for index in range(6)
    )
    assert len(compute.asked) == 6
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".safetensors"] == []


def test_an_image_is_kept_when_it_is_first_read(tmp_path):
    compute = Counted()
    stored = cache(tmp_path, compute)
    assert [same(stored.load(2), ROUNDED[2]) for _ in range(2)] == [True, True]
    assert compute.asked == [2]


def test_values_do_not_depend_on_whether_they_were_kept(tmp_path):
    without, stored = cache(tmp_path / "a", budget=0), cache(tmp_path / "b")
    stored.fill()
    assert same(without.load(1), stored.load(1))
    assert same(without.crop(1, lambda geometry: WINDOW), stored.crop(1, lambda geometry: WINDOW))
    assert all(level.dtype == torch.float32 for level in without.load(1).pyramid.values())


def test_the_window_is_drawn_once_from_the_geometry(tmp_path):
    shown = []

    def choose(geometry):
        shown.append(geometry)
        return WINDOW

    stored = cache(tmp_path)
    stored.crop(3, choose)
    stored.crop(3, choose)
    fewer_levels = features(3, spec=PyramidSpec(SPEC.levels[:2]))
    write_features(files(tmp_path)[0], as_float16(fewer_levels, "x"))
    assert same(stored.crop(3, choose), crop(ROUNDED[3], WINDOW, SPEC))
    assert shown == [ROUNDED[3].geometry] * 3


@pytest.mark.parametrize("damage", ["torn", "garbage", "empty", "gone"])
def test_a_damaged_file_is_written_anew_on_reading(tmp_path, damage):
    stored = cache(tmp_path, count=1)
    stored.fill()
    (path,) = files(tmp_path)
    content = path.read_bytes()
    rng = random.Random(damage)
    for _ in range(10):
        path.unlink()
        if damage != "gone":
            kept = {"torn": content[: rng.randrange(len(content))], "garbage": rng.randbytes(500), "empty": b""}
            path.write_bytes(kept[damage])
        assert same(stored.load(0), ROUNDED[0])
        assert path.read_bytes() == content


def test_another_detector_never_meets_the_features_of_the_first(tmp_path):
    cache(tmp_path, lambda index: features(index + 100)).fill()
    assert same(cache(tmp_path, fingerprint="other").load(1), ROUNDED[1])
    assert not same(cache(tmp_path).load(1), ROUNDED[1])


def test_features_that_do_not_fit_the_specification_are_refused(tmp_path):
    spec = PyramidSpec((LevelSpec("p2", 9, 4),))
    with pytest.raises(PyramidError) as error:
        cache(tmp_path, spec=spec).load(0)
    assert str(error.value).startswith("pyramid: required p2 9 channels at stride 4; found p2 8 channels, ")


def test_values_beyond_float16_are_an_error_and_leave_no_file(tmp_path):
    def large(index):
        whole = features(index)
        whole.pyramid["p4"].mul_(1e6)
        return whole

    with pytest.raises(FpnkitError) as error:
        cache(tmp_path, large).fill()
    assert str(error.value).startswith("features of image ")
    assert files(tmp_path) == []


# --- several processes --------------------------------------------------------------------------------------------


FILL = """
import sys
from functools import partial
from pathlib import Path
from tests.support.feature_files import Counted, cache, features
compute = Counted(partial(features, seconds=0.01))
stored = cache(Path(sys.argv[1]), compute, count=60)
print("ready", flush=True)
sys.stdin.readline()
stored.fill()
print(*compute.asked)
"""


def test_processes_that_fill_at_once_share_the_work_and_leave_whole_files(tmp_path):
    command = [sys.executable, "-c", FILL, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [warm.Popen(command, cwd=ROOT, **pipes) for _ in range(3)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    asked = [[int(index) for index in process.communicate(timeout=100)[0].split()] for process in processes]
    assert set().union(*asked) == set(range(60))
    assert sum(map(len, asked)) < 120  # three that share nothing would compute 180
    assert len(files(tmp_path)) == len([path for path in tmp_path.rglob("*") if path.is_file()]) == 60

    def never(index):
        raise AssertionError(f"image {index} computed again")

    stored = cache(tmp_path, never, count=60)
    assert all(same(stored.load(index), as_float32(as_float16(features(index), "x"))) for index in range(60))


def test_filling_leaves_the_global_random_state_alone(tmp_path):
    random.seed(1)
    before = random.getstate()
    cache(tmp_path).fill()
    assert random.getstate() == before


# --- plan and budget ----------------------------------------------------------------------------------------------


def test_the_plan_computes_the_first_images_and_says_what_the_rest_takes(tmp_path):
    compute = Counted(partial(features, seconds=0.02))
    stored = cache(tmp_path, compute)
    plan = stored.plan()
    assert compute.asked == [0, 1, 2, 3]
    assert len(files(tmp_path)) == 4
    assert (plan.images, plan.present, plan.fitting, plan.left_out) == (6, 4, 2, 0)
    assert plan.image_bytes == IMAGE_BYTES
    assert plan.image_seconds >= 0.02
    stored.fill()
    assert sorted(compute.asked) == list(range(6))
    assert stored.plan().describe() == f"feature cache {plan.directory}: 6 of 6 images present"


def test_the_line_for_the_log_says_size_time_place_and_what_does_not_fit():
    plan = CachePlan(
        directory=Path("/c/ab"),
        images=100,
        present=2,
        fitting=60,
        image_bytes=2 * 10**7,
        image_seconds=0.5,
        dropped_bytes=3 * 10**6,
    )
    assert plan.describe() == (
        "feature cache /c/ab: 2 of 100 images present, 60 to add (about 1.2 GB, 30 s), "
        "38 do not fit (760.0 MB) and are computed whenever they are needed, "
        "dropped 3.0 MB of detectors not used for a day"
    )


def test_what_exceeds_the_budget_is_computed_whenever_it_is_needed(tmp_path):
    compute = Counted()
    stored = cache(tmp_path, compute, budget=3 * FILE_BYTES)
    plan = stored.plan()
    stored.fill()
    assert (plan.present, plan.fitting, plan.left_out) == (3, 0, 3)
    assert len(files(tmp_path)) == 3
    assert cache_folder.used_bytes(tmp_path) <= 3 * FILE_BYTES
    assert all(same(stored.load(index), ROUNDED[index]) for index in range(6))
    assert len(files(tmp_path)) == 3


def test_no_budget_keeps_nothing_and_drops_nothing(tmp_path):
    cache(tmp_path, fingerprint="old").fill()
    before = files(tmp_path)
    age(before[0].parent, 10**6)
    compute = Counted()
    stored = cache(tmp_path, compute, budget=0)
    plan = stored.plan()
    stored.fill()
    assert same(stored.load(0), ROUNDED[0])
    assert files(tmp_path) == before
    assert plan.describe() == (
        f"feature cache {plan.directory}: 0 of 6 images present, "
        "6 do not fit (no budget) and are computed whenever they are needed"
    )


def test_detectors_not_used_for_a_day_make_room_longest_unused_first(tmp_path):
    folders = {}
    for name, unused in (("week", 7 * 86400), ("days", 2 * 86400), ("hour", 3600)):
        cache(tmp_path / name, fingerprint=name).fill()
        (folder,) = (tmp_path / name).iterdir()
        folders[name] = folder.rename(tmp_path / folder.name)
        (tmp_path / name).rmdir()
        age(folders[name], unused)
    enough_after_one = cache(tmp_path, budget=18 * FILE_BYTES)
    assert enough_after_one.plan().dropped_bytes > 6 * IMAGE_BYTES
    assert [name for name, folder in folders.items() if folder.exists()] == ["days", "hour"]
    plan = cache(tmp_path, budget=7 * FILE_BYTES, fingerprint="new").plan()
    assert [name for name, folder in folders.items() if folder.exists()] == ["hour"]
    assert plan.left_out > 0


def test_dropping_takes_nothing_that_is_not_the_caches(tmp_path):
    keep = [tmp_path / "photos" / "a.safetensors", tmp_path / ("a" * 16) / "notes.txt", tmp_path / "b.safetensors"]
    for path in keep:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(10**6))
    for folder in (tmp_path / "photos", tmp_path / ("a" * 16)):
        age(folder, 10**6)
    cache(tmp_path, budget=3 * FILE_BYTES).plan()
    assert all(path.exists() for path in keep)


def test_reading_counts_as_use(tmp_path):
    cache(tmp_path).fill()
    folder = files(tmp_path)[0].parent
    age(folder, 10**6)
    cache(tmp_path).load(0)
    assert time.time() - folder.stat().st_mtime < 60


def test_half_written_files_of_killed_processes_are_removed_after_a_day(tmp_path):
    cache(tmp_path, count=2).fill()
    folder = files(tmp_path)[0].parent
    for name, seconds in (("old.tmp", 2 * 86400), ("new.tmp", 60)):
        (folder / name).touch()
        age(folder / name, seconds)
    cache(tmp_path).plan()
    assert [path.name for path in folder.glob("*.tmp")] == ["new.tmp"]


# --- disks that refuse --------------------------------------------------------------------------------------------


def test_a_directory_that_cannot_be_made_is_told_once_and_the_work_goes_on(tmp_path, caplog):
    (tmp_path / "file").touch()
    stored = cache(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        plan = stored.plan()
        stored.fill()
        assert all(same(stored.load(index), ROUNDED[index]) for index in range(6))
    assert plan.left_out == 6
    assert [record.getMessage() for record in caplog.records] == [
        f"feature cache {plan.directory}: [Errno 20] Not a directory: '{plan.directory}'; "
        "features are computed whenever they are needed"
    ]


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path, caplog):
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    stored = cache(tmp_path)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing beyond the limit is then an OSError
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (IMAGE_BYTES // 2, limits[1]))
    try:
        with caplog.at_level(logging.WARNING):
            stored.fill()
            assert same(stored.load(1), ROUNDED[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert len(caplog.records) == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_with_less_free_space_than_budget_bounds_the_plan(tmp_path, monkeypatch):
    usage = cache_module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda path: usage._replace(free=5 * FILE_BYTES))
    assert cache(tmp_path).plan().fitting == 1  # four were kept for the estimate


def test_a_plan_that_only_reads_knows_the_disk_too(tmp_path, monkeypatch):
    usage = cache_module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda path: usage._replace(free=5 * FILE_BYTES))
    plan = cache(tmp_path / "none", read_only=True).plan()
    assert (plan.fitting, plan.left_out, plan.wanted_bytes) == (5, 1, 6 * IMAGE_BYTES)
    assert list(tmp_path.iterdir()) == []


def test_what_another_cache_will_write_first_is_left_to_it(tmp_path):
    plan = cache(tmp_path, budget=9 * FILE_BYTES, read_only=True).plan(5 * FILE_BYTES)
    assert (plan.fitting, plan.wanted_bytes) == (4, 4 * IMAGE_BYTES)
    plan = cache(tmp_path, budget=9 * FILE_BYTES).plan(4 * FILE_BYTES)  # four were kept for the estimate
    assert (plan.fitting, plan.wanted_bytes) == (1, IMAGE_BYTES)
    assert cache(tmp_path, budget=9 * FILE_BYTES).plan(20 * FILE_BYTES).wanted_bytes == 0


# --- memory -------------------------------------------------------------------------------------------------------


def _anonymous_growth(root, count):
    done = warm.run([sys.executable, "-m", "tests.support.measure_memory", str(root), str(count)], cwd=ROOT)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_anonymous_memory_does_not_grow_with_the_number_of_images(tmp_path):
    few, many = (_anonymous_growth(tmp_path / str(count), count) for count in (50, 400))
    stored = 350 * IMAGE_BYTES * 4  # what the difference takes on disk, at four times the channels
    assert many - few < stored / 8


def test_the_default_root_is_the_users_cache_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform.startswith("linux"):
        assert default_root() == tmp_path / "fpnkit" / "features"
    assert default_root().parts[-2:] == ("fpnkit", "features")


def test_length_is_the_number_of_images(tmp_path):
    assert len(FeatureCache(tmp_path, "x", SPEC, ["a", "b"], features, 0)) == 2
