"""Which input becomes which output, settled before anything is written, and the loop over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fpnkit.errors import FpnkitError, UserError


def plan(inputs: Sequence[Path], folder: Path, suffix: str) -> dict[Path, Path]:
    """Input → output. Raises one `UserError` that lists all obstacles; writes nothing."""
    problems = []
    occupied = next((part for part in (folder, *folder.parents) if part.exists()), folder)
    if not occupied.is_dir():
        problems.append(f"{folder}: required a directory, found the file {occupied}")
    sources: dict[Path, Path] = {}  # output → input
    for source in inputs:
        target = folder / (source.stem + suffix)
        if not source.is_file():
            problems.append(f"{source}: required a file, found {'a directory' if source.is_dir() else 'nothing'}")
        if target in sources:
            problems.append(f"{source}: would be written to {target}, as {sources[target]} would")
        elif target.exists():
            problems.append(f"{target}: exists; nothing is overwritten")
        sources.setdefault(target, source)
    if problems:
        raise UserError("\n".join(problems))
    return {source: target for target, source in sources.items()}


def one_by_one(targets: Mapping[Path, Path], work: Callable[[Path, Path], str]) -> None:
    """Process each file and print the result; an error on the way carries a note about what is done."""
    try:
        for source, target in targets.items():
            print(f"{target}: {work(source, target)}", flush=True)
    except (FpnkitError, KeyboardInterrupt, BrokenPipeError) as error:
        done = [target for target in targets.values() if target.exists()]  # none did before
        names = ", ".join(map(str, done)) or "none"
        error.add_note(f"complete are {len(done)} of {len(targets)} files: {names}")
        raise
