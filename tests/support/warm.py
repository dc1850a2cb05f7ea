"""Processes that need not load torch: `Popen` and `run` as in `subprocess`, for commands of Python.

A server loads the libraries once and forks every process from itself; what that starts in turn is forked by a server
below it. Signals, exit codes, output, environment and folder are those of a real process. What a test says about the
start of a process (which modules it imports, what a signal does in its first second) it has to say about a cold one,
of `subprocess`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from typing import Any

from tests.support import ROOT

SERVER = "FPNKIT_TEST_WARM"  # its socket; processes that tests start share the server of the tests
_cold = subprocess.Popen  # before anything puts the class below in its place
_server: subprocess.Popen[bytes] | None = None


class Popen(_cold):  # type: ignore[type-arg]
    """A process forked from the server, which is its parent; other commands than Python's are started as ever."""

    _server: socket.socket | None = None

    def _execute_child(self, args: Any, *rest: Any) -> None:
        _, preexec_fn, _, pass_fds, cwd, env, _, _, shell, *others = rest
        if isinstance(args, str) or args[0] != sys.executable or preexec_fn or pass_fds or shell:
            return super()._execute_child(args, *rest)  # type: ignore[misc,no-any-return]
        read, _, _, out_write, _, error_write = others[:6]
        fds = [own if fd == -1 else fd for own, fd in enumerate((read, out_write, error_write))]
        request = {
            "argv": [os.fspath(argument) for argument in args[1:]],
            "cwd": os.getcwd() if cwd is None else os.fspath(cwd),
            "env": dict(os.environ if env is None else env),
            "ignored": [int(n) for n in signal.Signals if signal.getsignal(n) is signal.SIG_IGN],
            "blocked": [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        }
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(_address())
        socket.send_fds(self._server, [b"\n"], fds)
        self._server.sendall(json.dumps(request).encode() + b"\n")
        self.pid = int(self._line())
        self._child_created = True
        self._close_pipe_fds(*others[:6])  # type: ignore[attr-defined]
        return None

    def _line(self) -> bytes:
        assert self._server is not None
        line = b""
        while not line.endswith(b"\n"):
            received = self._server.recv(1)
            assert received, "the server of warm processes has ended"
            line += received
        return line

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if self._server is None:
            return super()._try_wait(wait_flags)  # type: ignore[misc,no-any-return]
        if not select.select([self._server], [], [], 0 if wait_flags & os.WNOHANG else None)[0]:
            return 0, 0
        status = int(self._line())
        self._server.close()
        return self.pid, status

    def _internal_poll(self, _deadstate: int | None = None, **others: Any) -> int | None:
        if self._server is None:
            return super()._internal_poll(_deadstate, **others)  # type: ignore[misc,no-any-return]
        if self.returncode is None and self._waitpid_lock.acquire(False):  # type: ignore[attr-defined]
            try:
                pid, status = (0, 0) if self.returncode is not None else self._try_wait(os.WNOHANG)
                if pid == self.pid:
                    self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                self._waitpid_lock.release()  # type: ignore[attr-defined]
        return self.returncode


def run(command: list[str], *, timeout: float = 120, **options: Any) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run`, with text captured."""
    with Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def server_pid() -> int | None:
    """None if it was not needed so far, or belongs to another process."""
    return None if _server is None else _server.pid


def _address() -> str:
    """Of the server, which is started when first needed and ends with this process."""
    global _server
    if SERVER not in os.environ:
        path = os.path.join(tempfile.mkdtemp(prefix="fpnkit_warm_"), "socket")
        command = [sys.executable, "-W", "ignore", "-m", "tests.support.warm_server", path]
        server = _server = _cold(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert server.stdin is not None
        assert server.stdout is not None
        atexit.register(server.wait, 30)
        atexit.register(server.stdin.close)  # tells it to end
        assert server.stdout.readline() == b"ready\n"
        server.stdout.close()
        os.environ[SERVER] = path
    return os.environ[SERVER]
