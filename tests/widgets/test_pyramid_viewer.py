import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.ops import box_iou

from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import load_codec
from fpnkit.config.load import load_config
from fpnkit.data.build import build_image_sets
from fpnkit.detectors.base import Detections
from fpnkit.detectors.build import build_detector
from fpnkit.errors import ConfigError, DataError, RunError, WeightsError
from fpnkit.metrics.detection import SELF_MAP_SCORE
from fpnkit.plots.images import limits_of, plot_channel, plot_level_bits
from fpnkit.runs import layout
from fpnkit.widgets.pyramid import loading as features_load
from fpnkit.widgets.pyramid import tabs
from fpnkit.widgets.pyramid.viewer import PyramidViewer
from tests.support.store import copy_store, store

CHANNELS, BITS, OBJECTS = range(3)
PNG = b"\x89PNG\r\n\x1a\n"


def text_of(*parts: Any) -> str:
    return " ".join(unescape(re.sub("<[^>]*>", " ", part.value)) for part in parts)


@pytest.fixture(scope="module")
def shared() -> Path:
    """Runs that no test changes."""
    return store() / "checkpoints" / "fpn_compression"


@pytest.fixture(scope="module")
def loader() -> features_load.Loader:
    """Of all tests: the detector is built once."""
    return features_load.Loader()


@pytest.fixture(autouse=True)
def _one_loader(loader: features_load.Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_load, "Loader", lambda device: loader)


@pytest.fixture
def viewer(shared: Path) -> PyramidViewer:
    """Just opened, on runs that must stay as they are."""
    made = PyramidViewer(shared)
    _ = made.view
    made.raise_failures()
    return made


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Runs that may be changed."""
    return copy_store(tmp_path / "home") / "checkpoints" / "fpn_compression"


def finished(viewer: PyramidViewer) -> list[Path]:
    """By lambda."""
    return [path for label, path in viewer.lmbda.options if not any(word in label for word in "■✖")]


def test_the_newest_codec_is_shown_and_every_lambda_of_its_sweep_is_on_the_slider(viewer: PyramidViewer) -> None:
    names = sorted(path.name for path in finished(viewer))
    assert viewer.view.run == viewer.lmbda.value
    assert viewer.view.run.name == names[-1]
    lambdas = ["λ 3e-6", "■ 2e-5", "λ 2e-5", "λ 1e-4", "✖ 5e-4", "λ 5e-4", "✖ 2.5e-3", "λ 2.5e-3"]
    assert [label.split(" · ")[0] for label, _ in viewer.lmbda.options] == lambdas
    assert f"✔ finished {viewer.view.run.name}, best model" in " ".join(text_of(viewer.said).split())
    summary = json.loads(next(viewer.view.run.glob("evaluation/*/*/summary.json")).read_text())
    assert viewer.lmbda.label == f"λ 2.5e-3 · {summary['bpp']:.3f} bpp"
    assert viewer.channels.picture.value.startswith(PNG)
    assert viewer.photo.value.startswith(PNG)


def test_no_tab_is_an_empty_frame(tmp_path: Path, viewer: PyramidViewer) -> None:
    empty = PyramidViewer(tmp_path)
    with pytest.raises(RunError):
        _ = empty.view
    viewer.finish()
    assert empty.tabs.layout.display == "none"
    assert viewer.tabs.layout.display is None
    assert "computing" not in text_of(viewer.channels.words)  # is drawn, the others are not yet
    for tab in (viewer.bits, viewer.objects):
        assert "computing …" in text_of(tab.words)
    assert viewer.bits.level.layout.display == "none"
    viewer.tabs.selected_index = BITS
    viewer.finish()
    assert "computing" not in text_of(viewer.bits.words)
    assert viewer.bits.level.layout.display is None


def test_what_is_shown_is_what_detector_and_codec_make_of_the_image(viewer: PyramidViewer) -> None:
    viewer.image.value = 4
    view = viewer.view
    config = load_config(view.run / layout.CONFIG_USED)
    images, detector = build_image_sets(config.data, config.seed)[1], build_detector(config.detector)
    trained = load_codec(view.run / layout.BEST_MODEL)
    with torch.no_grad():
        batch = detector.prepare([images[3].image])
        pyramid = detector.pyramid(batch)
        streams = trained.codec.encode(view.original, view.geometry)
        decoded = trained.codec.decode(streams)
        (before,), (after,) = (
            detector.detect(detector.complete(each), batch.geometry) for each in (view.original, decoded)
        )
    assert view.title == f"{images.name}, image 3"
    assert (view.photo.pixels == images[3].image.permute(1, 2, 0).numpy()).all()
    for name, level in pyramid.items():
        assert torch.equal(view.original[name], level.half().float())  # as in the feature cache
        assert torch.equal(view.decoded[name], decoded[name])
    for found, expected in ((view.before, before), (view.after, after)):
        assert torch.equal(found.boxes, expected.boxes)
        assert torch.equal(found.scores, expected.scores)
    payload = streams.bits_level()
    assert dict(zip(view.levels["level"], view.levels["payload_bits"], strict=True)) == payload
    assert sum(payload.values()) / 8 < view.file_bytes < sum(payload.values()) / 8 + 100  # a small head


def test_a_test_image_is_what_the_evaluation_coded_and_found(viewer: PyramidViewer) -> None:
    viewer.split.value, viewer.image.value = "test", 8
    view = viewer.view
    viewer.raise_failures()
    (folder,) = view.run.glob(f"evaluation/*/{view.model}")
    data = (folder / "streams" / "7.fpn").read_bytes()
    received = LearnedCoder(load_codec(view.run / layout.BEST_MODEL)).decode(data).pyramid
    for name, level in received.items():  # a latent or two may be rounded otherwise: the cache is in half precision
        assert float((view.decoded[name] - level).abs().mean()) < 0.02 * float(level.abs().mean())
    assert view.file_bytes == pytest.approx(len(data), rel=0.01)
    assert view.bpp == pytest.approx(8 * view.file_bytes / 192**2)
    kept = [each for each in json.loads((folder / "detections.json").read_text()) if each["image_id"] == 7]
    sure = sorted(each["score"] for each in kept if each["score"] > 0.5)
    assert sorted(view.boxes(0.5).query("features == 'decoded'")["score"]) == pytest.approx(sure, abs=0.05)


def test_heat_adds_up_to_the_estimate_and_the_estimate_to_nearly_the_payload(viewer: PyramidViewer) -> None:
    levels = viewer.view.levels.set_index("level")
    heat = viewer.view.bits.groupby("level")["bits"].sum()
    for name in viewer.view.spec.names:
        assert heat[name] == pytest.approx(levels.loc[name, "estimated_bits"], rel=1e-3)
        assert levels.loc[name, "payload_bits"] == pytest.approx(levels.loc[name, "estimated_bits"], rel=0.01, abs=96)
    viewer.tabs.selected_index = BITS
    viewer.raise_failures()
    assert viewer.bits.picture.value.startswith(PNG)
    assert f"p3 {levels.loc['p3', 'payload_bits']:,}" in " ".join(text_of(viewer.bits.words).split())


def test_the_channel_and_the_level_that_are_chosen_are_drawn(
    viewer: PyramidViewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[pd.DataFrame] = []
    for name in ("plot_channel", "plot_level_bits"):
        figure = getattr(tabs, name)
        monkeypatch.setattr(
            tabs,
            name,
            lambda about, table, *more, figure=figure: drawn.append(table) or figure(about, table, *more),
        )
    view = viewer.channels
    for control, value in ((view.level, "p3"), (view.channel, 17), (view.mean, True)):
        control.value = value
        viewer.finish()
    viewer.tabs.selected_index = BITS
    viewer.finish()
    viewer.bits.level.value = "p4"
    viewer.raise_failures()
    level = viewer.view.decoded["p3"][0]
    for table, expected in zip(drawn, (level[0], level[17], level.mean(0)), strict=False):
        assert np.allclose(table["decoded"], expected.flatten().numpy(), atol=1e-3)
    assert [table["level"].iloc[0] for table in drawn] == ["p3", "p3", "p3", "p4"]
    assert drawn[3]["bits"].sum() == pytest.approx(
        viewer.view.levels.set_index("level").loc["p4", "estimated_bits"], rel=1e-3
    )


def test_the_words_about_a_channel_are_true(viewer: PyramidViewer) -> None:
    viewer.channels.level.value, viewer.channels.channel.value = "p3", 17
    viewer.finish()
    view, words = viewer.view, text_of(viewer.channels.words)
    original, decoded = (pyramid["p3"][0].double() for pyramid in (view.original, view.decoded))
    snr = 10 * torch.log10(original[17].var(correction=0) / (decoded[17] - original[17]).square().mean())
    reference = load_codec(view.run / layout.BEST_MODEL).codec.standardiser.variance()["p3"]
    whole = 10 * torch.log10(reference / (decoded - original).square().mean())
    assert f"p3: 64 channels of 24 x 24 cells, SNR {whole:.1f} dB" in words
    assert f"Channel 17: SNR {snr:.1f} dB" in words
    active = original.var((1, 2), correction=0).argsort(descending=True)[:6].tolist()
    assert f"Most active here: channels {', '.join(map(str, active))}." in words


def test_moving_a_control_changes_the_picture_and_keeps_the_rest(viewer: PyramidViewer) -> None:
    channels = viewer.channels
    viewer.finish()
    seen = [channels.picture.value]

    def move(control: widgets.Widget, value: object) -> None:
        control.value = value
        viewer.raise_failures()
        seen.append(channels.picture.value)

    move(channels.channel, 5)
    move(channels.level, "p4")
    assert channels.channel.value == 5
    move(viewer.lmbda, finished(viewer)[0])
    assert (channels.level.value, channels.channel.value, viewer.image.value) == ("p4", 5, 1)
    photo = viewer.photo.value
    move(viewer.image, 8)
    assert viewer.photo.value != photo
    move(channels.mean, True)
    assert channels.channel.disabled
    move(viewer.dark, True)
    assert len(set(seen)) == len(seen)


def test_more_bits_for_more_lambda_and_a_closer_copy(viewer: PyramidViewer) -> None:
    bpp, error = [], []
    for path in finished(viewer)[::2]:
        viewer.lmbda.value = path
        bpp.append(viewer.view.bpp)
        error.append(viewer.view.channels["mse"].mean())
    viewer.raise_failures()
    assert bpp == sorted(bpp)
    assert error[0] > error[-1]


def alone(own: Detections, other: Detections, least: float) -> int:
    """How many have no counterpart of their class that overlaps them by half."""
    (boxes, labels), (others, theirs) = (
        (each.boxes[each.scores >= least], each.labels[each.scores >= least]) for each in (own, other)
    )
    found = (box_iou(boxes, others) >= 0.5) & (labels[:, None] == theirs)
    return int((~found.any(1)).sum())


def test_objects_follow_the_score_and_are_counted(viewer: PyramidViewer) -> None:
    viewer.lmbda.value = finished(viewer)[0]
    viewer.tabs.selected_index = OBJECTS
    assert viewer.objects.threshold.value == SELF_MAP_SCORE
    viewer.objects.threshold.value = 0.5
    viewer.raise_failures()
    view, words = viewer.view, text_of(viewer.objects.words)
    counts = [int((each.scores >= 0.5).sum()) for each in (view.before, view.after)]
    lost, new = alone(view.before, view.after, 0.5), alone(view.after, view.before, 0.5)
    assert lost != new
    found = re.match(r"\s*(\d+) objects? before, (\d+) after: (\d+) lost, (\d+) new\.", words)
    assert found is not None
    assert list(map(int, found.groups())) == [*counts, lost, new]
    picture = viewer.objects.picture.value
    viewer.objects.threshold.value = 0.1
    viewer.raise_failures()
    assert viewer.objects.picture.value != picture


def test_the_figure_shows_the_cells_themselves_before_and_after_on_one_scale(viewer: PyramidViewer) -> None:
    view = viewer.view
    cells = view.cells("p2", 3)
    *panels, _, _ = plot_channel(view.photo.size, cells, "p2").axes
    original, decoded, difference = (panel.images[0] for panel in panels)
    shown = [image.get_array() for image in (original, decoded, difference)]
    for array, pyramid in zip(shown, (view.original, view.decoded), strict=False):
        assert np.allclose(array, pyramid["p2"][0, 3].numpy(), atol=1e-3)
    assert np.allclose(shown[2], (view.decoded["p2"] - view.original["p2"])[0, 3].numpy(), atol=2e-3)
    assert original.get_clim() == decoded.get_clim() == limits_of(cells)
    low, high = difference.get_clim()
    assert low == -high
    assert high - low == pytest.approx(original.get_clim()[1] - original.get_clim()[0])
    mean = view.cells("p2", None)
    assert np.allclose(mean["decoded"], view.decoded["p2"][0].mean(0).flatten().numpy(), atol=1e-3)
    assert original.get_extent() == [0, 192, 192, 0]


def test_a_dead_channel_and_a_level_without_bits_can_be_drawn(viewer: PyramidViewer) -> None:
    view = viewer.view
    flat = view.cells("p3", 0).assign(original=0.25, decoded=0.25)
    low, high = limits_of(flat)
    assert low < high
    plot_channel(view.photo.size, flat, "p3").draw_without_rendering()
    nothing = view.bits[view.bits["level"] == "p5"].assign(bits=0.0)
    plot_level_bits(view.photo, nothing).draw_without_rendering()


def test_runs_that_come_later_are_found_by_refresh(shared: Path, tmp_path: Path) -> None:
    viewer = PyramidViewer(tmp_path / "runs")
    with pytest.raises(RunError):
        _ = viewer.view
    assert {key: str(error) for key, error in viewer.failures.items()} == {
        "refresh": f"base directory {tmp_path}/runs: does not exist"
    }
    run = max(shared.glob("run_*"))
    shutil.copytree(run, tmp_path / "runs" / run.name)
    viewer.reload.click()
    viewer.raise_failures()
    assert viewer.view.run == tmp_path / "runs" / run.name
    assert viewer.lmbda.disabled  # there is nothing to go to


def test_a_deleted_run_is_said_in_place_and_others_can_be_shown(base: Path) -> None:
    viewer = PyramidViewer(base)
    gone, other = viewer.view.run, finished(viewer)[0]
    shutil.rmtree(gone)
    viewer.image.value = 2
    viewer.finish()
    assert {key: str(error) for key, error in viewer.failures.items()} == {"show": f"{gone}: not a run directory"}
    assert viewer.tabs.layout.display == "none"  # what was showing not what is chosen
    with pytest.raises(RunError, match=re.escape(f"{gone}: not a run directory")):
        _ = viewer.view
    viewer.lmbda.value = other
    viewer.raise_failures()
    assert viewer.view.run == other
    assert viewer.tabs.layout.display is None
    shutil.rmtree(other)
    viewer.reload.click()
    viewer.raise_failures()
    assert f"{other.name} is gone." in text_of(viewer.said)
    assert viewer.view.run not in (gone, other)


@pytest.mark.parametrize(
    ("kind", "change", "expected"),
    [
        (RunError, "model", "run RUN: required best_model.pth, found none; it has not finished an epoch"),
        (WeightsError, "damage", "RUN/best_model.pth: required a weight file of torch's; it is none, or is torn"),
        (ConfigError, "config", "RUN/config_used.yaml:1: detector: required, but missing"),
        (DataError, "images", "BASE/nothing: required a folder of images, found nothing"),
        (WeightsError, "weights", "BASE/none.pth: required a weight file, found nothing"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_place(base: Path, kind: type[Exception], change: str, expected: str) -> None:
    run = max(base.glob("run_*"))
    config = run / layout.CONFIG_USED
    match change:
        case "model":
            (run / layout.BEST_MODEL).unlink()
        case "damage":
            (run / layout.BEST_MODEL).write_bytes(b"PK")
        case "config":
            config.write_text(_without_detector(config, ""))
        case "images":
            config.write_text(_with_section(config, "val", f"{{kind: folder, images: {base}/nothing}}"))
        case "weights":
            config.write_text(_without_detector(config, f"detector: {{kind: nanodet_m, weights: {base}/none.pth}}\n"))
    viewer = PyramidViewer(base)
    with pytest.raises(kind):
        _ = viewer.view
    assert list(viewer.failures) == ["show"]
    assert str(viewer.failures["show"]).replace(str(run), "RUN").replace(str(base), "BASE") == expected
    viewer.lmbda.value = finished(viewer)[0]
    viewer.raise_failures()
    assert viewer.view.run == viewer.lmbda.value


def _without_detector(config: Path, other: str) -> str:
    return re.sub(r"detector:\n(  .*\n)+", other, config.read_text())


def _with_section(config: Path, name: str, content: str) -> str:
    return re.sub(rf"  {name}:\n(    .*\n)+", f"  {name}: {content}\n", config.read_text())


def test_refresh_picks_up_a_newer_best_model(base: Path) -> None:
    viewer = PyramidViewer(base)
    view = viewer.view
    other = finished(viewer)[0]
    shutil.copy(other / layout.BEST_MODEL, view.run / "new")
    (view.run / "new").rename(view.run / layout.BEST_MODEL)  # as training replaces it
    viewer.channels.channel.value = 3
    assert viewer.view is view
    viewer.reload.click()
    viewer.raise_failures()
    assert viewer.view.run == view.run
    assert viewer.view.model == load_codec(other / layout.BEST_MODEL).hash != view.model
    assert f"({viewer.view.model})" in text_of(viewer.said)


def test_a_search_offers_what_it_finds_and_all_again(viewer: PyramidViewer) -> None:
    before = viewer.lmbda.options
    viewer.search.value = "paper"  # a tag
    (chosen,) = (path for _, path in viewer.lmbda.options)
    assert viewer.view.run == chosen
    assert json.loads((chosen / layout.TAGS).read_text()) == ["paper"]
    viewer.search.value = "no such word"
    with pytest.raises(RunError):
        _ = viewer.view
    assert "search for something else" in text_of(viewer.said)
    viewer.search.value = ""
    viewer.raise_failures()
    assert viewer.lmbda.options == before
