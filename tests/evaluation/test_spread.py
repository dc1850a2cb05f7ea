"""Evaluations by several processes."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from fpnkit.detectors.shapes_fcos import NAME
from fpnkit.errors import FpnkitError, UserError
from fpnkit.evaluation.run import Job, Origin, evaluate
from fpnkit.evaluation.task import Task, build_task
from fpnkit.runs.results import STREAMS, Summary, read_images, read_summary
from tests.support import warm
from tests.support.coders import config
from tests.support.recipes import Fragile, Rounded

IMAGES = 11  # more than two workers may be ahead by
CLOCK = ("encode_seconds", "decode_seconds", "peak_memory_mb", "created")


@pytest.fixture(autouse=True)
def _warm_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", warm.Popen)


@pytest.fixture
def task(home: Path) -> Task:
    return build_task(config(images=IMAGES))


def jobs(task: Task, folder: Path, recipes: Sequence[Rounded | Fragile]) -> list[Job]:
    coders = [recipe.build(task.detector) for recipe in recipes]
    return [
        Job(coder, folder / coder.name, Origin(quality=2.0), recipe=recipe)
        for coder, recipe in zip(coders, recipes, strict=True)
    ]


def without_clock(summary: Summary) -> dict[str, object]:
    return {key: value for key, value in vars(summary).items() if key not in CLOCK}


def content(folder: Path) -> dict[str, object]:
    """All that was measured, but for how long it took."""
    rows = [json.loads(line) for line in (folder / "images.jsonl").read_text().splitlines()]
    timeless = [{key: value for key, value in row.items() if key not in CLOCK} for row in rows]
    streams = {path.name: path.read_bytes() for path in (folder / STREAMS).iterdir()}
    return {"rows": timeless, "boxes": (folder / "detections.json").read_text(), "streams": streams}


def mean_of(task: Task, index: int) -> float:
    return task.images[index].image.float().mean().item()


def test_results_are_the_same_with_any_number_of_workers(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = [Rounded(0), Rounded(2)]
    alone = evaluate(jobs(task, tmp_path / "1", recipes), task)
    assert alone[0].map != alone[1].map
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path / "other"))
    same = build_task(config(images=IMAGES), workers=2)  # whose ceiling they have measured as well
    assert same.reference.ceiling == task.reference.ceiling
    assert same.reference.variance == task.reference.variance
    for workers in (2, 5):
        found = evaluate(jobs(same, tmp_path / f"{workers}", recipes), same, workers=workers)
        assert [without_clock(each) for each in found] == [without_clock(each) for each in alone]
        for name in ("rounded0", "rounded2"):
            assert content(tmp_path / f"{workers}" / name) == content(tmp_path / "1" / name)


def test_a_worker_that_is_killed_loses_nothing_and_others_go_on(task: Task, tmp_path: Path) -> None:
    recipes = [Rounded(1), Fragile(mean_of(task, 7), tmp_path / "killed")]
    with pytest.raises(FpnkitError) as caught:
        evaluate(jobs(task, tmp_path / "out", recipes), task, workers=2)
    process, _, rest = str(caught.value).partition(" was ")
    assert process.startswith("worker process ")
    assert rest == (
        "ended by SIGKILL, most likely because memory ran out: fewer workers need less; what was measured is kept, "
        "and the same command goes on"
    )
    done = [(tmp_path / "out" / name / "images.jsonl").read_text() for name in ("rounded1", "fragile")]
    assert 1 <= done[0].count("\n") == done[1].count("\n") <= 7
    found = evaluate(jobs(task, tmp_path / "out", recipes), task, workers=3)
    for name, before in zip(("rounded1", "fragile"), done, strict=True):
        assert (tmp_path / "out" / name / "images.jsonl").read_text().startswith(before)  # with the seconds it took
    whole = evaluate(jobs(task, tmp_path / "whole", recipes), task)
    assert [without_clock(each) for each in found] == [without_clock(each) for each in whole]
    assert content(tmp_path / "out" / "fragile") == content(tmp_path / "whole" / "fragile")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_coder_that_fails_keeps_its_rows_and_the_others_are_finished(
    workers: int, task: Task, tmp_path: Path
) -> None:
    recipes = [Fragile(mean_of(task, 4)), Rounded(1)]
    with pytest.raises(FpnkitError) as caught:
        evaluate(jobs(task, tmp_path, recipes), task, workers=workers)
    assert caught.value.exit_code == 1
    assert str(caught.value) == (
        f"fragile at 2, image {task.images.title(4)}: ArithmeticError: too bright; its 4 images before it are kept\n"
        "all other coders are finished; the same command goes on with the rest"
    )
    (where,) = caught.value.__notes__
    assert where.endswith('raise ArithmeticError("too bright")\nArithmeticError: too bright')
    assert [row.image for row in read_images(tmp_path / "fragile")] == [0, 1, 2, 3]
    assert not (tmp_path / "fragile" / "summary.json").exists()
    assert read_summary(tmp_path / "rounded1").images == IMAGES


def test_an_object_of_this_process_is_measured_by_this_process_only(task: Task, tmp_path: Path) -> None:
    coder = Rounded(1).build(task.detector)
    with pytest.raises(UserError) as caught:
        evaluate([Job(coder, tmp_path / "out", Origin())], task, workers=2)
    assert str(caught.value) == "--workers: required 1 for a detector that is an object of this process, found 2"
    (summary,) = evaluate([Job(coder, tmp_path / "out", Origin())], task, workers=None)
    assert (summary.images, coder.encoded) == (IMAGES, IMAGES)


@pytest.mark.parametrize(("keep", "kept"), [("all", IMAGES), ("some", 3), ("none", 0)])
def test_coded_files_stay_as_far_as_is_asked_for(
    keep: str, kept: int, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fpnkit.evaluation.image.SOME_STREAMS", 3)
    (job,) = jobs(task, tmp_path, [Rounded(1)])
    evaluate([job], task, keep_streams=keep)  # type: ignore[arg-type]
    rows = read_images(job.directory)
    files = {path.name: path.stat().st_size for path in (job.directory / STREAMS).iterdir()}
    assert files == {f"{row.image}.pt": row.bytes for row in rows[:kept]}
    assert min(row.bytes for row in rows) > 1000


def test_results_that_do_not_fit_on_the_disk_are_refused_in_time(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = jobs(task, tmp_path, [Rounded(1)])
    monkeypatch.setattr("fpnkit.evaluation.room.free_bytes", lambda path: 1_000_000)
    for _ in range(2):  # once it is known, before the next image
        with pytest.raises(UserError) as caught:
            evaluate([job], task)
        rows = read_images(job.directory)
        assert len(rows) == 3
    before, _, after = str(caught.value).partition(" for results, ")
    assert before.startswith(f"{job.directory}: required about ")
    assert after == "found 1.0 MB free; --keep-streams none needs less"
    (number,) = before.removeprefix(f"{job.directory}: required about ").removesuffix(" MB").split()
    lines = sum((job.directory / name).stat().st_size for name in ("images.jsonl", "detections.jsonl"))
    needed = (8 * sum(row.bytes for row in rows) + (8 + IMAGES) * lines) / 3  # boxes are written twice
    assert float(number) == pytest.approx(needed / 1e6, abs=0.06)
    (summary,) = evaluate([job], task, keep_streams="none")
    assert summary.images == IMAGES


def test_what_was_begun_on_another_device_is_not_gone_on_with(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = jobs(task, tmp_path, [Fragile(mean_of(task, 4))])
    with pytest.raises(FpnkitError):
        evaluate([job], task)
    moved = Task(**{**vars(task), "device": torch.device("cuda")})
    with pytest.raises(UserError) as caught:
        evaluate([job], moved)
    assert str(caught.value) == (
        f"{job.directory}: required the device that the evaluation was begun on, cpu, found cuda; "
        "--device cpu goes on with it"
    )
    (finished,) = jobs(task, tmp_path, [Rounded(1)])
    assert evaluate([finished], task)[0].device == "cpu"
    assert evaluate([finished], moved)[0].detector == NAME
