"""The actions of `python -m fpnkit.runs`. Each one checks everything before it changes anything."""

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from fpnkit.errors import RunError
from fpnkit.foundation import text
from fpnkit.foundation.tables import align, print_rows
from fpnkit.runs import archive as archives
from fpnkit.runs import layout, notes, ranking
from fpnkit.runs import trash as bin_
from fpnkit.runs.store import RunInfo, list_runs


def diff(options: argparse.Namespace, base_dir: Path) -> None:
    """Print what differs, a column for each run."""
    from fpnkit.runs.compare import compare_runs

    comparison = compare_runs([layout.find_run(run, base_dir) for run in options.runs])
    names = [layout.short_name(name) for name in comparison.names]
    for title, differences in comparison.sections.items():
        if not differences:
            print(f"{title}: no difference")
            continue
        print_rows([title, *names], [[f"  {each.label}", *each.values] for each in differences])


def note(options: argparse.Namespace, base_dir: Path) -> None:
    """Print the note, or add to it."""
    run_dir = layout.find_run(options.run, base_dir)
    if options.text:
        notes.add_note(run_dir, " ".join(options.text))
        _say(f"added to {run_dir / layout.NOTE}")
    else:
        lines = notes.read_note(run_dir).splitlines()
        print("\n".join(map(text.printable, lines)) if lines else f"no note on {text.printable(run_dir.name)} yet")


def tag(options: argparse.Namespace, base_dir: Path) -> None:
    """Print the tags after the change, if one is asked for."""
    run_dir = layout.find_run(options.run, base_dir)
    if options.tags or options.remove:
        tags = notes.set_tags(run_dir, add=options.tags, remove=options.remove)
    else:
        tags = notes.read_tags(run_dir)
    _say(f"{run_dir.name}: {', '.join(tags) or 'no tags'}")


def archive(options: argparse.Namespace, base_dir: Path) -> None:
    """Pack, compare, remove."""
    infos = _movable(options.runs, base_dir)
    _warn(infos, list_runs(base_dir))
    for info in infos:
        before = text.size(info.size_bytes)
        path = archives.archive(info, base_dir)
        _say(f"archived {info.name}: {before} -> {text.size(path.stat().st_size)} in {path}")
        _say(f"  to bring it back: {shlex.join(['tar', '-xzf', str(path), '-C', str(base_dir)])}")


def trash(options: argparse.Namespace, base_dir: Path) -> None:
    """Move into the trash."""
    infos = _movable(options.runs, base_dir)
    _warn(infos, list_runs(base_dir))
    _trash(infos, base_dir)


def restore(options: argparse.Namespace, base_dir: Path) -> None:
    """Move out of the trash, or list it."""
    if not options.runs:
        items = bin_.list_trash(base_dir)
        print("\n".join(_trashed_lines(items)) if items else f"the trash of {text.printable(base_dir)} is empty")
    for item in _unique(bin_.find_trashed(run, base_dir) for run in options.runs):
        _say(f"restored {bin_.restore(item, base_dir)}")


def purge(options: argparse.Namespace, base_dir: Path) -> None:
    """Show what would go, ask, delete."""
    bin_.tidy(base_dir)
    found = (bin_.find_trashed(run, base_dir) for run in options.runs)
    items = _unique(found) if options.runs else bin_.list_trash(base_dir)
    if not items:
        _say(f"the trash of {base_dir} is empty")
        return
    print("\n".join(_trashed_lines(items)))
    size = text.size(sum(item.size_bytes for item in items))
    if _sure("purge", f"delete {_count(items)} for good, {size}?", options.yes):
        bin_.purge(items)
        _say(f"deleted {_count(items)}, {size} are free")


def prune(options: argparse.Namespace, base_dir: Path) -> None:
    """Show what would go to the trash, ask, move."""
    if options.keep_best < 1:
        raise RunError(f"--keep-best: required 1 or more, found {options.keep_best}")
    pruned = ranking.to_prune(list_runs(base_dir), options.keep_best)
    if not pruned:
        print("nothing to prune")
        return
    rows = [("run", "lambda", "loss", "status", "size")]
    rows += [(r.name, text.rate(r.lmbda), text.number(r.best_loss), r.status, text.size(r.size_bytes)) for r in pruned]
    print("\n".join(align([tuple(map(text.printable, row)) for row in rows])))
    if _sure("prune", f"move {_count(pruned)} into the trash?", options.yes):
        _trash([bin_.require_movable(str(run.path), base_dir) for run in pruned], base_dir)


def tensorboard(options: argparse.Namespace, base_dir: Path) -> None:
    """Write event files."""
    from fpnkit.runs.tensorboard import write_events

    for run_dir in [layout.find_run(run, base_dir) for run in options.runs]:
        _say(f"wrote {write_events(run_dir)}")


def _movable(runs: Sequence[str], base_dir: Path) -> list[RunInfo]:
    return _unique(bin_.require_movable(run, base_dir) for run in runs)


def _trash(infos: Sequence[RunInfo], base_dir: Path) -> None:
    for info in infos:
        bin_.trash(info, base_dir)
        _say(f"in the trash: {info.name}")


def _warn(infos: Sequence[RunInfo], runs: Sequence[RunInfo]) -> None:
    for info in infos:
        if info.status == "stale":
            shown = f"{info.name} may still be training on {info.host}: {info.reason}"
            print(f"warning: {text.printable(shown)}", file=sys.stderr)
        if ranking.is_best(info, runs):
            of = "its kind" if info.lmbda is None else f"lambda {text.rate(info.lmbda)}"
            shown = text.printable(info.name)
            print(f"warning: {shown} has the best loss of {of}, {text.number(info.best_loss)}", file=sys.stderr)


def _trashed_lines(items: Sequence[bin_.Trashed]) -> list[str]:
    rows = [("removed", "run", "size")]
    return align([*rows, *((item.removed, text.printable(item.name), text.size(item.size_bytes)) for item in items)])


def _sure(action: str, question: str, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise RunError(f"{action}: asks for confirmation, but there is no terminal; required --yes")
    print(f"{question} [y/N]", end=" ", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        print("nothing was removed")
        return False
    return True


def _count(items: Sequence[object]) -> str:
    return f"{len(items)} {'run' if len(items) == 1 else 'runs'}"


_T = TypeVar("_T")


def _unique(items: Iterable[_T]) -> list[_T]:
    return list(dict.fromkeys(items))


def _say(line: str) -> None:
    print(text.printable(line))
