"""Weight files and checkpoints made to do harm: refused in one message, without code run or memory taken."""

import io
import os
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from fpnkit import evaluate, train
from fpnkit.detectors.weights import read_weights
from fpnkit.errors import WeightsError
from fpnkit.torch_files import read_torch_file
from tests.support.curve_run import copy_run

REQUIRED = "required tensors of real numbers that all stand in it, found"


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self._file}'",)


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as error:
        read_torch_file(path)
    return str(error.value).removeprefix(f"{path}: ")


TENSORS = {
    "many numbers in four bytes": (
        lambda: torch.zeros(1).expand(200_000, 50_000),
        "[200000, 50000] of torch.float32, torch.strided, on cpu",
    ),
    "sparse": (lambda: torch.zeros(3, 2).to_sparse(), "[3, 2] of torch.float32, torch.sparse_coo, on cpu"),
    "without numbers": (lambda: torch.zeros(3, device="meta"), "[3] of torch.float32, torch.strided, on meta"),
    "complex": (lambda: torch.zeros(3, dtype=torch.complex64), "[3] of torch.complex64, torch.strided, on cpu"),
    "nested": (
        lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        "nested of torch.float32, torch.strided, on cpu",
    ),
    "quantized": (
        lambda: torch.quantize_per_tensor(torch.zeros(3), 1.0, 0, torch.qint8),
        "[3] of torch.qint8, torch.strided, on cpu",
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of nested tensors and quantization
@pytest.mark.parametrize("kind", TENSORS)
def test_tensors_that_are_not_what_they_seem_are_refused(kind: str, tmp_path: Path) -> None:
    make, told = TENSORS[kind]
    content: dict[str, Any] = {"state_dict": {"a": torch.ones(2), "b": [(make(),)]}}
    torch.save(content, tmp_path / "a.pth")
    assert refused(tmp_path / "a.pth") == f"{REQUIRED} {told}"


def test_parts_and_views_of_tensors_pass(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    torch.save({"a": whole.T, "b": whole[1:], "c": whole[:, ::2], "d": torch.nn.Parameter(whole)}, tmp_path / "a.pth")
    assert read_torch_file(tmp_path / "a.pth")["a"].shape == (4, 3)


def test_records_that_expand_are_refused_before_they_do(tmp_path: Path) -> None:
    stored = io.BytesIO()
    torch.save({"a": torch.zeros(50_000_000)}, stored)
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for record in source.infolist():
            target.writestr(record.filename, source.read(record))
        total = sum(record.file_size for record in source.infolist())
    stored.close()
    assert path.stat().st_size < 300_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = f"required records that are stored as they are, found {total} bytes in {path.stat().st_size}"
    assert refused(path) == told
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_lists_without_end_and_lists_in_themselves_are_read(tmp_path: Path) -> None:
    circle: list[Any] = []
    circle.append(circle)
    torch.save({"a": circle}, tmp_path / "a.pth")
    assert list(read_torch_file(tmp_path / "a.pth")) == ["a"]
    depth = 100_000
    with zipfile.ZipFile(tmp_path / "b.pth", "w") as file:
        file.writestr("b/data.pkl", b"\x80\x02}X\x01\x00\x00\x00a" + b"]" * depth + b"a" * (depth - 1) + b"s.")
        file.writestr("b/version", "3\n")
        file.writestr("b/byteorder", "little")
    assert list(read_torch_file(tmp_path / "b.pth")) == ["a"]


@pytest.mark.parametrize("categories", ["[" * 100_000, "{", "5", '[["a", "b"]]'])
def test_categories_of_a_safetensors_file_that_are_none_are_named(categories: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(1)}, path, {"categories": categories})
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    assert str(error.value).startswith(f"{path}: `categories`: required a list of [id, name], found ")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("file", "command", "arguments"),
    [("last.pth", train.main, ["--epochs", "2", "--resume"]), ("best_model.pth", evaluate.main, [])],
)
def test_code_in_a_run_of_somebody_else_is_not_run(
    file: str,
    command: Callable[[list[str]], int],
    arguments: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run, made = copy_run(tmp_path / "runs"), tmp_path / "made"
    torch.save({**torch.load(run / file, weights_only=True), "more": Code(made)}, run / file)
    before = sorted(path.name for path in run.iterdir())
    assert command([*arguments, str(run)]) == 2
    told = f"{run / file}: required a file of tensors; it is a pickle with code or objects in it (`posix.system`), "
    assert told in capfd.readouterr().err.splitlines()[-1]
    assert not made.exists()
    assert sorted({path.name for path in run.iterdir()} - {".lock"}) == [name for name in before if name != ".lock"]
