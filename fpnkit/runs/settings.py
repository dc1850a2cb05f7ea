"""config_used.yaml compared with the defaults and with other runs."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpnkit.config.diff import flatten
from fpnkit.config.identity import detector_name, learned, several_rates
from fpnkit.config.load import load_config, plain
from fpnkit.config.schema import CodecConfig, Config, FolderData, ImageSource, Section, ShapesData
from fpnkit.config.yaml import parse
from fpnkit.errors import ConfigError
from fpnkit.foundation.files import file_stamp
from fpnkit.runs import layout
from fpnkit.runs.record import ConfigSummary


def summary_of(config: Config) -> ConfigSummary:
    """What lists show of a config."""
    return ConfigSummary(
        lmbda=config.loss.lmbda if isinstance(config, CodecConfig) else None,
        lr=config.training.lr,
        batch_size=config.training.batch_size,
        codec=config.codec.kind if isinstance(config, CodecConfig) else None,
        detector=detector_name(config.detector),
        dataset=_dataset(config.data.train),
        seed=config.seed,
    )


def _dataset(source: ImageSource) -> str:
    """The folder name that people would use for the data set."""
    if isinstance(source, ShapesData):
        return "shapes"
    path = Path(source.images)
    return path.name if isinstance(source, FolderData) or path.name != "images" else path.parent.name


@dataclass(frozen=True)
class Setting:
    """A setting that was chosen: it has no default, or differs from it."""

    key: str
    value: Any
    default: Any  # None where `required`
    required: bool


def chosen_settings(run_dir: Path) -> list[Setting]:
    """All settings that differ from their defaults. Raises ConfigError if this fpnkit cannot read the file."""
    return _chosen(load_config(run_dir / layout.CONFIG_USED))


def plain_settings(run_dir: Path) -> dict[str, Any]:
    """`section.key` → value, as in the file, even of another version. Raises ConfigError."""
    path = run_dir / layout.CONFIG_USED
    try:
        source = parse(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    if source.problems:
        raise ConfigError([f"{path}:{line}: {problem}" for line, problem in source.problems])
    return flatten(source.data)


def whole_settings(run_dir: Path) -> dict[str, Any]:
    """`section.key` → value with this fpnkit's defaults, or as in the file if another version wrote it.

    Raises ConfigError.
    """
    try:
        return flatten(plain(load_config(run_dir / layout.CONFIG_USED)))
    except ConfigError:
        return plain_settings(run_dir)


def highest_quality(run_dir: Path) -> float:
    """Of a run's codec; 0 for one rate, and where its settings cannot be read."""
    rates = learned_by(run_dir).get("codec.rates")
    return float(rates - 1) if isinstance(rates, int) else 0.0


def has_several_rates(run_dir: Path) -> bool:
    """Whether the run is a whole curve: a codec of several rates. False if its settings cannot be read."""
    return several_rates(learned_by(run_dir))


def learned_by(run_dir: Path) -> Mapping[str, Any]:
    """See `identity.learned`. Unreadable settings equal those of no other run."""
    return _learned_by(run_dir, file_stamp(run_dir / layout.CONFIG_USED))


@functools.lru_cache(maxsize=10_000)
def _learned_by(run_dir: Path, stamp: tuple[int, int, int] | None) -> Mapping[str, Any]:
    """Cached, because a file takes a millisecond and a panel asks for all of them whenever one run changed."""
    try:
        return learned(whole_settings(run_dir))
    except ConfigError as error:
        return {layout.CONFIG_USED: str(error)}


def _chosen(section: Config | Section, prefix: str = "") -> list[Setting]:
    found: list[Setting] = []
    for name, field in type(section).model_fields.items():
        key, value = f"{prefix}{field.alias or name}", getattr(section, name)
        required = field.is_required()
        default = None if required else field.get_default(call_default_factory=True)
        if isinstance(value, Section) and not (isinstance(default, Section) and value == default):
            found += _chosen(value, f"{key}.")
        elif required or value != default:
            found.append(Setting(key, _plain(value), _plain(default), required))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
