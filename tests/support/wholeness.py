"""Whether the files in a folder are complete, each read as its readers do."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors import safe_open

from fpnkit import container
from fpnkit.runs.metrics import read_metrics
from tests.support.trainings_alike import assert_same_state, lines

_TIMES = ("encode_seconds", "decode_seconds", "peak_memory_mb", "created", "time", "seconds")


def assert_whole(folder: Path) -> int:
    """Every file; → their number. A line that is being appended when its writer dies may be torn."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in files:
        read = _READERS.get(path.suffix)
        if read is not None:
            try:
                read(path)
            except Exception as error:
                raise AssertionError(f"{path} is torn: {error!r}") from error
    return len(files)


def temporaries(folder: Path) -> list[str]:
    """What killed writers left."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*.tmp"))


def _lines(path: Path) -> None:
    if path.name == "metrics.jsonl":
        read_metrics(path)
    for line in path.read_bytes().splitlines(keepends=True):
        assert not line.endswith(b"\n") or json.loads(line) is not None


def _archive(path: Path) -> None:
    with tarfile.open(path, "r:gz") as tar:
        for member in tar:
            if member.isfile():
                packed = tar.extractfile(member)
                assert packed is not None
                assert len(packed.read()) == member.size


def _arrays(path: Path) -> None:
    with np.load(path) as stored:
        for name in stored.files:
            stored[name]


def _tensors(path: Path) -> None:
    with safe_open(path, "pt") as stored:
        for name in stored.keys():  # noqa: SIM118
            stored.get_tensor(name)


def _picture(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


_READERS: dict[str, Callable[[Path], Any]] = {
    ".json": lambda path: json.loads(path.read_text()),
    ".yaml": lambda path: yaml.safe_load(path.read_text()),
    ".jsonl": _lines,
    ".pth": lambda path: torch.load(path, weights_only=True),
    ".gz": _archive,
    ".npz": _arrays,
    ".safetensors": _tensors,
    ".fpn": lambda path: container.read(path.read_bytes()),
    ".png": _picture,
}


def assert_same_run(run: Path, other: Path) -> None:
    """All that training decides, bit for bit; not when."""
    assert lines(run) == lines(other)
    for name in ("best_model.pth", "last.pth"):
        assert_same_state(*(torch.load(each / name, weights_only=True) for each in (run, other)), name)
    facts = [json.loads((each / "run.json").read_text()) for each in (run, other)]
    for name in ("epoch", "epochs", "step", "exit_code", "exit_reason", "settings_hash", "detector_fingerprint"):
        assert facts[0][name] == facts[1][name], name
    assert _without_times(facts[0]["last"]) == _without_times(facts[1]["last"])
    for name in ("epoch", "loss", "metrics", "model_hash"):
        assert facts[0]["best"][name] == facts[1]["best"][name], name
    assert (run / "config_used.yaml").read_bytes() == (other / "config_used.yaml").read_bytes()


def assert_same_results(folder: Path, other: Path) -> None:
    """Files of evaluations and analyses, without seconds and memory."""
    names = [
        {str(path.relative_to(each)) for path in each.rglob("*") if path.is_file() and path.name != ".lock"}
        for each in (folder, other)
    ]
    assert names[0] == names[1]
    for name in sorted(names[0]):
        assert _content(folder / name) == _content(other / name), name


def _content(path: Path) -> Any:
    if path.name == "summary.json":
        return _without_times(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        return [_without_times(json.loads(line)) for line in path.read_text().splitlines()]
    if path.suffix == ".npz":
        with np.load(path) as stored:
            return {name: stored[name].tobytes() for name in stored.files}
    return path.read_bytes()


def _without_times(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in _TIMES}
