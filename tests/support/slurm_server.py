"""A Slurm of its own on this machine: munged, slurmctld and slurmd on free loopback ports, in a folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import leaks

REQUIRED = "FPNKIT_REQUIRE_SLURM"
_COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
_READY_SECONDS = 60.0

_CONF = """\
ClusterName=fpnkit
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=20
MpiDefault=none
SwitchType=switch/none
SchedulerParameters=sched_interval=2,bf_interval=2,default_queue_depth=2000
MaxArraySize=2001
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=2
PartitionName=spare Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
"""


@dataclass(frozen=True)
class SlurmServer:
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """For its commands."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def start_controller(self) -> None:
        self._run("slurmctld")
        self._until(lambda: "UP" in self.ask("scontrol", "ping"), "slurmctld answers")

    def stop_controller(self) -> None:
        """What runs goes on running."""
        pid = self.folder / "slurmctld.pid"
        os.kill(int(pid.read_text()), signal.SIGTERM)
        self._until(lambda: "UP" not in self.ask("scontrol", "ping"), "slurmctld is gone")

    def queue(self) -> str:
        return self.ask("squeue", "--noheader", "--array", "--format=%i|%T|%r")

    def hasten(self, job: str) -> None:
        """A requeued job would otherwise wait for a minute; within a second or two the node would refuse it."""
        time.sleep(3)
        self.ask("scontrol", "update", f"JobId={job}", "StartTime=now")

    def clear(self) -> None:
        """Cancel everything and wait for the end."""
        self.ask("scancel", "--me")
        self.ask("scancel", "--me", "--signal=KILL")
        self._until(lambda: self.queue() == "", "the queue is empty")

    def ask(self, *command: str) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60
        )
        return done.stdout.strip()

    def start(self) -> None:
        (self.folder / "key").write_bytes(os.urandom(1024))
        (self.folder / "key").chmod(0o400)
        conf = _CONF.format(
            host=socket.gethostname().split(".")[0], folder=self.folder, controller=_free_port(), node=_free_port()
        )
        (self.folder / "slurm.conf").write_text(conf)
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        own = [f"--{name}-file={self.folder}/munged.{name}" for name in ("pid", "log", "seed")]
        self._run("munged", "--force", f"--socket={self.folder}/munge.socket", f"--key-file={self.folder}/key", *own)
        self.start_controller()
        self._run("slurmd")
        self._until(lambda: "idle" in self.ask("sinfo", "--noheader"), "the node is idle")

    def stop(self) -> None:
        for name in ("slurmd.pid", "slurmctld.pid", "munged.pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((self.folder / name).read_text()), signal.SIGTERM)
        self._until(lambda: "UP" not in self.ask("scontrol", "ping"), "slurmctld is gone")

    def _run(self, *command: str) -> None:
        """A daemon, which outlives the module that needed it first."""
        environment = {key: value for key, value in os.environ.items() if key != leaks.MARK}
        path = {"PATH": _PATH}
        subprocess.run(command, env={**environment, **path, **self.environment}, check=True, timeout=60)

    def _until(self, met: object, what: str) -> None:
        end = time.monotonic() + _READY_SECONDS
        while not met():  # type: ignore[operator]
            if time.monotonic() > end:
                logs = "\n".join(path.read_text("utf-8", "replace")[-2000:] for path in self.folder.glob("*.log"))
                raise AssertionError(f"not within {_READY_SECONDS:g} s: {what}\n{logs}")
            time.sleep(0.2)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[SlurmServer]:
    """One that is ended afterwards; skips where there is no Slurm, unless it is required."""
    missing = [name for name in _COMMANDS if shutil.which(name, path=_PATH) is None]
    if os.getuid() != 0:
        pytest.skip("needs to be root, as who Slurm's daemons run")
    if missing:
        why = f"needs Slurm's commands, found no {', '.join(missing)} (Debian: slurm-wlm munge)"
        if os.environ.get(REQUIRED):
            raise AssertionError(why)
        pytest.skip(why)
    server = SlurmServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
