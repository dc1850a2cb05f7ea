"""Everything about one run on one screen."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpnkit.errors import ConfigError, RunError
from fpnkit.foundation import text
from fpnkit.foundation.files import directory_size, parse_json
from fpnkit.runs import commands, layout
from fpnkit.runs.evaluations import Evaluation, read_evaluations
from fpnkit.runs.metrics import MetricsLine, read_metrics
from fpnkit.runs.notes import read_note
from fpnkit.runs.record import RunRecord, read_record
from fpnkit.runs.results import PARTS
from fpnkit.runs.status import GOING_ON
from fpnkit.runs.store import RunInfo, run_info

_PACKAGES = ("fpnkit", "torch", "torchvision", "compressai", "numpy")
_OF_THE_MOMENT = ("epoch", "step", "loss", "aux_loss", "lr", "seconds")  # shown elsewhere, or no merit of a checkpoint
_NUMBERED = re.compile(r"(training_diagnostics_epoch_|best_model_epoch_).*(\.\w+)")


@dataclass(frozen=True)
class DetailSection:
    """A heading with labeled lines."""

    title: str
    rows: list[tuple[str, str]]


def run_details(run_dir: Path) -> list[DetailSection]:
    """Details from the files of a run; empty sections are left out. Raises RunError if it is not a run."""
    info = run_info(run_dir)
    try:
        record = read_record(run_dir)
    except RunError:
        record = None
    sections = [_about(info), _files(run_dir), _source(run_dir), _machine(run_dir), _commands(info)]
    if record is not None:
        measured = [_best(record), *_evaluated(run_dir), *_last(run_dir)]
        sections[1:1] = [_progress(info, record), _settings(run_dir, record), *measured]
    elif info.status == "imported":
        sections[1:1] = [_read_out(info)]
    printable = [
        DetailSection(text.printable(each.title), [(text.printable(a), text.printable(b)) for a, b in each.rows])
        for each in sections
    ]
    return [section for section in printable if section.rows]


def _about(info: RunInfo) -> DetailSection:
    status = info.status + (f" ({info.reason})" if info.reason else "")
    rows = [("path", str(info.path)), ("status", status)]
    if info.kind:
        rows.append(("kind", info.kind))
    rows += [("note", line) for line in _note_lines(info.path)]
    if info.tags:
        rows.append(("tags", ", ".join(info.tags)))
    return DetailSection(info.name, rows)


def _progress(info: RunInfo, record: RunRecord) -> DetailSection:
    last_sign = ("ended", record.ended) if record.ended else ("last heartbeat", record.heartbeat)
    rows = [
        ("epoch", f"{record.epoch} of {record.epochs}, step {record.step}"),
        ("created", record.created),
        ("started", record.started or text.NOTHING),
        (last_sign[0], last_sign[1] or text.NOTHING),
        ("trained for", text.duration(info.duration_seconds)),
        ("an epoch takes", text.duration(_epoch_seconds(info))),
        ("process", f"{record.pid} on {record.host}"),
    ]
    rows += [("resumed", time) for time in record.resumed]
    rows += [("sweep", record.sweep)] if record.sweep else []
    return DetailSection("Progress", rows)


def _epoch_seconds(info: RunInfo) -> float | None:
    return info.duration_seconds / info.epoch if info.duration_seconds and info.epoch else None


def _note_lines(path: Path) -> list[str]:
    try:
        return [line for line in read_note(path).splitlines() if line.strip()]
    except RunError:
        return []


def _read_out(info: RunInfo) -> DetailSection:
    """Details from an old-style log."""
    rows = [
        ("epoch", text.NOTHING if info.epoch is None else f"{info.epoch} of {info.epochs or '?'}"),
        ("best loss", text.number(info.best_loss)),
        ("best epoch", text.NOTHING if info.best_epoch is None else str(info.best_epoch)),
        ("lambda", text.rate(info.lmbda)),
        ("lr", text.rate(info.lr)),
        ("batch size", text.NOTHING if info.batch_size is None else str(info.batch_size)),
        ("last change", text.date(info.created)),
    ]
    return DetailSection("Read out of the log", [(label, value) for label, value in rows if value != text.NOTHING])


def _settings(run_dir: Path, record: RunRecord) -> DetailSection:
    """Settings that differ from the defaults; if the file is unreadable, those in the record."""
    from fpnkit.runs.settings import chosen_settings  # pydantic takes longer to load than all the rest

    try:
        settings = chosen_settings(run_dir)
    except ConfigError:
        return _summary(record)
    rows = []
    for setting in settings:
        default = "" if setting.required else f"  (default {_plain(setting.default)})"
        rows.append((setting.key, _plain(setting.value) + default))
    return DetailSection("Settings that are not by default", rows)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _summary(record: RunRecord) -> DetailSection:
    config = record.config
    rows = [
        ("lambda", text.rate(config.lmbda)),
        ("lr", text.rate(config.lr)),
        ("batch size", str(config.batch_size)),
        ("codec", config.codec or text.NOTHING),
        ("detector", config.detector or text.NOTHING),
        ("dataset", config.dataset or text.NOTHING),
        ("seed", str(config.seed)),
    ]
    return DetailSection("Settings", [(label, value) for label, value in rows if value not in (text.NOTHING, "None")])


def _evaluated(run_dir: Path) -> list[DetailSection]:
    """The newest evaluation of each data set; the qualities of a codec of several rates as lines of a table."""
    newest = {(each.dataset, each.search_steps, each.quality): each for each in read_evaluations(run_dir)}
    sections, curves = [], dict[tuple[str, int | None], list[Evaluation]]()
    for (dataset, steps, quality), evaluation in newest.items():
        if quality is not None:
            curves.setdefault((dataset, steps), []).append(evaluation)
            continue
        rows = [(key, _with_interval(evaluation, key, value)) for key, value in evaluation.measured().items()]
        rows = [("checkpoint", evaluation.checkpoint), *rows, *_labels([evaluation])]
        sections.append(DetailSection(f"Evaluation on {dataset}", rows))
    for (dataset, steps), found in curves.items():
        search = "" if steps is None else f" with a search of {steps} steps"
        rows = [_on_curve(each) for each in sorted(found, key=lambda each: each.quality or 0.0)]
        rows += _labels(found)
        sections.append(DetailSection(f"Evaluation on {dataset}{search}", rows))
    return sections


def _labels(found: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """What the labels were taken for; the same for all, unless categories were renamed in between."""
    matchings = [each.summary.labels for each in found]
    return [("labels", line) for line in dict.fromkeys(each.describe() for each in matchings if each is not None)]


def _on_curve(evaluation: Evaluation) -> tuple[str, str]:
    s = evaluation.summary
    parts = [f"{s.bpp:.4f} bpp", f"{s.kb_per_image:.2f} KB"]
    parts += [f"mAP {100 * s.map:.1f}"] if s.map is not None else []
    found = {part: getattr(s, f"{part}_map") for part in PARTS}
    parts += [f"{part} mAP {100 * value:.1f}" for part, value in found.items() if value is not None]
    parts += [f"self-mAP {100 * s.self_map:.1f}"] if s.self_map is not None else []
    parts += [f"SNR {' '.join(f'{level} {value:.1f}' for level, value in s.snr_db.items())} dB"] if s.snr_db else []
    parts += [f"{1000 * s.encode_seconds:.0f} ms to encode", f"checkpoint {evaluation.checkpoint}"]
    return f"quality {evaluation.quality:g}", "  ".join(parts)


def _with_interval(evaluation: Evaluation, key: str, value: float) -> str:
    ends = evaluation.interval(key)
    return text.number(value) + (f"  [{text.number(ends[0])}, {text.number(ends[1])}]" if ends else "")


def _best(record: RunRecord) -> DetailSection:
    if record.best is None:
        return DetailSection("Best", [])
    numbers = {key: value for key, value in record.best.metrics.items() if isinstance(value, int | float)}
    rows = [
        ("epoch", str(record.best.epoch)),
        ("loss", text.number(record.best.loss)),
        ("file", record.best.file),
        *((key, text.number(value)) for key, value in numbers.items() if key not in _OF_THE_MOMENT),
    ]
    return DetailSection("Best", rows)


def _last(run_dir: Path) -> list[DetailSection]:
    """The last line of each split."""
    try:
        lines = {line.split: line for line in read_metrics(run_dir / layout.METRICS)}
    except OSError:
        return []
    return [_measured(line) for line in lines.values()]


def _measured(line: MetricsLine) -> DetailSection:
    values: dict[str, float | None] = {
        "loss": line.loss,
        "bpp estimated": line.bpp_estimated,
        "distortion": line.distortion,
        "aux loss": line.aux_loss,
        **line.extra,
    }
    rows = [(label, text.number(value)) for label, value in values.items() if value is not None]
    snr_db, bpp = line.snr_db or {}, line.bpp_level or {}
    for level in {**snr_db, **bpp}:
        parts = [f"{snr_db[level]:6.2f} dB"] if level in snr_db else []
        parts += [f"{bpp[level]:.4f} bpp"] if level in bpp else []
        rows.append((level, "  ".join(parts)))
    return DetailSection(f"Last {line.split} metrics (epoch {line.epoch}, step {line.step})", rows)


def _files(run_dir: Path) -> DetailSection:
    """File sizes, with many files of one kind on one line and directories as a whole."""
    groups: dict[str, list[int]] = {}
    try:
        paths = sorted(run_dir.iterdir()) if run_dir.is_dir() else [run_dir]
    except OSError:
        return DetailSection("Files", [])
    for path in paths:
        if not path.name.startswith("."):
            name = _NUMBERED.sub(r"\1*\2", path.name) + ("/" if path.is_dir() else "")
            groups.setdefault(name, []).append(directory_size(path) if path.is_dir() else _size(path))
    return DetailSection("Files", [(name, _sizes(sizes)) for name, sizes in groups.items()])


def _sizes(sizes: list[int]) -> str:
    return text.size(sum(sizes)) + (f" in {len(sizes)} files" if len(sizes) > 1 else "")


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _source(run_dir: Path) -> DetailSection:
    git = read_json(run_dir / layout.ENV / layout.GIT_JSON)
    if not git.get("commit"):
        return DetailSection("Source", [])
    state = "changed since the commit, see env/diff.patch" if git.get("dirty") else "as committed"
    rows = [("commit", str(git["commit"])), ("branch", str(git.get("branch") or "none")), ("tree", state)]
    if untracked := git.get("untracked"):
        rows.append(("untracked files", str(len(untracked))))
    return DetailSection("Source", rows)


def _machine(run_dir: Path) -> DetailSection:
    system = read_json(run_dir / layout.ENV / layout.SYSTEM_JSON)
    if not system:
        return DetailSection("Environment", [])
    memory = system.get("memory_bytes")
    found = [f"{name} {version}" for name, version in versions(run_dir).items()]
    rows = [
        ("host", f"{system.get('host')}, {system.get('platform')}"),
        ("processor", f"{system.get('cpu_count')} x {system.get('cpu_model')}"),
        ("memory", text.size(memory if isinstance(memory, int) else None)),
        ("GPU", ", ".join(map(str, system.get("gpus") or [])) or "none"),
        ("packages", ", ".join([f"python {system.get('python')}", *found])),
    ]
    return DetailSection("Environment", rows)


def versions(run_dir: Path) -> dict[str, str]:
    """Versions of the packages that matter most."""
    try:
        lines = (run_dir / layout.ENV / layout.PACKAGES).read_text(errors="replace").splitlines()
    except OSError:
        return {}
    found = dict(line.split("==", 1) for line in lines if "==" in line)
    return {name: found[name] for name in _PACKAGES if name in found}


def _commands(info: RunInfo) -> DetailSection:
    run_dir = info.path
    rows = [("command", line) for line in commands.read_commands(run_dir)[-1:]]
    if not run_dir.is_dir():
        return DetailSection("Commands", [])
    if info.status not in (*GOING_ON, "finished") and (run_dir / layout.LAST).exists():
        rows.append(("resume", commands.resume_command(run_dir)))
    if (run_dir / layout.CONFIG_USED).exists():
        rows.append(("run again", commands.rerun_command(run_dir)))
    return DetailSection("Commands", rows)


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty if there is none."""
    try:
        data = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
