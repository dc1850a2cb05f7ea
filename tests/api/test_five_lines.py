"""`import fpnkit`: from an image to bytes to boxes, as a script does it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import fpnkit as fk
from fpnkit.data.shapes import ShapesSet
from fpnkit.errors import DataError, RunError, StreamError, UserError
from fpnkit.runs import layout
from tests.support.curve_run import copy_run, trained_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    copy_run(tmp_path / "checkpoints" / "fpn_compression")
    return fk.run(trained_run().name[4:])


@pytest.fixture
def street(tmp_path: Path) -> Path:
    Image.fromarray(pixels()).save(tmp_path / "street.png")
    return tmp_path / "street.png"


def pixels() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return ShapesSet(1, 3)[0].image.permute(1, 2, 0).numpy()


def test_an_image_becomes_bytes_and_these_become_boxes(run: Any, street: Path) -> None:
    detector, codec = run.detector(), run.codec()
    pyramid = detector.pyramid(street)
    data = codec.encode(pyramid, quality=2)
    assert isinstance(data, bytes)
    decoded = codec.decode(data)
    assert decoded.geometry == pyramid.geometry
    assert {name: level.shape for name, level in decoded.items()} == {k: v.shape for k, v in pyramid.items()}
    found, original = detector.detect(decoded), detector.detect(street)
    assert len(original.above(0.5)) > 0
    assert len(found.boxes) == len(found.scores) == len(found.labels) == len(found.names) == len(found)
    assert set(original.names) <= set(detector.class_names.values())
    drawing = fk.plot_boxes(street, original)
    assert drawing._repr_png_().startswith(b"\x89PNG")
    assert len(drawing.ax.texts) == len(original.above(0.5))
    assert len(codec.encode(pyramid, quality=0)) < len(data)


def test_a_pyramid_of_more_values_than_wanted_is_not_decoded(run: Any, street: Path) -> None:
    pyramid, codec = run.detector().pyramid(street), run.codec()
    data, values = codec.encode(pyramid), sum(level.numel() for level in pyramid.values())
    with pytest.raises(StreamError) as error:
        codec.decode(data, max_values=values - 1)
    assert str(error.value) == (
        f"levels: required a pyramid of at most {values - 1:,} values, found {values:,} for a canvas of 192 x 192; "
        "--max-values N, or max_values in Python, lifts the limit"
    )
    assert sum(level.numel() for level in codec.decode(data, max_values=values).values()) == values


def test_bytes_are_those_of_the_command(run: Any, street: Path, tmp_path: Path) -> None:
    arguments = ["encode", run.name, str(street), "--quality", "1.5", "-o", str(tmp_path)]
    from fpnkit.bitstream.__main__ import main

    assert main(arguments) == 0
    data = run.codec().encode(run.detector().pyramid(street), 1.5)
    assert (tmp_path / "street.fpn").read_bytes() == data


def test_images_come_in_any_form(run: Any, street: Path) -> None:
    detector = run.detector()
    expected = detector.pyramid(street)
    forms = [Image.fromarray(pixels()), pixels(), torch.from_numpy(pixels()).permute(2, 0, 1), str(street)]
    for found in map(detector.pyramid, forms):
        assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (np.zeros((4, 5, 3)), "float64 of 4 x 5 x 3"),
        (np.zeros((3, 4, 5), np.uint8), "uint8 of 3 x 4 x 5"),
        (torch.zeros(4, 5, 3, dtype=torch.uint8), "uint8 of 4 x 5 x 3"),
        (torch.zeros(3, 4, 5), "float32 of 3 x 4 x 5"),
    ],
)
def test_other_arrays_are_refused(run: Any, image: object, text: str) -> None:
    with pytest.raises(DataError) as error:
        run.detector().pyramid(image)
    expected = "image: required uint8, an array (height, width, 3) or a tensor (3, height, width); found "
    assert str(error.value) == expected + text


def test_what_is_no_image_is_refused(run: Any) -> None:
    with pytest.raises(DataError) as error:
        run.detector().pyramid(7)
    assert str(error.value) == "image: required a path, a Pillow image, an array or a tensor, found int"


def test_a_rate_can_be_asked_for(run: Any, street: Path) -> None:
    pyramid, codec = run.detector().pyramid(street), run.codec()
    size = len(codec.encode(pyramid, 1))
    within = codec.encode(pyramid, target_kb=size / 1000)
    assert size * 0.9 < len(within) <= size
    assert len(codec.encode(pyramid, target_bpp=8 * size / pixels()[..., 0].size)) == len(within)
    with pytest.raises(UserError) as error:
        codec.encode(pyramid, 1, target_kb=1)
    assert str(error.value) == "encode: required one of quality, target_bpp and target_kb, found quality and target_kb"
    assert codec.encode(pyramid) == codec.encode(pyramid, 1), "the middle of the curve"
    with pytest.raises(UserError) as error:
        codec.encode(pyramid, 3)
    assert str(error.value) == "quality: required a number from 0 to 2, found 3"


def test_a_search_is_that_of_the_command(run: Any, street: Path, tmp_path: Path) -> None:
    from fpnkit.bitstream.__main__ import main

    assert main(["encode", run.name, str(street), "--quality", "2", "--search", "4", "-o", str(tmp_path)]) == 0
    pyramid, codec = run.detector().pyramid(street), run.codec()
    data = codec.encode(pyramid, 2, search=4)
    assert (tmp_path / "street.fpn").read_bytes() == data
    assert data != codec.encode(pyramid, 2)


def test_everything_says_in_one_line_what_it_is(run: Any, street: Path) -> None:
    detector, codec = run.detector(), run.codec()
    pyramid = detector.pyramid(street)
    found = detector.detect(pyramid)
    shown = [repr(each) for each in (run, detector, codec, pyramid, found, fk.plot_boxes(street, found))]
    assert all("\n" not in each and 20 < len(each) < 300 for each in shown), shown
    assert shown[0].startswith(f"<Run {run.name}: finished, best loss ")
    assert shown[3].startswith("<FeaturePyramid of an image of 192 x 192 pixels: p2 ")


def test_runs_and_their_points_are_tables(run: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert fk.runs()["name"].tolist() == [run.name]
    assert fk.runs("codec == 'fused'")["name"].tolist() == [run.name]
    assert fk.runs(query="codec == 'linear'").empty
    table = fk.evaluate(run, qualities=[0, 2], device="cpu", workers=1, data__test__images=1)
    assert table["quality"].tolist() == [0.0, 2.0]
    assert f"{run.name} on " in capfd.readouterr().out
    again = fk.points([run])
    assert again["bpp"].tolist() == table["bpp"].tolist()
    assert fk.plot_rd([run.name])._repr_png_()
    assert fk.bd_rate("fused").empty
    assert fk.bd_rate().empty
    with pytest.raises(UserError):
        fk.bd_rate("gzip")


def test_a_run_is_trained_and_a_refused_config_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    config = {
        "task": "fpn_compression",
        "detector": {"kind": "shapes_fcos"},
        "data": {"train": {"kind": "shapes", "images": 4}, "val": {"kind": "shapes", "images": 1, "seed": 5}},
        "codec": {"kind": "factorized", "channels": 4, "latent_channels": 4},
        "loss": {"lambda": 1e-4},
        "cache": {"directory": str(tmp_path / "features")},
    }
    few: dict[str, Any] = {"training__epochs": 1, "training__crop": 64, "training__device": "cpu"}
    done = fk.train(config, **few)
    assert done.info.status == "finished"
    assert done.config.training.epochs == 1
    with pytest.raises(UserError) as error:
        fk.train(config, training__epoch=1, **few)
    assert str(error.value).endswith("training.epoch: unknown key; did you mean epochs?")
    table = fk.sweep(config, [1e-5, 1e-4], base_dir=tmp_path / "swept", **few)
    assert sorted(table["lmbda"]) == [1e-5, 1e-4]


def test_a_run_without_a_model_and_foreign_bytes_are_refused(run: Any) -> None:
    with pytest.raises(StreamError):
        run.codec().decode(b"FPN?")
    (run.path / layout.BEST_MODEL).unlink()
    with pytest.raises(RunError) as error:
        fk.run(run.name).codec()
    assert str(error.value).endswith(f"required {layout.BEST_MODEL}, found none; it has not finished an epoch")


def test_importing_is_cheap_and_names_are_listed() -> None:
    code = (
        "import sys, fpnkit as fk; dir(fk); fk.runs; fk.run; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'matplotlib', 'ipywidgets')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert {"run", "runs", "train", "sweep", "evaluate", "points", "plot_rd", "bd_rate", "TrainingPanel"} <= set(
        dir(fk)
    )
    assert all(getattr(fk, name) is not None for name in fk.__all__)
    with pytest.raises(AttributeError, match="module 'fpnkit' has no attribute 'nothing'"):
        _ = fk.nothing
