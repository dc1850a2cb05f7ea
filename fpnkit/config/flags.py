"""The flags of commands that set a key of the config."""

from __future__ import annotations

from collections.abc import Mapping

from fpnkit.config.load import Override, parse_override

# Flag → the key that it sets.
FLAGS = {
    "--lambda": ("loss", "lambda"),
    "--lr": ("training", "lr"),
    "--batch-size": ("training", "batch_size"),
    "--epochs": ("training", "epochs"),
    "--seed": ("seed",),
}
SHARED_FLAGS = ("--lr", "--batch-size", "--epochs")  # the same for all runs of a sweep, which varies the others


def override(flag: str, key: tuple[str, ...], text: str) -> Override:
    """The override of a flag, named in messages as typed."""
    return Override(key, parse_override(f"{'.'.join(key)}={text}").value, f"{flag} {text}")


def slurm_override(text: str) -> Override:
    """The override of `--slurm KEY=VALUE`, or of `--slurm KEY` for an option without a value."""
    key, equals, value = text.partition("=")
    read = parse_override(f"slurm.{key}={value}").value if equals else True
    return Override(("slurm", key), read, f"--slurm {text}")


def flag_overrides(values: Mapping[str, str | None]) -> list[Override]:
    """Overrides from the flags that have a value."""
    return [override(flag, FLAGS[flag], text) for flag, text in values.items() if text is not None]
