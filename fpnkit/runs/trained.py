"""The trained codecs named on a command line, checked before anything long starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fpnkit.config.curve import require_quality
from fpnkit.config.load import load_config, parse_override
from fpnkit.config.schema import CodecConfig
from fpnkit.container import QUALITY_STEPS
from fpnkit.errors import ConfigError, RunError, UserError
from fpnkit.runs import layout
from fpnkit.runs.status import no_model


@dataclass(frozen=True)
class TrainedRun:
    """A run with a model to measure."""

    path: Path
    config: CodecConfig  # including overrides from the command line

    def chosen(self, qualities: Sequence[float] | None) -> list[float | None]:
        """These qualities, as a stream can carry them (default: all whole ones); None alone for a codec of one rate.

        Raises `UserError`, which names the run, for a quality that is not on the codec's curve.
        """
        curve = self.config.qualities
        if qualities is None:
            return [None] if curve is None else [float(quality) for quality in range(int(curve[1]) + 1)]
        for quality in qualities:
            try:
                require_quality(curve, quality)
            except UserError as error:
                raise UserError(f"run {self.path}: {error}") from None
        return list(dict.fromkeys(round(quality * QUALITY_STEPS) / QUALITY_STEPS for quality in qualities))

    def require_curve(self, flag: str) -> tuple[float, float]:
        """The lowest and the highest quality. Raises `UserError`, about the `flag`, for a codec of one rate."""
        if self.config.qualities is None:
            raise UserError(f"run {self.path}: {flag}: required a codec of several rates, found one of one rate")
        return self.config.qualities


def find_candidates(
    texts: Sequence[str], base_dir: Path | None, settings: Sequence[str], sections: Sequence[str]
) -> list[TrainedRun]:
    """Each run once, even if named several times.

    `settings` are `key.path=value` within `sections`. Raises RunError if a run is missing, is not a codec or has no
    model yet, and ConfigError for a setting that belongs to the run.
    """
    paths = [layout.find_run(text, base_dir or layout.default_base_dir("fpn_compression")).absolute() for text in texts]
    return [_candidate(path, settings, sections) for path in dict.fromkeys(paths)]


def _candidate(path: Path, settings: Sequence[str], sections: Sequence[str]) -> TrainedRun:
    overrides = [parse_override(item) for item in settings]
    for override in overrides:
        key = ".".join(override.path)
        if not any(key == section or key.startswith(f"{section}.") for section in sections):
            raise ConfigError([f"--set {key}: required a key of {', '.join(sections)}; the rest belongs to the run"])
    config = load_config(path / layout.CONFIG_USED, overrides)
    if not isinstance(config, CodecConfig):
        raise RunError(f"run {path}: required a codec, found a detector")
    if not (path / layout.BEST_MODEL).is_file():
        raise no_model(path)
    return TrainedRun(path, config)
