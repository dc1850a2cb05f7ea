"""What several workers gain, and what an evaluation costs beyond the bare work.

Two workers against one process: the same images through `evaluate`, the start of the workers included. One process
against a bare loop: image, backbone, `encode`, `decode` and heads of the same codec, which keeps the scores in memory
and writes, reads and measures nothing. One thread in each process, so that two workers need two quiet cores. Images
are 192 x 192, where the start of a worker and the files of an image weigh most.
"""

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import torch

from fpnkit.codecs.coder import CoderInput
from fpnkit.evaluation.models import Model, load_model
from fpnkit.evaluation.run import Job, evaluate
from fpnkit.evaluation.task import Task, build_task
from fpnkit.runs.trained import find_candidates
from tests.support.coded_run import write_run
from tests.support.in_turns import in_turns

IMAGES = 200
TEST_SET = f"data.test={{kind: shapes, images: {IMAGES}, seed: 5}}"

Scores = list[float]  # of all detections


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    run = write_run(tmp_path / "runs", 64)
    (candidate,) = find_candidates([run.name], tmp_path / "runs", [TEST_SET], ("data",))
    return load_model(candidate, None)


@pytest.fixture
def task(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    return build_task(model.config)


@pytest.mark.benchmark
def test_one_process_against_two_workers(model: Model, task: Task, tmp_path: Path) -> None:
    folders = (tmp_path / f"out{number}" for number in count())
    found = in_turns(
        lambda: evaluation(model, task, next(folders), 1), lambda: evaluation(model, task, next(folders), 2), 3
    )
    title = f"evaluation: {IMAGES} images, factorized; goal on two quiet cores: ratio of at least 1.8"
    print(found.table(title, ("one process", "two workers"), IMAGES, "image"))
    for one, two in found.pairs:
        assert one.result == two.result


@pytest.mark.benchmark
def test_evaluation_against_bare_loop(model: Model, task: Task, tmp_path: Path) -> None:
    folders = (tmp_path / f"out{number}" for number in count())
    found = in_turns(lambda: evaluation(model, task, next(folders), 1), lambda: lambda: bare_loop(model, task), 3)
    title = f"evaluation: {IMAGES} images, factorized, one process; goal: ratio of at most 1.3"
    print(found.table(title, ("evaluate", "bare loop in memory"), IMAGES, "image"))
    for ours, bare in found.pairs:
        assert ours.result == pytest.approx(bare.result)


def evaluation(model: Model, task: Task, folder: Path, workers: int) -> Callable[[], Scores]:
    usual = model.job(task, None)
    job = Job(usual.coder, folder, usual.origin, usual.variance, usual.recipe)

    def work() -> Scores:
        evaluate([job], task, workers=workers)
        return [entry["score"] for entry in json.loads((folder / "detections.json").read_text())]

    return work


@torch.no_grad()
def bare_loop(model: Model, task: Task) -> Scores:
    coder, detector, scores = model.coder(task.detector, None), task.detector, list[float]()
    for index in range(len(task.images)):
        image = task.images[index].image
        batch = detector.prepare([image])
        coded = coder.encode(CoderInput(image, detector.pyramid(batch), batch.geometry[0]))
        received = coder.decode(coded.data)
        (found,) = detector.detect(detector.complete(received.pyramid), [received.geometry])
        scores += found.scores.tolist()
    return scores
