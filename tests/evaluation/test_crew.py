"""How many processes measure, and what a process says about its memory."""

import psutil
import pytest
import torch

from fpnkit.errors import UserError
from fpnkit.evaluation import crew
from fpnkit.evaluation.crew import count_of_workers
from fpnkit.evaluation.image import peak_memory_mb

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "cores", lambda: 8)


@pytest.mark.parametrize(("pieces", "count"), [(0, 1), (99, 1), (199, 1), (200, 2), (799, 7), (800, 8), (5000, 8)])
def test_a_worker_for_each_hundred_pieces_up_to_the_cores(pieces: int, count: int) -> None:
    assert count_of_workers(None, pieces, CPU, portable=True) == count


def test_a_device_is_shared_by_few_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_of_workers(None, 5000, GPU, portable=True) == 4
    assert count_of_workers(None, 300, GPU, portable=True) == 3
    monkeypatch.setattr(crew, "cores", lambda: 2)
    assert count_of_workers(None, 5000, GPU, portable=True) == 2


@pytest.mark.parametrize(("asked", "pieces", "count"), [(3, 50, 3), (20, 50, 20), (3, 2, 2), (3, 0, 1), (1, 50, 1)])
def test_as_many_as_are_asked_for_where_there_is_work_for_them(asked: int, pieces: int, count: int) -> None:
    assert count_of_workers(asked, pieces, CPU, portable=True) == count


def test_what_cannot_go_to_another_process_is_measured_by_one() -> None:
    assert count_of_workers(None, 5000, CPU, portable=False) == 1
    assert count_of_workers(1, 5000, CPU, portable=False) == 1
    with pytest.raises(UserError) as caught:
        count_of_workers(2, 5000, CPU, portable=False)
    assert str(caught.value) == "--workers: required 1 for a detector that is an object of this process, found 2"


def test_the_peak_of_memory_is_at_least_what_is_held_now_and_no_more_than_ever_could_be() -> None:
    held = psutil.Process().memory_info().rss / 1e6
    assert held < 1.03 * peak_memory_mb() < 1.03 * psutil.virtual_memory().total / 1e6
