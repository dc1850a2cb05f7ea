"""config_used.yaml, held against the defaults and against other runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpnkit.config.diff import flatten
from fpnkit.config.load import load_config
from fpnkit.config.schema import Config, Section
from fpnkit.config.yaml import parse
from fpnkit.errors import ConfigError
from fpnkit.runs import layout

# Keys that change what is written, where it is computed or what it is tested on, but not what is trained.
OUTPUT_ONLY = (
    "analysis.",
    "cache.",
    "data.test",
    "training.device",
    "training.keep_best",
    "training.log_every",
    "training.save_every_seconds",
)


@dataclass(frozen=True)
class Setting:
    """A setting that was chosen: it has no default, or another one."""

    key: str
    value: Any
    default: Any  # None where `required`
    required: bool


def chosen_settings(run_dir: Path) -> list[Setting]:
    """All that is not as by default. Raises ConfigError where this fpnkit does not understand the file."""
    return _chosen(load_config(run_dir / layout.CONFIG_USED))


def plain_settings(run_dir: Path) -> dict[str, Any]:
    """`section.key` → value, as it stands in the file, be it of another version. Raises ConfigError."""
    path = run_dir / layout.CONFIG_USED
    try:
        source = parse(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    if source.problems:
        raise ConfigError([f"{path}:{line}: {problem}" for line, problem in source.problems])
    return flatten(source.data)


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
