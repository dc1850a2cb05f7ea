"""How many trainings run side by side, and with what."""

import psutil
import pytest

from fpnkit.config.schema import CodecTraining
from fpnkit.errors import UserError
from fpnkit.launch import places
from fpnkit.launch.places import Place, choose_places


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six cores, two CUDA devices, and memory enough."""
    monkeypatch.setattr(places, "cores", lambda: 6)
    monkeypatch.setattr(places, "_cuda_devices", lambda: 2)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 64_000_000_000})())
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def training(device: str = "cpu") -> CodecTraining:
    return CodecTraining.model_validate({"epochs": 1, "device": device})


def test_one_at_a_time_is_left_as_it_is() -> None:
    chosen = choose_places("1", [], training(), 9)
    assert (chosen.each, chosen.why, chosen.each[0].environment) == ((Place(),), "", {})


def test_several_share_the_cores() -> None:
    chosen = choose_places("4", [], training(), 9)
    assert chosen.each == (Place(1),) * 4
    assert chosen.why == "4 trainings at a time, 1 thread each: --jobs 4"
    assert choose_places("2", [], training(), 9).each[0].environment == {"OMP_NUM_THREADS": "3"}


def test_who_sets_threads_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert choose_places("2", [], training(), 9).each[0].environment == {}


@pytest.mark.parametrize(
    ("runs", "memory", "count", "because"),
    [
        (9, 64_000_000_000, 6, "6 cores, 2.0 GB of memory each, 9 runs to go"),
        (4, 64_000_000_000, 4, "6 cores, 2.0 GB of memory each, 4 runs to go"),
        (9, 7_000_000_000, 3, "6 cores, 2.0 GB of memory each, 9 runs to go"),
    ],
)
def test_auto_takes_what_cores_memory_and_runs_allow(
    runs: int, memory: int, count: int, because: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": memory})())
    chosen = choose_places("auto", [], training(), runs)
    threads = {6: "1 thread", 4: "1 thread", 3: "2 threads"}[count]
    assert (len(chosen), chosen.why) == (count, f"{count} trainings at a time, {threads} each: {because}")


def test_auto_takes_the_cuda_devices_where_training_may(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = choose_places("auto", [], training("auto"), 9)
    assert chosen.each == (Place(3, "0"), Place(3, "1"))
    assert chosen.why == "2 trainings at a time, one a CUDA device: 0, 1"
    monkeypatch.setattr(places, "_cuda_devices", lambda: 0)
    assert len(choose_places("auto", [], training("auto"), 9)) == 6


def test_each_training_sees_its_device_only() -> None:
    chosen = choose_places("auto", ["1", "0"], training("cuda"), 9)
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in chosen.each] == ["1", "0"]
    assert [place.told for place in chosen.each] == [" on device 1", " on device 0"]
    assert [place.device for place in choose_places("1", ["1", "0"], training("cuda"), 9).each] == ["1"]


@pytest.mark.parametrize(
    ("jobs", "devices", "device", "message"),
    [
        ("0", [], "cpu", "--jobs 0: required a number from 1 on, or auto"),
        ("two", [], "cpu", "--jobs two: required a number from 1 on, or auto"),
        ("auto", ["0", "0"], "cuda", "--devices 0,0: required each device once"),
        ("auto", ["0"], "cpu", "--devices 0: required training.device auto or cuda, found cpu"),
        ("auto", ["0", "2"], "auto", "--devices 0,2: required CUDA devices of this machine, found 2"),
        ("3", ["0", "1"], "auto", "--jobs 3: required at most one training a device, 2, found 3"),
    ],
)
def test_what_cannot_be_is_one_message(jobs: str, devices: list[str], device: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        choose_places(jobs, devices, training(device), 9)
    assert str(error.value) == message


def test_devices_of_a_machine_without_any_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_cuda_devices", lambda: 0)
    with pytest.raises(UserError) as error:
        choose_places("auto", ["GPU-1a2b"], training("cuda"), 9)
    assert str(error.value) == "--devices GPU-1a2b: required CUDA devices of this machine, found none"
