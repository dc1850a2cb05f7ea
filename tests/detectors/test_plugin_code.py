"""Code that a config or a run directory of somebody else names for a detector."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fpnkit import evaluate
from fpnkit.config.schema import PluginDetector
from fpnkit.detectors.build import build_detector
from fpnkit.errors import UserError
from tests.support.curve_run import copy_run
from tests.support.plugins import MEAN

METHODS = "spec, prepare, pyramid, complete, detect, fingerprint"


def refused(code: str, options: dict[str, Any]) -> str:
    settings = PluginDetector.model_validate({"kind": "plugin", "class": code, "options": options})
    with pytest.raises(UserError) as error:
        build_detector(settings)
    return str(error.value)


@pytest.mark.parametrize(
    ("code", "found"),
    [("subprocess:run", "a function"), ("subprocess:Popen", "a class without them"), ("os:environ", "a _Environ")],
)
def test_what_is_no_detector_is_not_called(code: str, found: str, tmp_path: Path) -> None:
    """A dictionary of options is a command to what takes a list of words."""
    made = tmp_path / "made"
    name = code.rpartition(":")[2]
    told = f"detector `{name}`: its plugin {code} failed: TypeError: required a class with {METHODS}, found {found}"
    assert refused(code, {"touch": 1, str(made): 1}) == told
    assert not made.exists()


def spoiled(run: Path, code: str) -> Path:
    """The run, with a detector of its own kind."""
    (run / "evil.py").write_text(f"open({str(run / 'made')!r}, 'w')\n{MEAN}")
    path = run / "config_used.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["detector"] = {"kind": "plugin", "class": code}
    path.write_text(yaml.safe_dump(settings))
    return run


@pytest.mark.parametrize("called", ["RUN/evil.py", "evil", "NAME.evil", "LINK"])
def test_code_in_a_run_directory_is_not_run(
    called: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = copy_run(tmp_path / "runs").rename(tmp_path / "runs" / "run_of_somebody")
    (tmp_path / "link.py").symlink_to(run / "evil.py")
    where = called.replace("RUN", str(run)).replace("NAME", run.name).replace("LINK", str(tmp_path / "link.py"))
    spoiled(run, f"{where}:Mean")
    monkeypatch.syspath_prepend(str(run.parent if called == "NAME.evil" else run))

    code = evaluate.main([str(run)])

    said = capfd.readouterr().err.splitlines()[-1]
    place = (
        run / "evil.py" if called in ("RUN/evil.py", "evil") else run if called == "NAME.evil" else tmp_path / "link.py"
    )
    assert f"ImportError: {place} lies in the run directory {run}; required code from elsewhere" in said
    assert code == 2
    assert not (run / "made").exists()
    assert "evil" not in sys.modules
    assert f"{run.name}.evil" not in sys.modules


def test_code_beside_run_directories_is_run(tmp_path: Path) -> None:
    """As in a notebook's folder, where `checkpoints` lies too."""
    (tmp_path / "checkpoints" / "run_a").mkdir(parents=True)
    (tmp_path / "checkpoints" / "run_a" / "run.json").write_text("{}")
    (tmp_path / "lab.py").write_text(MEAN)
    settings = {"kind": "plugin", "class": f"{tmp_path}/lab.py:Mean", "options": {"label": 3}}
    assert build_detector(PluginDetector.model_validate(settings)).fingerprint() == "mean 1"
