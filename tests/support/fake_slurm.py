"""Slurm's commands without a Slurm: small scripts on PATH, and a queue that is a file. Nothing begins by itself."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from fpnkit.foundation import slurm

_SBATCH = """\
[ -e "$here/down" ] && { echo "sbatch: error: Unable to contact slurm controller" >&2; exit 1; }
echo "$*" >> "$here/submitted"
last=-1
for option in "$@"; do
  case "$option" in
    --partition=main|--partition=gpu) ;;
    --partition=*)
      echo "sbatch: error: invalid partition specified: ${option#*=}" >&2
      echo "sbatch: error: Batch job submission failed: Invalid partition name specified" >&2
      exit 1 ;;
    --array=*) last=${option#--array=0-}; last=${last%%%*} ;;
    --dependency=*) reason=Dependency ;;
    --test-only) checked=1 ;;
  esac
done
cat > /dev/null
[ -n "$checked" ] && exit 0
id=$(( $(cat "$here/last") + 1 ))
echo $id > "$here/last"
for task in $(seq 0 "$last"); do echo "${id}_$task|PENDING|${reason:-Resources}|"; done >> "$here/queue"
echo $id
"""
_SQUEUE = """\
echo asked >> "$here/asked"
[ -e "$here/down" ] && { echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }
cat "$here/queue"
"""
_SCANCEL = """\
echo "$*" >> "$here/cancelled"
[ "$1" = --signal=INT ] && exit 0  # it goes on until it has saved
for job in "$@"; do
  case "$job" in -*) ;; *) sed -i "s/^${job}|.*/${job}|CANCELLED|None|/" "$here/queue" ;; esac
done
"""


@dataclass(frozen=True)
class FakeSlurm:
    folder: Path

    def set(self, job: str, state: str, reason: str = "None", node: str = "") -> None:
        """Put a job into the queue, or change it there."""
        others = [line for line in self._queue.read_text().splitlines() if not line.startswith(f"{job}|")]
        self._queue.write_text("\n".join([*others, f"{job}|{state}|{reason}|{node}"]) + "\n")
        slurm.ask_again()

    def answers(self, does: bool) -> None:
        """Whether the controller is there."""
        if does:
            (self.folder / "down").unlink()
        else:
            (self.folder / "down").touch()
        slurm.ask_again()

    def submitted(self) -> list[str]:
        """The options of each call of sbatch, without those that only check."""
        calls = self._lines("submitted")
        return [re.sub(r"--output=\S+", "", call) for call in calls if "--test-only" not in call]

    def cancelled(self) -> list[str]:
        """The arguments of each call of scancel."""
        return self._lines("cancelled")

    def times_asked(self) -> int:
        """Calls of squeue."""
        return len(self._lines("asked"))

    @property
    def _queue(self) -> Path:
        return self.folder / "queue"

    def _lines(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []


def fake_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """On PATH for this process and those that it starts."""
    folder.mkdir()
    (folder / "queue").touch()
    (folder / "last").write_text("7")
    for name, body in (("sbatch", _SBATCH), ("squeue", _SQUEUE), ("scancel", _SCANCEL)):
        script = folder / name
        script.write_text(f"#!/bin/bash\nhere={folder}\n{body}")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    slurm.ask_again()
    return FakeSlurm(folder)
