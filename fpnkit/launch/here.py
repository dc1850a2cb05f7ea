"""Commands in this process, for what cannot be sent to another one: objects that a notebook made."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from importlib import import_module
from types import FrameType

from fpnkit.errors import FpnkitError, UserError
from fpnkit.foundation.guest import Guest, as_guest, current, heard
from fpnkit.foundation.process_record import Reporter
from fpnkit.launch.foreground import EndedProcess, Foreground

_one_at_a_time = threading.RLock()  # a command prints, logs and draws random numbers where others do too


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    guest: Guest
    error: Exception | None = None  # one that the command did not expect


def run_here(module: str, arguments: Sequence[str], within: AbstractContextManager[None] | None = None) -> Ended:
    """Run a command, `within` a context; signal handlers, streams, loggers and torch's generators are then as before.

    What it says goes to stdout. Raises `UserError` if another thread runs one.
    """
    if not _one_at_a_time.acquire(blocking=False):
        raise UserError(f"{module}: required no other command in this process, found one in another thread")
    guest = Guest((sys.executable, "-m", module, *arguments))
    try:
        with (
            as_guest(guest),
            redirect_stderr(sys.stdout),
            _logging_as_before(),
            _randomness_as_before(),
            within or nullcontext(),
        ):
            return _ended(guest, module, arguments)
    finally:
        _one_at_a_time.release()


def _ended(guest: Guest, module: str, arguments: Sequence[str]) -> Ended:
    try:
        found = import_module(module)
        if hasattr(found, "__path__"):  # a package, whose command stands in `__main__`
            found = import_module(f"{module}.__main__")
        code: int = found.main(arguments)
    except SystemExit as asked:  # by the parser, which has said why
        code = asked.code if isinstance(asked.code, int) else FpnkitError.exit_code
    except Exception as error:
        return Ended(FpnkitError.exit_code, guest, error)
    return Ended(code, guest)


@contextmanager
def _logging_as_before() -> Iterator[None]:
    """Without the handlers of others, which would say everything twice."""
    loggers = [logging.getLogger(name) for name in (None, "fpnkit")]
    before = [(logger, logger.handlers[:], logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers[:] = []
    try:
        yield
    finally:
        for logger, handlers, level in before:
            logger.handlers[:] = handlers
            logger.setLevel(level)


@contextmanager
def _randomness_as_before() -> Iterator[None]:
    import torch

    in_use: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count()) if in_use else ()
    with torch.random.fork_rng(devices):
        yield


class ForegroundHere(Foreground):
    """A `Foreground` whose commands run in this process."""

    _running = False
    _over: EndedProcess | None = None

    def start(
        self,
        key: object,
        argv: Sequence[str],
        *,
        label: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run it to its end; `argv` is that of `local.command`."""
        _, _, _, module, *arguments = argv
        self._running = True
        try:
            ended = run_here(module, arguments)
        finally:
            self._running = False
        if ended.error is not None:
            traceback.print_exception(ended.error)
        if ended.guest.asked is not None:
            self._note(ended.guest.asked)
        self._over = EndedProcess(key, ended.code, ended.guest.record)

    @property
    def running(self) -> int:
        """Whether one was run that was not waited for."""
        return int(self._over is not None)

    def wait(self) -> EndedProcess:
        """What was run."""
        over, self._over = self._over, None
        assert over is not None
        return over

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Reached only where the command itself does not handle the signal."""
        self._note(number)
        if self._running:
            raise KeyboardInterrupt

    def _note(self, number: int) -> None:
        heard(number)
        self.asked = self.asked or signal.Signals(number).name


def foreground(*, quiet_stdout: bool = False, report: Reporter | None = None) -> Foreground:
    """What a guest runs in the foreground runs in the process that it is a guest of."""
    if current() is None:
        return Foreground(quiet_stdout=quiet_stdout, report=report)
    return ForegroundHere(quiet_stdout=quiet_stdout)
