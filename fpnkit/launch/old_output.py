"""Facts about commands submitted before commands kept a record, read from their output."""

from __future__ import annotations

import re
from pathlib import Path

from fpnkit.foundation.process_record import ProcessRecord
from fpnkit.launch.local import LocalLaunch
from fpnkit.launch.output import first_lines, last_lines
from fpnkit.launch.protocol import SWEEP

_SWEEP_LINE = re.compile(r"sweep (\S+): ")


def record_of_old(launch: LocalLaunch) -> ProcessRecord:
    """Its run directory or sweep; how it ended is unknown."""
    first = first_lines(launch.log)
    if launch.module == SWEEP:
        sweeps = (match[1] for line in first if (match := _SWEEP_LINE.match(line)))
        return ProcessRecord(pid=launch.pid, sweep=next(sweeps, None))
    paths = [Path(line.removeprefix("run ")) for line in (*last_lines(launch.log, 10)[::-1], *first)]
    run = next((str(path) for path in paths if path.parent == launch.base_dir), None)
    return ProcessRecord(pid=launch.pid, run=run)
