"""Where log records go: to the terminal, and from the first record on to the run's own log."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any, TextIO, cast

from tqdm import tqdm


class DetachableStream:
    """A stream that goes silent instead of failing when its terminal or pipe is gone; a training must outlive both."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Like the stream's own method."""
        with self._silenced():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Like the stream's own method."""
        with self._silenced():
            self._stream.flush()

    @contextmanager
    def _silenced(self) -> Iterator[None]:
        try:
            yield
        except OSError:  # from now on output is discarded, including what Python itself flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


class RunLog:
    """Log records of fpnkit, kept in memory until there is a run directory."""

    def __init__(self, terminal: int = logging.INFO) -> None:
        """`terminal`: the lowest level shown there."""
        self._streams = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (cast(TextIO, DetachableStream(stream)) for stream in (sys.stdout, sys.stderr))
        self._logger = logging.getLogger("fpnkit")
        self._logger.setLevel(logging.DEBUG)
        self._memory = MemoryHandler(capacity=100_000, flushLevel=logging.CRITICAL + 1)
        self._terminal = _Terminal(terminal)
        self._terminal.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        self._file: logging.FileHandler | None = None
        for handler in (self._memory, self._terminal):
            self._logger.addHandler(handler)

    def write_to(self, path: Path, redact: Callable[[str], str]) -> None:
        """Write every record to `path`, beginning with those so far."""
        self._file = logging.FileHandler(path, encoding="utf-8")
        self._file.setFormatter(_Redacting("%(asctime)s %(levelname)s %(message)s", redact))
        self._memory.setTarget(self._file)
        self._memory.flush()
        self._logger.removeHandler(self._memory)
        self._logger.addHandler(self._file)

    def close(self) -> None:
        """Restore the logger and the streams."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # while a pipe that is gone still does no harm
        sys.stdout, sys.stderr = self._streams
        for handler in (self._memory, self._terminal, self._file):
            if handler is not None:
                self._logger.removeHandler(handler)
                handler.close()


class _Terminal(logging.Handler):
    """Lines on stderr that do not break a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(f"{record.getMessage()}" if record.levelno == logging.INFO else self.format(record), file=sys.stderr)


class _Redacting(logging.Formatter):
    def __init__(self, form: str, redact: Callable[[str], str]) -> None:
        super().__init__(form)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))
