"""The contents of `.fpn` files, without torch, a model, or the run that made them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fpnkit import container
from fpnkit.container import Size, StreamFile
from fpnkit.errors import RunError, StreamError
from fpnkit.metrics.rate import bpp
from fpnkit.runs.evaluations import read_evaluations
from fpnkit.runs.layout import is_listed
from fpnkit.runs.record import read_record


@dataclass(frozen=True)
class LevelReport:
    """One level of a file."""

    level: str  # p<k> where its sides are those of the canvas over 2^k, else its number
    height: int
    width: int
    bytes: int  # of the payloads that serve it alone
    bpp: float
    share: float  # of the file's bytes


@dataclass(frozen=True)
class PayloadReport:
    """One payload of a file."""

    name: str
    levels: tuple[str, ...]  # that it serves
    bytes: int


@dataclass(frozen=True)
class FileReport:
    """One file."""

    file: str
    bytes: int
    bpp: float
    codec: str
    model_hash: str
    runs: tuple[str, ...]  # whose best, or once evaluated, model has this hash
    original: Size  # (height, width), as the others
    content: Size
    canvas: Size
    offset: Size
    header_bytes: int
    header_bpp: float
    levels: tuple[LevelReport, ...]
    quality: float | None
    payloads: tuple[PayloadReport, ...]
    shared_bytes: int  # of payloads that serve several levels
    shared_bpp: float


def inspect_files(paths: Sequence[Path], base_dir: Path, *, as_json: bool) -> None:
    """Print a report of each valid file; raise one `StreamError` about the others."""
    runs = runs_by_hash(base_dir)
    reports, problems = [], []
    for path in paths:
        try:
            stream = container.read_file(path)
        except StreamError as error:
            problems.append(str(error))
        else:
            reports.append(report(path, stream, runs.get(stream.model_hash, [])))
    if as_json:
        print(json.dumps([asdict(each) for each in reports], indent=1))
    elif reports:
        print("\n\n".join(describe(each, base_dir) for each in reports))
    if problems:
        raise StreamError("\n".join(problems))


def runs_by_hash(base_dir: Path) -> dict[str, list[str]]:
    """Model hash → names of the runs whose best model it is, or was when they were evaluated."""
    found: dict[str, list[str]] = {}
    names = sorted(filter(is_listed, os.listdir(base_dir))) if base_dir.is_dir() else []
    for name in names:
        for model_hash in _hashes(base_dir / name):
            found.setdefault(model_hash, []).append(name)
    return found


def _hashes(run_dir: Path) -> set[str]:
    hashes = {evaluation.checkpoint for evaluation in read_evaluations(run_dir)}
    try:
        best = read_record(run_dir).best
    except RunError:
        return hashes
    return hashes | {best.model_hash} if best is not None and best.model_hash is not None else hashes


def report(path: Path, stream: StreamFile, runs: Sequence[str]) -> FileReport:
    """Everything about one file."""
    header, names = stream.header_bytes, _names(stream)
    total, pixels = header + stream.payload_bytes, stream.geometry.original[0] * stream.geometry.original[1]
    served = [tuple(names[level] for level in payload.levels) for payload in stream.payloads]
    sizes = [len(payload.data) for payload in stream.payloads]
    own = container.attributed(zip(served, sizes, strict=True))
    shared = own.get(container.SHARED, 0)
    levels = tuple(
        LevelReport(name, *size, own.get(name, 0), bpp(8 * own.get(name, 0), pixels), own.get(name, 0) / total)
        for name, size in zip(names, stream.sizes, strict=True)
    )
    payloads = tuple(
        PayloadReport(
            payload.name or (served_levels[0] if len(served_levels) == 1 else container.SHARED), served_levels, size
        )
        for payload, served_levels, size in zip(stream.payloads, served, sizes, strict=True)
    )
    return FileReport(
        str(path),
        total,
        bpp(8 * total, pixels),
        stream.codec,
        stream.model_hash,
        tuple(runs),
        **asdict(stream.geometry),
        header_bytes=header,
        header_bpp=bpp(8 * header, pixels),
        levels=levels,
        quality=stream.quality,
        payloads=payloads,
        shared_bytes=shared,
        shared_bpp=bpp(8 * shared, pixels),
    )


def _names(stream: StreamFile) -> list[str]:
    """Level names as in `fpnkit.pyramid.PyramidSpec`, as far as sizes reveal them."""
    names: list[str] = []
    for number, size in enumerate(stream.sizes):
        exponent = container.exponent(stream.geometry.canvas, size)
        name = f"level {number}" if exponent is None else f"p{exponent}"
        same = sum(other.startswith(name) for other in names)
        names.append(name + " bcdefghijklmno"[same].strip())
    return names


def describe(about: FileReport, base_dir: Path) -> str:
    """For people; every size is height x width."""
    made_by = ", ".join(about.runs) or f"no run with this model was found in {base_dir}"
    lines = [
        f"{about.file}: {about.bytes} bytes, {about.bpp:.4f} bpp",
        f"  codec    {about.codec}" + ("" if about.quality is None else f", quality {about.quality:g}"),
        f"  model    {about.model_hash}: {made_by}",
        f"  image    {_size(about.original)} pixels (height x width)",
        f"  canvas   {_size(about.canvas)}, content {_size(about.content)} at {about.offset[0]}, {about.offset[1]}",
    ]
    in_shared = {level for payload in about.payloads if len(payload.levels) > 1 for level in payload.levels}
    for item in about.levels:
        start = f"  {item.level:<8} {_size((item.height, item.width)):>11}"
        own = _bytes(item.bytes, item.bpp, about) if item.bytes or item.level not in in_shared else ""
        lines.append(f"{start} {own or 'in shared':>10}")
    rows = [(container.SHARED, about.shared_bytes, about.shared_bpp)] if about.shared_bytes else []
    rows.append(("header", about.header_bytes, about.header_bpp))
    lines += [f"  {name:<8} {'':>11} {_bytes(count, rate, about)}" for name, count, rate in rows]
    return "\n".join(lines)


def _bytes(count: int, rate: float, about: FileReport) -> str:
    return f"{count:>10} bytes {100 * count / about.bytes:6.1f} % {rate:9.4f} bpp"


def _size(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
