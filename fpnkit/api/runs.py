"""Runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from fpnkit.config.schema import CodecConfig, Config
from fpnkit.errors import RunError
from fpnkit.runs import layout
from fpnkit.runs.query import select
from fpnkit.runs.run import Run as RunFiles
from fpnkit.runs.status import no_model
from fpnkit.runs.store import COLUMNS, RunInfo, list_runs, run_info

if TYPE_CHECKING:
    import pandas as pd

    from fpnkit.api.codec import Codec
    from fpnkit.api.detector import FrozenDetector


class Run:
    """A run directory; facts are read from its files when they are asked for."""

    def __init__(self, path: Path, given: FrozenDetector | Any = None) -> None:
        """`given`: its detector, where this is an object and no part of the config."""
        self.path, self._files, self.given = path, RunFiles(path), given

    @property
    def name(self) -> str:
        """Of the directory."""
        return self.path.name

    @property
    def config(self) -> Config:
        """Every setting."""
        return self._files.config()

    @property
    def info(self) -> RunInfo:
        """Its row in `fpnkit.runs()`."""
        return run_info(self.path)

    def metrics(self) -> pd.DataFrame:
        """What training logged, one row a line."""
        return self._files.metrics()

    def detector(self, given: FrozenDetector | Any = None) -> FrozenDetector:
        """The detector that the codec serves; loaded once.

        `given`: for a run that was trained with an object, this object, or one that equals it; it is remembered.
        """
        if given is not None:
            self.given = given
            for name in ("_detector", "_codec"):
                vars(self).pop(name, None)
        return self._detector

    def codec(self) -> Codec:
        """The best model so far; loaded once."""
        return self._codec

    @cached_property
    def _detector(self) -> FrozenDetector:
        import torch

        from fpnkit.api.detector import FrozenDetector, frozen
        from fpnkit.detectors.build import build_detector

        if self.given is not None:
            detector = frozen(self.given)
            detector.wrapped.to(torch.device("cpu"))
            return detector
        return FrozenDetector(build_detector(self._codec_config().detector))

    @cached_property
    def _codec(self) -> Codec:
        from fpnkit.api.codec import Codec
        from fpnkit.codecs.saved import load_codec

        self._codec_config()
        if not (self.path / layout.BEST_MODEL).is_file():
            raise no_model(self.path)
        trained, detector = load_codec(self.path / layout.BEST_MODEL), self._detector.wrapped
        trained.require_detector(f"run {self.path}", detector.name, detector.fingerprint())
        return Codec(trained, self._detector)

    def _codec_config(self) -> CodecConfig:
        config = self.config
        if not isinstance(config, CodecConfig):
            raise RunError(f"run {self.path}: required a codec, found a detector")
        return config

    def __repr__(self) -> str:
        info = self.info
        best = (
            "no epoch finished"
            if info.best_loss is None
            else f"best loss {info.best_loss:.4g} of epoch {info.best_epoch}"
        )
        return f"<Run {self.name}: {info.status}, {best}>"

    def _repr_html_(self) -> str:
        return self._files._repr_html_()


RunsLike: TypeAlias = "Sequence[Run | str | Path] | pd.DataFrame"


def chosen(runs: RunsLike | None, base_dir: str | Path | None = None) -> list[Path]:
    """Directories of these runs, each once: a list of them, a table that `table` gave, or none for all, newest first.

    Raises `RunError`.
    """
    folder = layout.default_base_dir("fpn_compression") if base_dir is None else Path(base_dir)
    if runs is None:
        return [info.path for info in list_runs(folder)]
    each = runs if isinstance(runs, Sequence) else runs["path"]
    return list(dict.fromkeys(run.path if isinstance(run, Run) else find(run, folder).path for run in each))


def find(run: str | Path, base_dir: str | Path | None = None) -> Run:
    """The run for a path or a unique part of a name, by default among codecs. Raises `RunError`."""
    folder = layout.default_base_dir("fpn_compression") if base_dir is None else Path(base_dir)
    return Run(layout.find_run(str(run), folder).absolute())


def table(query: str | None = None, base_dir: str | Path | None = None) -> pd.DataFrame:
    """All runs, newest first, or those that match, such as `codec == 'fused' and map > 0.2`. Raises `RunError`."""
    import pandas as pd

    found = list_runs(layout.default_base_dir("fpn_compression") if base_dir is None else Path(base_dir))
    rows = found if query is None else select(found, query)
    return pd.DataFrame([vars(run) for run in rows], columns=list(COLUMNS))
