"""The researcher's note and tags of a run: note.md and tags.json, which no trainer writes."""

from collections.abc import Iterable
from pathlib import Path

from fpnkit.errors import RunError
from fpnkit.foundation.files import parse_json, write_json, write_text
from fpnkit.runs import layout


def read_note(run_dir: Path) -> str:
    """Empty where there is none. Raises RunError if it cannot be read."""
    try:
        return (run_dir / layout.NOTE).read_bytes().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise RunError(f"{run_dir / layout.NOTE}: cannot be read: {error.strerror}") from error


def add_note(run_dir: Path, text: str) -> None:
    """Add a line; lists show the first one. Raises RunError or StorageError."""
    _require_directory(run_dir)
    if not text.strip():
        raise RunError("note: required some text, found none")
    before = read_note(run_dir)
    gap = "" if not before or before.endswith("\n") else "\n"
    write_text(run_dir / layout.NOTE, f"{before}{gap}{text.strip()}\n")


def replace_note(run_dir: Path, text: str, *, before: str) -> None:
    """Replace the whole note. Raises RunError if it is not `before` any more, or StorageError."""
    _require_directory(run_dir)
    if read_note(run_dir) != before:
        raise RunError(f"{run_dir / layout.NOTE}: was changed elsewhere in the meantime; read it again, then save")
    write_text(run_dir / layout.NOTE, text if not text or text.endswith("\n") else f"{text}\n")


def read_tags(run_dir: Path) -> tuple[str, ...]:
    """Tags in the order in which they were added. Raises RunError if the file was damaged by hand."""
    path = run_dir / layout.TAGS
    try:
        data = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError:
        data = None
    if not isinstance(data, list) or not all(isinstance(tag, str) for tag in data):
        raise RunError(f'{path}: must hold a JSON list of texts such as ["paper"]; repair or remove the file')
    return tuple(data)


def set_tags(run_dir: Path, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> tuple[str, ...]:
    """Change the tags and return them. Raises RunError without changing anything, or StorageError."""
    _require_directory(run_dir)
    added, removed = [tag.strip() for tag in add], {tag.strip() for tag in remove}
    for tag in added:
        if not tag or not tag.isprintable():
            raise RunError(f"tag {tag!r}: required text on one line")
    before = read_tags(run_dir)
    if missing := sorted(removed - set(before)):
        raise RunError(f"tag {missing[0]!r}: not on {run_dir.name}, it has {', '.join(before) or 'none'}")
    after = tuple(tag for tag in dict.fromkeys([*before, *added]) if tag not in removed)
    write_json(run_dir / layout.TAGS, list(after))
    return after


def _require_directory(run_dir: Path) -> None:
    if not run_dir.is_dir():
        raise RunError(f"{run_dir}: is a lone log; a note or a tag needs a run directory")
