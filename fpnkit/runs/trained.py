"""The trained codecs named on a command line, checked before anything long starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fpnkit.config.load import load_config, parse_override
from fpnkit.config.schema import CodecConfig
from fpnkit.errors import ConfigError, RunError
from fpnkit.runs import layout


@dataclass(frozen=True)
class TrainedRun:
    """A run with a model to measure."""

    path: Path
    config: CodecConfig  # including overrides from the command line


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
        raise RunError(f"run {path}: required {layout.BEST_MODEL}, found none; it has not finished an epoch")
    return TrainedRun(path, config)
