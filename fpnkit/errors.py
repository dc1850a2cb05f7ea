"""Every error that fpnkit raises on purpose.

FpnkitError                   exit code 1: not the user's fault
├── DivergedError             the loss became NaN, infinite or exploded
├── StorageError              a file could not be written: disk full, quota, input/output error
└── UserError                 exit code 2: the input is wrong, nothing was started
    ├── ConfigError           YAML, keys, types, ranges, choices; lists all problems at once
    ├── DataError             images, annotations, data sets
    ├── WeightsError          weight files and checkpoints
    ├── PyramidError          a pyramid that does not fit its specification
    ├── StreamError           a coded file that is damaged, foreign, too new or of another model
    └── RunError              run directories and their names
        └── AmbiguousRunError several runs have the name
"""

import os


class FpnkitError(Exception):
    """Base class. The message names the thing, what was required and what was found."""

    exit_code = 1
    _printed = False

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message says it all."""
        message = f"{type(self).__name__}: {self}"
        in_voila = os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")
        if in_voila and not self._printed:  # it hides errors from visitors; IPython asks for them twice
            self._printed = True
            print(message)
        return [message]


class DivergedError(FpnkitError):
    """Training produced a loss that is NaN, infinite or far too large."""


class StorageError(FpnkitError):
    """A file could not be written completely; the previous file is still in place."""


class UserError(FpnkitError):
    """The input is wrong; nothing was started and nothing half-made is left behind."""

    exit_code = 2


class ConfigError(UserError):
    """One or more problems of a configuration, one per line."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class DataError(UserError):
    """Images or annotations that cannot be used."""


class WeightsError(UserError):
    """A weight file or checkpoint that is missing, unreadable, unsafe or does not fit."""


class PyramidError(UserError):
    """A pyramid that does not fit the specification it is used with."""


class StreamError(UserError):
    """A coded file that is damaged, foreign, too new, or was made with another model."""


class RunError(UserError):
    """A run directory or run name that does not exist, is ambiguous or cannot be used this way."""


class AmbiguousRunError(RunError):
    """A partial name that matches several runs."""
