"""What an R-D panel reads: runs and anchors, reread only if a file changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fpnkit.errors import RunError
from fpnkit.foundation.files import file_stamp
from fpnkit.foundation.steps import Step, Tell, nobody
from fpnkit.launch.sweep import runs_of_sweep, sweep_ids, sweep_path
from fpnkit.ratedist.gather import RunPoints, most_common, read_anchors, read_run
from fpnkit.ratedist.points import RdPoints
from fpnkit.ratedist.table import read_points
from fpnkit.runs import layout
from fpnkit.runs.index import RunIndex
from fpnkit.runs.results import Summary
from fpnkit.runs.store import RunInfo


@dataclass(frozen=True)
class Selection:
    """The selection to show; None means all."""

    sweeps: tuple[str, ...] | None = None
    runs: tuple[Path, ...] | None = None
    anchors: tuple[str, ...] | None = None
    dataset: str | None = None  # None: what most runs were evaluated on


@dataclass(frozen=True)
class Reading:
    """The points found, and what else could be selected."""

    points: RdPoints
    missing: tuple[str, ...]  # what sweeps lack
    datasets: tuple[str, ...]  # that these runs were evaluated on
    common: str | None  # the one that most were
    anchors: tuple[str, ...]  # of the same images and detector


class PointReader:
    """The runs of one base directory, read by one thread at a time."""

    def __init__(self, base_dir: Path) -> None:
        self.base_dir = base_dir
        self.runs: list[RunInfo] = []  # newest first
        self.sweeps: list[str] = []
        self._index = RunIndex(base_dir)
        self._state: dict[Path, object] = {}  # of all files that are read
        self._found: dict[Path, tuple[object, RunPoints]] = {}

    def look(self, tell: Tell = nobody) -> bool:
        """List runs and sweeps; return whether anything changed on disk.

        Raises RunError if there is no base directory.
        """
        before = self._state
        runs, sweeps, state = list[RunInfo](), list[str](), dict[Path, object]()
        try:
            if not layout.is_usual(self.base_dir) or self.base_dir.exists():
                runs = [info for info in self._index.read(tell) if info.path.suffix != ".log"]
                sweeps, state = sweep_ids(self.base_dir), self._index.states()
        except RunError:
            self.runs, self.sweeps, self._state = [], [], {}
            raise
        self._found = {path: found for path, found in self._found.items() if path in state}
        plans = [sweep_path(self.base_dir, sweep) for sweep in sweeps]
        self.runs, self.sweeps, self._state = runs, sweeps, state | {plan: file_stamp(plan) for plan in plans}
        return self._state != before

    def read(self, wanted: Selection, tell: Tell = nobody) -> Reading:
        """Raises RunError or UserError if the selection cannot be read."""
        runs, missing = self._wanted_runs(wanted, tell)
        for number, path in enumerate(runs):
            tell(Step("reading run", number, len(runs)))
            self._read_run(path)
        tell(Step("joining points to curves"))
        names = self._datasets(runs)
        dataset = wanted.dataset if wanted.dataset in names else None
        here = read_points(runs, anchors=[], dataset=dataset, read=self._read_run)
        anchors = _anchors_like(here)
        chosen = None if wanted.anchors is None else [name for name in wanted.anchors if name in anchors]
        points = read_points(runs, anchors=chosen, dataset=dataset, read=self._read_run)
        return Reading(points, tuple(missing), tuple(names), self._common(runs), tuple(anchors))

    def _wanted_runs(self, wanted: Selection, tell: Tell) -> tuple[list[Path], list[str]]:
        everything = sorted(info.path for info in self.runs)
        if wanted.runs is not None:
            return [path for path in everything if path in wanted.runs], []
        if wanted.sweeps is None:
            return [path for path in everything if layout.is_run_directory(path)], []
        runs, missing = list[Path](), list[str]()
        for number, sweep in enumerate(wanted.sweeps):
            tell(Step("reading sweep", number, len(wanted.sweeps)))
            try:
                of_sweep, lacking = runs_of_sweep(self.base_dir, sweep)
            except RunError as error:
                missing.append(f"sweep {sweep} left out: {error}")
                continue
            runs += of_sweep
            missing += lacking
        return list(dict.fromkeys(runs)), missing

    def _datasets(self, runs: Sequence[Path]) -> list[str]:
        return sorted({summary.dataset for summary in self._summaries(runs)})

    def _common(self, runs: Sequence[Path]) -> str | None:
        summaries = self._summaries(runs)
        most = most_common(summaries)
        names = [summary.dataset for summary in summaries if (summary.data_id, summary.detector_id) == most]
        return names[0] if names else None

    def _summaries(self, runs: Sequence[Path]) -> list[Summary]:
        return [summary for path in runs for _, summary in self._read_run(path).measured]

    def _read_run(self, path: Path) -> RunPoints:
        state = self._state.get(path)
        known = self._found.get(path)
        if known is not None and state is not None and known[0] == state:
            return known[1]
        try:
            found = read_run(path)
        except RunError as error:  # gone since the last look, or broken; the others are still shown
            found = RunPoints(left_out=f"run {layout.short_name(path.name)}: left out: {error}")
        self._found[path] = (state, found)
        return found


def _anchors_like(points: RdPoints) -> list[str]:
    """Names of anchors on the same images with the same detector; without runs, of the most common set."""
    stored = read_anchors(layout.home())
    groups = [(curve.data_id, curve.detector_id) for curve in points.curves if curve.data_id is not None]
    most = None if points.curves else most_common([found for _, found in stored])
    return sorted(
        {point.codec for point, found in stored if (found.data_id, found.detector_id) in ([most] if most else groups)}
    )
