"""The origin of a run: source, packages, machine. Written once, without secrets."""

import contextlib
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import fpnkit
from fpnkit.foundation.files import write_json, write_text
from fpnkit.foundation.processes import host_name
from fpnkit.foundation.redact import Redactor
from fpnkit.runs import layout
from fpnkit.runs.record import Parallel

_NO_CHECKOUT: dict[str, Any] = {"root": None, "commit": None, "branch": None, "dirty": None, "untracked": []}
_GIT_TIMEOUT_SECONDS = 30
_LONGEST_DIFF = 10_000_000  # characters; a data file under version control that changed is no source
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
)


@dataclass(frozen=True)
class GitState:
    """A checkout at one moment."""

    root: str
    commit: str | None  # None: nothing committed yet
    branch: str | None  # None: detached
    dirty: bool  # tracked files differ from the commit
    untracked: tuple[str, ...]
    diff: str  # `git diff HEAD`


def write_environment(run_dir: Path, redactor: Redactor, parallel: Parallel | None = None) -> str:
    """Fill `env/`; return a short description of the commit. Raises StorageError."""
    directory = run_dir / layout.ENV
    directory.mkdir()
    states = _checkouts()
    descriptions = [{key: value for key, value in asdict(state).items() if key != "diff"} for state in states]
    main = descriptions[0] if descriptions else _NO_CHECKOUT
    others = {"others": descriptions[1:]} if len(descriptions) > 1 else {}
    write_json(directory / layout.GIT_JSON, redactor.value(main | others))
    patches = [f"# git -C {state.root} diff {state.commit}\n{_patch(state)}" for state in states if state.diff]
    write_text(directory / layout.DIFF_PATCH, redactor.text("".join(patches)))
    write_text(directory / layout.PACKAGES, redactor.text(_packages()))
    together = {} if parallel is None else {"parallel": asdict(parallel)}
    write_json(directory / layout.SYSTEM_JSON, redactor.value(_system() | together))
    return _describe(states)


def describe_commit() -> str:
    """The commit of the current checkout, such as `3f2a… (dirty)`."""
    return _describe(_checkouts())


def _describe(states: list[GitState]) -> str:
    if not states or states[0].commit is None:
        return "none"
    return states[0].commit + (" (dirty)" if states[0].dirty else "")


def _patch(state: GitState) -> str:
    if len(state.diff) <= _LONGEST_DIFF:
        return state.diff
    changes = _git(Path(state.root), "diff", "--no-color", "--no-ext-diff", "--stat", "HEAD") or ""
    return f"# left out, for it has {len(state.diff)} characters; what it changes:\n{changes}"


def git_state(directory: Path) -> GitState | None:
    """The checkout around a directory; None without a checkout or git."""
    root = _git(directory, "rev-parse", "--show-toplevel")
    if root is None:
        return None
    top = Path(root.rstrip("\n"))
    commit = (_git(top, "rev-parse", "--verify", "--quiet", "HEAD") or "").strip() or None
    diff = _git(top, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "HEAD") if commit else None
    untracked = _git(top, "ls-files", "--others", "--exclude-standard", "-z") or ""
    return GitState(
        root=str(top),
        commit=commit,
        branch=(_git(top, "symbolic-ref", "--quiet", "--short", "HEAD") or "").strip() or None,
        dirty=bool(diff),
        untracked=tuple(sorted(filter(None, untracked.split("\0")))),
        diff=diff or "",
    )


def _checkouts() -> list[GitState]:
    """fpnkit's own source first, then the researcher's repository if it is another one."""
    package = Path(fpnkit.__file__).parent
    states: dict[str, GitState] = {}
    for directory in (package, Path.cwd()):
        state = git_state(directory)
        if state is not None:
            states.setdefault(state.root, state)
    return list(states.values())


def _git(directory: Path, *arguments: str) -> str | None:
    """Output of a git command that only reads; None if it fails."""
    command = ["git", "-C", str(directory), *arguments]
    # Without the optional lock a run never interferes with a commit in progress.
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=_GIT_TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "surrogateescape")


def _packages() -> str:
    found = {(item.metadata["Name"] or "").lower(): item for item in metadata.distributions()}
    return "".join(f"{name}=={found[name].version}\n" for name in sorted(found) if name)


def _system() -> dict[str, Any]:
    return {
        "host": host_name(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "cpu_model": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": _gpus(),
        "variables": {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """GPU names if torch is already loaded; this layer does not load it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
