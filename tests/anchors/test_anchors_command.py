import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from fpnkit.data.shapes import ShapesSet
from fpnkit.runs.results import read_images, read_summary
from tests.support import warm
from tests.support.anchor_inputs import needs_vvc

CONFIG = """\
task: fpn_compression
detector: {kind: shapes_fcos}
data: {train: {kind: shapes, images: 4}, test: {kind: shapes, images: 3, seed: 5}}
loss: {lambda: 2.5e-4}
training: {epochs: 1}
"""
INSTALL = 'HEVC: required PyAV, found none; pip install "fpnkit[hevc]" installs it'
WITHOUT_AV = (
    "import sys; sys.modules['av'] = None; from fpnkit.anchors.__main__ import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "FPNKIT_HOME": str(home), "OMP_NUM_THREADS": "1"}


def anchors(
    home: Path, *arguments: object, start: tuple[str, ...] = ("-m", "fpnkit.anchors")
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", *start, *map(str, arguments)]
    return warm.run(command, env=environment(home))


def points(home: Path) -> dict[str, Path]:
    """`<codec>/<quality>` → its directory."""
    folders = (home / "checkpoints" / "anchors").glob("*/*/*/*")
    return {f"{path.parent.name}/{path.name}": path for path in folders}


def test_anchors_are_measured_as_codecs_are_and_once_only(tmp_path: Path, config: Path) -> None:
    arguments = ("--config", config, "--only", "jpeg_input", "zstd", "--qualities", 3, 8)
    done = anchors(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    found = points(tmp_path)
    assert sorted(found) == ["features_zstd/3", "features_zstd/8", "jpeg_input/3", "jpeg_input/8"]
    assert {path.parents[2].name for path in found.values()} == {"shapes_3_seed_5_shapes_fcos"}
    summary = read_summary(found["features_zstd/8"])
    assert (summary.codec, summary.quality, summary.images) == ("features_zstd", 8, 3)
    rows = read_images(found["features_zstd/8"])
    assert summary.bpp == pytest.approx(8 * sum(row.bytes for row in rows) / (3 * 192 * 192))
    assert summary.bpp_level is not None
    assert list(summary.bpp_level) == ["p2", "p3", "p4", "p5"]
    assert summary.share_of_ceiling is not None
    assert summary.share_of_ceiling > 0.9

    header, *lines, last = done.stdout.splitlines()
    assert header.split() == ["codec", "quality", "bpp", "KB/image", "mAP", "mAP50", "self-mAP", "of", "ceiling"]
    assert [line.split()[:2] for line in lines] == [
        ["jpeg_input", "3"],
        ["jpeg_input", "8"],
        ["features_zstd", "3"],
        ["features_zstd", "8"],
    ]
    again = anchors(tmp_path, *arguments, "--json")
    assert [each["bpp"] for each in json.loads(again.stdout)][3] == summary.bpp
    cells = lines[3].split()
    assert cells[2:4] == [f"{summary.bpp:.4f}", f"{summary.kb_per_image:.2f}"]
    assert cells[4] == f"{100 * (summary.map or 0):.1f}"
    ceiling = summary.ceiling
    assert last == (
        f"3 images; without compression mAP {100 * (ceiling.map or 0):.1f}, mAP50 {100 * (ceiling.map50 or 0):.1f}"
    )

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoints/anchors/**/*") if path.is_file()}
    again = anchors(tmp_path, *arguments)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_an_interrupted_measurement_goes_on_where_it_stopped(tmp_path: Path, config: Path) -> None:
    arguments = ("--config", config, "--only", "avif_input", "--qualities", "20", "--set", "data.test.images=30")
    command = [sys.executable, "-W", "ignore", "-m", "fpnkit.anchors", *map(str, arguments), "--workers", "2"]
    process = warm.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(tmp_path))
    rows = _wait_for_a_row(tmp_path)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "fpnkit.anchors: interrupted; the same command goes on where it stopped"
    done = rows.read_text().splitlines()  # with the seconds that each image took
    assert 1 <= len(done) < 30
    assert "measuring 30 images with 1 coder: 2 processes on cpu\n" in errors
    assert not rows.with_name("summary.json").exists()

    assert anchors(tmp_path, *arguments).returncode == 0
    assert rows.read_text().splitlines()[: len(done)] == done
    assert [row.image for row in read_images(rows.parent)] == list(range(30))
    assert read_summary(rows.parent).images == 30


def _wait_for_a_row(home: Path) -> Path:
    for _ in range(24000):
        for path in home.glob("checkpoints/anchors/*/*/*/*/images.jsonl"):
            if path.read_text().count("\n"):
                return path
        time.sleep(0.01)
    raise AssertionError("no image was measured")


def test_without_pyav_the_others_work_and_the_message_says_what_brings_it(tmp_path: Path, config: Path) -> None:
    start = ("-c", WITHOUT_AV)
    done = anchors(
        tmp_path,
        *("--config", config, "--only", "features_hevc", "zstd", "--qualities", 4, "--set", "data.test.images=1"),
        start=start,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == f"left out: features_hevc ({INSTALL})"
    assert list(points(tmp_path)) == ["features_zstd/4"]


@needs_vvc
def test_a_reduction_of_channels_is_measured_on_the_training_images(tmp_path: Path, config: Path) -> None:
    arguments = ("--config", config, "--only", "features_vvc_klt", "--qualities", 20, "--set", "data.test.images=1")
    done = anchors(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    (first,) = points(tmp_path).values()
    held_out = "of 3 images of shapes_4_seed_0_train "
    assert held_out in (read_summary(first).encoder or "")
    assert anchors(tmp_path, *arguments).stdout == done.stdout
    assert anchors(tmp_path, *arguments, "--set", "data.train.seed=9").returncode == 0
    assert len(list((tmp_path / "checkpoints" / "anchors").glob("*/*"))) == 2


def test_boxes_need_no_labels_and_are_counted_on_the_training_images(tmp_path: Path, config: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (33, 17)).save(tmp_path / "images" / "nothing_in_it.png")
    shapes = ShapesSet(2, seed=5)
    for index in range(2):
        pixels = shapes[index].image.permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(tmp_path / "images" / f"{index}.png")
    unlabeled = ("--set", f"data.test={{kind: folder, images: {tmp_path / 'images'}}}")
    done = anchors(tmp_path, "--config", config, "--only", "boxes", "--qualities", 60, 10, *unlabeled)
    assert done.returncode == 0, done.stderr
    found = points(tmp_path)
    assert sorted(found) == ["boxes/10", "boxes/60"]
    few, many = read_summary(found["boxes/60"]), read_summary(found["boxes/10"])
    assert few.bpp < many.bpp < 0.2
    assert (many.map, many.snr_db, many.ceiling.map) == (None, {}, None)
    assert many.self_map is not None
    assert many.self_map > 0.9
    assert "frequencies of 3 images of shapes_4_seed_0_train " in (many.encoder or "")
    nothing = [row.bytes for row in read_images(found["boxes/60"])]
    assert min(nothing) <= 6
    told = "3 images; without compression mAP none, mAP50 none"
    assert done.stdout.splitlines()[-1] == told


def test_hevc_alone_without_pyav_is_refused(tmp_path: Path, config: Path) -> None:
    done = anchors(tmp_path, "--config", config, "--only", "hevc", start=("-c", WITHOUT_AV))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"fpnkit.anchors: {INSTALL}\n")
    assert not (tmp_path / "checkpoints").exists()


def test_a_dry_run_opens_the_images_and_measures_nothing(tmp_path: Path, config: Path) -> None:
    few = ("--config", config, "--only", "jpeg", "--dry-run")
    done = anchors(tmp_path, *few)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.splitlines()[-1] == "dry run: everything is in order; nothing was measured"
    assert anchors(tmp_path, *few, "--json").stdout == "[]\n"
    gone = tmp_path / "gone"
    done = anchors(tmp_path, *few, "--set", f"data.test={{kind: folder, images: {gone}}}")
    told = f"fpnkit.anchors: {gone}: required a folder of images, found nothing\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
    assert list(tmp_path.iterdir()) == [config]


DETECTION = CONFIG.replace("fpn_compression", "detection").replace("loss: {lambda: 2.5e-4}\n", "")


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (
            ("--only", "avif_inptu"),
            CONFIG,
            "--only avif_inptu: no such anchor; did you mean avif_input? known are jpeg_original, jpeg_input, "
            "webp_original, webp_input, avif_original, avif_input, jxl_original, jxl_input, hevc_original, hevc_input, "
            "vvc_original, vvc_input, features_zstd, features_hevc, features_vvc, features_vvc_klt, "
            "boxes, jpeg, original, images, input, webp, avif, jxl, hevc, vvc, zstd, features",
        ),
        (
            ("--only", "zstd", "--qualities", "9"),
            CONFIG,
            "--qualities 9: required for features_zstd a number of bits from 1 to 8, such as its own 2 3 4 5 6 8",
        ),
        (("--only", "jpeg"), DETECTION, "FILE: task: required fpn_compression, found detection"),
        (
            ("--only", "jpeg", "--set", "data.tset=1"),
            CONFIG,
            "--set data.tset=1: data.tset: unknown key; did you mean test?",
        ),
    ],
)
def test_wrong_input_is_one_message_and_leaves_nothing(
    tmp_path: Path, arguments: tuple[str, ...], text: str, message: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    done = anchors(tmp_path, "--config", file, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"fpnkit.anchors: {message.replace('FILE', str(file))}\n"
    assert not (tmp_path / "checkpoints").exists()
