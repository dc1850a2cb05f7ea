"""JupyterLab and Voila on a folder of their own, and pages of Chromium: nothing of the user's settings is read.

Servers and their kernels are warm processes.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import warm

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_SECONDS = 90  # that a server or a page may take on a busy machine
# JupyterLab's own, unhandled now and then when a kernel is restarted (jupyterlab/jupyterlab#12200).
_OF_RESTARTS = "Canceled future for ", "Kernel connection disconnected"
# What it says of a message that breaks off where another one begins. Seen in two of about ten runs of the one test that
# restarts its kernel, never in 130 restarts by a client of our own under a flood of messages: whose fault is not known.
_BROKEN_OFF = re.compile(r"Kernel message validation error: Unexpected token '.', \"(comm-|stream\.)")
_CONFIG = "config"
_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "apputils-extension/themes": {"adaptive-theme": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # else cells that are out of sight are not in the page
}


@contextlib.contextmanager
def jupyter_lab(root: Path, home: Path, *, dark: bool = False, widgets: bool = True) -> Iterator[str]:
    """The address of a JupyterLab that shows the notebooks in `root`, with `home` as FPNKIT_HOME."""
    settings = root / ".jupyter"
    if not widgets:
        (settings / _CONFIG / "labconfig").mkdir(parents=True)
        switched_off = {"disabledExtensions": {"@jupyter-widgets/jupyterlab-manager": True}}
        (settings / _CONFIG / "labconfig" / "page_config.json").write_text(json.dumps(switched_off))
    theme = {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"}
    for name, values in _SETTINGS.items():
        file = settings / "lab" / "user-settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values | (theme if name.endswith("themes") else {})))
    environment = {"JUPYTERLAB_SETTINGS_DIR": str(settings / "lab" / "user-settings")}
    environment |= {"JUPYTERLAB_WORKSPACES_DIR": str(settings / "lab" / "workspaces")}
    options = ["--ServerApp.token=", "--ServerApp.password=", "--allow-root", f"--ServerApp.root_dir={root}"]
    with _server("lab", ["jupyterlab", *options], root, home, environment) as address:
        yield f"{address}/lab"


@contextlib.contextmanager
def voila(notebook: Path, home: Path) -> Iterator[str]:
    """The address of a notebook served as an app."""
    with _server("voila", ["voila", str(notebook)], notebook.parent, home, {}) as address:
        yield address


@contextlib.contextmanager
def chromium() -> Iterator["Browser"]:
    """One browser; Playwright allows one at a time."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def page(browser: "Browser", height: int = 1000, *, restarts: bool = False) -> Iterator["Page"]:
    """An empty page; its errors are raised at the end, for a widget that cannot be drawn says so only there.

    `restarts`: a kernel is restarted, and one of its messages may break off.
    """
    errors: list[str] = []
    made = browser.new_page(viewport={"width": 1280, "height": height})
    made.set_default_timeout(_SECONDS * 1000)
    made.on("pageerror", lambda error: errors.append(error.message))
    try:
        yield made
    finally:
        made.close()
    unexpected = [error for error in errors if not error.startswith(_OF_RESTARTS)]
    if restarts:
        unexpected = [error for error in unexpected if not _BROKEN_OFF.match(error)]
    assert not unexpected, "\n".join(unexpected)


@contextlib.contextmanager
def _server(name: str, command: list[str], root: Path, home: Path, environment: Mapping[str, str]) -> Iterator[str]:
    port = _free_port()
    own = root / ".jupyter"
    own.mkdir(exist_ok=True)
    folders = {"JUPYTER_CONFIG_DIR": _CONFIG, "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
    folders = {key: str(own / name) for key, name in folders.items()}
    environment = {**os.environ, **folders, **environment, "FPNKIT_HOME": str(home)}
    address = ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    if name == "voila":
        address = ["--Voila.ip=127.0.0.1", f"--port={port}"]
    log = own / f"{name}.log"
    with open(log, "wb") as output:
        process = warm.Popen(
            [sys.executable, "-m", *command, "--no-browser", *address],
            cwd=root,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(f"http://127.0.0.1:{port}/", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=20)


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
