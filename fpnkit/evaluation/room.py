"""How much of the disk an evaluation will take."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Sequence

from fpnkit.errors import UserError
from fpnkit.evaluation.image import SOME_STREAMS, KeepStreams
from fpnkit.evaluation.journal import Journal
from fpnkit.foundation import text
from fpnkit.foundation.files import free_bytes

SAMPLED_IMAGES = 3  # from which the others are judged

log = logging.getLogger(__name__)


def require_room(journals: Sequence[Journal], total: int, keep: KeepStreams) -> None:
    """Say what the rest of `total` images will take, judged by those that are done.

    Raises `UserError` if the disk has less; what is done is then kept.
    """
    needed = sum(_needed(journal, total, keep) for journal in journals if len(journal))
    folder = journals[0].directory
    free = free_bytes(folder)
    if needed > free:
        less = "" if keep == "none" else "; --keep-streams none needs less"
        raise UserError(f"{folder}: required about {text.size(needed)} for results, found {text.size(free)} free{less}")
    log.info("results will take about %s, %s are free", text.size(needed), text.size(free))


def _needed(journal: Journal, total: int, keep: KeepStreams) -> int:
    """Boxes are written a second time in the end."""
    left = total - len(journal)
    streams = {"all": left, "some": max(0, SOME_STREAMS - len(journal)), "none": 0}[keep]
    each = statistics.fmean(row["bytes"] for row in journal.rows())
    return round(streams * each + (left + total) * journal.bytes_written / len(journal))
