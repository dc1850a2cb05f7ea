"""The runs that notebooks are tested with: made once, copied for each notebook, for some change them."""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MAKE_STORE = Path(__file__).with_name("make_store.py")
MADE = "FPNKIT_TEST_STORE"  # a store that was made before, such as by the process that started this one


@functools.cache
def store() -> Path:
    """A folder to be FPNKIT_HOME; gone when this process ends."""
    if MADE in os.environ:
        return Path(os.environ[MADE])
    folder = Path(tempfile.mkdtemp(prefix="fpnkit_store_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    home = folder / "home"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(MAKE_STORE), str(home)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    os.environ[MADE] = str(home)
    return home


def copy_store(folder: Path) -> Path:
    """A copy that may be changed, to be FPNKIT_HOME; `folder` must not exist."""
    shutil.copytree(store(), folder, ignore=shutil.ignore_patterns("features"))
    return folder
