"""The process that warm processes are forked from: python -m tests.support.warm_server SOCKET

It loads other people's libraries and nothing of fpnkit, starts no threads and computes nothing. It ends when its stdin
is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import random
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import traceback
from typing import Any, NoReturn

import pandas
import psutil

from tests.support.warm import SERVER, Popen

# Not matplotlib, which looks at its surroundings when imported; so do pandas and tqdm.auto, which compressai imports.
_LIBRARIES = ["torch", "torchvision", "compressai.ans", "compressai.entropy_models", "compressai.layers"]
_LIBRARIES += [
    "scipy.stats",
    "safetensors.torch",
    "faster_coco_eval.core",
    "PIL.Image",
    "zstandard",
    "yaml",
    "pydantic",
]
_SITE = [path for path in sys.path if path not in (os.getcwd(), "", *os.environ.get("PYTHONPATH", "").split(":"))]


class _Exec(BaseException):
    """The process becomes another command of Python."""

    def __init__(self, argv: list[str]) -> None:
        self.argv = argv


def main(path: str) -> None:
    """Serve the tests."""
    for library in _LIBRARIES:
        importlib.import_module(library)
    for name in ("tqdm.auto", "tqdm.autonotebook"):
        sys.modules.pop(name)
    for name in [each for each in sys.modules if each.partition(".")[0] == "anyio"]:
        sys.modules.pop(name)  # a plugin of pytest's, which must be the first to import it
    gc.collect()
    gc.freeze()  # else each process would write to, and so copy, what it only shares
    subprocess.Popen = Popen  # type: ignore[misc]
    listener = _listen(path)
    os.write(1, b"ready\n")
    lifeline = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a free 0 would be taken by the next file
    _serve(listener, path, lifeline)
    for process in psutil.Process().children(recursive=True):  # there are some if the tests ended at once
        process.kill()
    shutil.rmtree(os.path.dirname(path))


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    return listener


def _serve(listener: socket.socket, path: str, lifeline: int) -> None:
    """Until whoever holds the other end of the lifeline has ended."""
    while True:
        ready, _, _ = select.select([listener, lifeline], [], [])
        with contextlib.suppress(ChildProcessError):  # there is none
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if listener not in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os.close(lifeline)
            _fork_and_wait(connection, path)
        connection.close()


def _fork_and_wait(connection: socket.socket, path: str) -> NoReturn:
    """Fork the process that was asked for, and tell its end to whoever asked."""
    _, fds, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as lines:
        request: dict[str, Any] = json.loads(lines.readline())
    pid = os.fork()
    if pid == 0:
        request["env"][SERVER] = _fork_server(path, [connection.fileno(), *fds])
        os.setsid()  # before anybody knows the process and may signal its group
        connection.sendall(b"%d\n" % os.getpid())
        connection.close()
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
            os.close(fd)
        _run(request)
    for fd in fds:
        os.close(fd)
    with contextlib.suppress(BrokenPipeError):  # whoever asked may be gone
        connection.sendall(b"%d\n" % os.waitpid(pid, 0)[1])
    os._exit(0)


def _fork_server(path: str, fds: list[int]) -> str:
    """A server for what this process will start, so that it descends from it; → its socket."""
    path = f"{path}.{os.getpid()}"
    listener = _listen(path)
    lifeline, ours = os.pipe()
    if os.fork() == 0:
        for fd in (ours, *fds):
            os.close(fd)
        _serve(listener, path, lifeline)
        os._exit(0)
    listener.close()
    os.close(lifeline)
    return path


def _run(request: dict[str, Any]) -> NoReturn:
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):  # those that one may ignore
        signal.signal(number, signal.SIG_IGN if number in request["ignored"] else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
    random.seed()
    os.execv = _exec  # type: ignore[assignment]
    argv = request["argv"]
    while True:
        try:
            _python(argv)
        except _Exec as become:
            argv = become.argv
        except SystemExit as end:
            _end(end.code)
        except KeyboardInterrupt:
            traceback.print_exc()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        except BaseException:
            traceback.print_exc()
            _end(1)
        else:
            _end(None)


def _end(code: object) -> NoReturn:
    """As Python does, but for taking all modules apart, which costs more than the rest."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError, ValueError):
            stream.flush()
    os._exit(code or 0)


def _exec(path: str, argv: list[str]) -> None:
    assert path == sys.executable
    raise _Exec(argv[1:])


def _python(argv: list[str]) -> None:
    """What the interpreter does with its command line."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.orig_argv = [sys.executable, *argv]
    command, unbuffered = "", False
    while not command and argv[0].startswith("-"):
        flag, *argv = argv
        if flag == "-W":
            assert argv.pop(0) == "ignore"  # as the server does
        elif not flag.startswith("-X"):  # how Python loads modules of its own
            assert set(flag) <= set("-ISucm"), f"not known to warm processes: {flag}"
            unbuffered = unbuffered or "u" in flag
            command = flag[-1] if flag[-1] in "cm" else ""
    _open_streams(unbuffered)
    sys.path[:] = [os.getcwd(), *filter(None, os.environ.get("PYTHONPATH", "").split(":")), *_SITE]
    importlib.invalidate_caches()
    sys.argv = argv
    if argv[0] == "ipykernel_launcher":
        pandas.set_option("display.max_columns", 20)  # its default where it finds itself in a kernel
    if command == "m":
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
    elif command == "c":
        sys.argv = ["-c", *argv[1:]]
        exec(compile(argv[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path[0] = os.path.dirname(argv[0])
        runpy.run_path(argv[0], run_name="__main__")


def _open_streams(unbuffered: bool) -> None:
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    for name, fd, errors in (("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")):
        raw = io.FileIO(fd, "w", closefd=False)
        binary = raw if unbuffered else io.BufferedWriter(raw)
        lines = fd == 2 or os.isatty(fd)
        stream = io.TextIOWrapper(binary, "utf-8", errors, line_buffering=lines, write_through=unbuffered)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


if __name__ == "__main__":
    main(sys.argv[1])
