"""The runs that notebooks are tested with: made once, copied for each test that may change them."""

import atexit
import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.support import ROOT, warm

CONFIG_FILE = ROOT / "configs" / "example_sweep.yaml"
MADE = "FPNKIT_TEST_STORE"  # where it is, or will be: all processes of a test run share one


def reserve() -> None:
    """Choose a place before others are started, unless one was given; gone when this process ends."""
    if MADE not in os.environ:
        folder = tempfile.mkdtemp(prefix="fpnkit_store_")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[MADE] = str(Path(folder) / "home")


def store() -> Path:
    """A folder to be FPNKIT_HOME, which nobody changes."""
    reserve()
    home = Path(os.environ[MADE])
    with open(home.with_suffix(".lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes while it is being made waits
        if not home.exists():
            _make(home)
    return home


def _make(home: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.make_store", str(home)]
    done = warm.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=500)
    if done.returncode != 0:
        shutil.rmtree(home, ignore_errors=True)
    assert done.returncode == 0, done.stderr


def copy_store(folder: Path) -> Path:
    """A copy that may be changed, to be FPNKIT_HOME; `folder` must not exist."""
    shutil.copytree(store(), folder, ignore=shutil.ignore_patterns("features"))
    return folder
