"""Old-style logs without run directories: what can be read from their text."""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST_BYTES = 16_000_000  # of one log: the end of a longer one is read

_NUMBER = rb"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)"
_IS = rb"[\"']?\s*[:=]\s*"
# `Epoch 3/50`, `epoch: 3`, `Epoch [3/50]`, `epoch=3`, `Epoch 3 of 50`
_EPOCH = re.compile(rb"\bepoch\b[\"']?[\s:=#\[(]*(\d{1,9})(?!\d)(?:\s*(?:/|of)\s*(\d{1,9})(?!\d))?", re.IGNORECASE)
_EPOCHS = re.compile(rb"\b(?:num_|max_)?epochs\b" + _IS + rb"(\d{1,9})(?!\d)", re.IGNORECASE)
# `loss: 0.5`, `val_loss=0.5`, `train loss 0.5`, `Loss: 0.5 |`
_LOSS = re.compile(rb"(?:\b([a-z]+)[ _/-]|\b)loss\b[\"']?\s*[:=]?\s*" + _NUMBER, re.IGNORECASE)
_VALIDATION = re.compile(rb"\b(?:val|valid|validation|test|eval|evaluation)\b", re.IGNORECASE)
_WHOLE = {
    b"",
    b"train",
    b"training",
    b"total",
    b"avg",
    b"average",
    b"mean",
    b"epoch",
    b"rd",
}  # not a part, as `mse loss`
_SETTINGS = {
    "lmbda": re.compile(rb"\b(?:lambda|lmbda)\b" + _IS + _NUMBER, re.IGNORECASE),
    "lr": re.compile(rb"\b(?:lr|learning[_ -]rate)\b" + _IS + _NUMBER, re.IGNORECASE),
    "batch_size": re.compile(rb"\bbatch[_ -]?size\b" + _IS + _NUMBER, re.IGNORECASE),
}


@dataclass(frozen=True)
class OldLog:
    """None if the log does not say."""

    epoch: int | None = None  # the largest number
    epochs: int | None = None
    best_loss: float | None = None  # smallest of validation, or of training where there is no other
    best_epoch: int | None = None
    lmbda: float | None = None
    lr: float | None = None
    batch_size: int | None = None


def read_old_log(path: Path) -> OldLog:
    """Parse the log without changing it; an unreadable file gives nothing."""
    epoch = epochs = None
    at: int | None = None
    best: dict[bool, tuple[float, int | None]] = {}  # by whether it is of validation
    settings: dict[str, float] = {}
    for line in _lines(path):
        if found := _EPOCH.search(line):
            at = int(found[1])
            epoch = max(at, epoch or 0)
            epochs = int(found[2]) if found[2] else epochs
        elif found := _EPOCHS.search(line):
            epochs = int(found[1])
        for validation, loss in _losses(line):
            if validation not in best or loss < best[validation][0]:
                best[validation] = (loss, at)
        for key, pattern in _SETTINGS.items():
            if key not in settings and (found := pattern.search(line)):
                settings[key] = float(found[1])
    best_loss, best_epoch = best.get(True) or best.get(False) or (None, None)
    size = settings.get("batch_size")
    return OldLog(
        epoch=epoch,
        epochs=epochs,
        best_loss=best_loss,
        best_epoch=best_epoch,
        lmbda=settings.get("lmbda"),
        lr=settings.get("lr"),
        batch_size=None if size is None else int(size),
    )


def _losses(line: bytes) -> Iterator[tuple[bool, float]]:
    """(is validation, value) of every complete loss in a line."""
    whole_line: bool | None = None
    for found in _LOSS.finditer(line):
        word = (found[1] or b"").lower()
        if whole_line is None:  # `Test epoch 3: Average losses: Loss: 0.5` says it in front of the first
            whole_line = _VALIDATION.search(line[: found.start()]) is not None
        if (value := float(found[2])) != math.inf:
            if _VALIDATION.fullmatch(word):
                yield True, value
            elif word in _WHOLE:
                yield whole_line, value


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _MOST_BYTES))
            yield from file
    except OSError:
        return
