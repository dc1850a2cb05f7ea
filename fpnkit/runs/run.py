"""One run for a notebook or a script.

run = find("143022")
run.metrics()                  # DataFrame
run.best_checkpoint()          # Path
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fpnkit.config.diff import flatten
from fpnkit.config.load import load_config as load_config_file
from fpnkit.config.schema import Config
from fpnkit.errors import RunError
from fpnkit.foundation.html import element, join, pairs, table
from fpnkit.runs import commands, layout
from fpnkit.runs.details import run_details
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.record import read_record
from fpnkit.runs.status import no_model
from fpnkit.runs.store import RunInfo, run_info

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = ("Progress", "Settings", "Best", "Evaluation", "Read out")


@dataclass(frozen=True)
class Run:
    """A run directory; everything is read from its files on each call."""

    path: Path

    def info(self) -> RunInfo:
        """Its row in the list. Raises RunError."""
        return run_info(self.path)

    def config(self) -> Config:
        """The whole configuration. Raises ConfigError."""
        return load_config_file(self.path / layout.CONFIG_USED)

    def metrics(self) -> "pd.DataFrame":
        """metrics.jsonl, one row a line; numbers by level are columns such as `snr_db.p2`."""
        import pandas as pd

        return pd.DataFrame([flatten(line.to_dict()) for line in read_metrics(self.path / layout.METRICS)])

    def best_checkpoint(self) -> Path:
        """The best checkpoint with epoch and loss in its name, else `best_model.pth`.

        Raises RunError if there is none.
        """
        try:
            best = read_record(self.path).best
        except RunError:
            best = None
        names = [Path(best.file).name] if best else []
        for name in (*names, layout.BEST_MODEL):
            if (self.path / name).is_file():
                return self.path / name
        raise no_model(self.path)

    def resume_command(self) -> str:
        """The command line that continues the run."""
        return commands.resume_command(self.path)

    def _repr_html_(self) -> str:
        try:
            about, *others = run_details(self.path)
        except RunError as error:
            return element("p", str(error))
        sections = [about, *(section for section in others if section.title.startswith(_SHOWN))]
        rows = [
            join([element("tr", element("th", section.title, colspan="2")), pairs(section.rows, "td")])
            for section in sections
        ]
        return table(rows, style="text-align: left")


def find(run: str | Path, base_dir: Path | None = None) -> Run:
    """The run for a path or a unique part of a name, by default among codecs. Raises RunError."""
    return Run(layout.find_run(str(run), base_dir or layout.default_base_dir("fpn_compression")))


def best_checkpoint(run: str | Path, base_dir: Path | None = None) -> Path:
    """See `Run.best_checkpoint`."""
    return find(run, base_dir).best_checkpoint()


def load_config(run: str | Path, base_dir: Path | None = None) -> Config:
    """See `Run.config`."""
    return find(run, base_dir).config()


def metrics(run: str | Path, base_dir: Path | None = None) -> "pd.DataFrame":
    """See `Run.metrics`."""
    return find(run, base_dir).metrics()


def resume_command(run: str | Path, base_dir: Path | None = None) -> str:
    """See `Run.resume_command`."""
    return find(run, base_dir).resume_command()
