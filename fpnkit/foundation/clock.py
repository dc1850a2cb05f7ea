"""Times as written to files: ISO 8601, local, with the offset from UTC."""

from datetime import datetime


def now() -> datetime:
    """The local time with its offset."""
    return datetime.now().astimezone()


def to_text(time: datetime) -> str:
    """`2026-12-16T14:30:22.512+01:00`."""
    return time.isoformat(timespec="milliseconds")


def from_text(text: str | None) -> datetime | None:
    """The time, or None if the text is not one; without an offset it is taken as local time."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        return None


def stamp(time: datetime) -> str:
    """The form used in names of files and directories: `20261216_143022`."""
    return time.strftime("%Y%m%d_%H%M%S")
