import re
from pathlib import Path

import pytest

from fpnkit.config.load import load_config, plain, validate

ROOT = Path(__file__).parents[2] / "configs"
FILES = sorted(ROOT.rglob("*.y*ml"))


def test_there_are_configs_for_built_in_and_real_data() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in FILES}
    assert "train_factorized_prior_fpn.yaml" in names
    assert any("coco" in name for name in names)
    assert any(name.startswith("detection/") for name in names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_shipped_config_loads_and_says_command_hardware_and_result(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FPNKIT_DATA", "/data")
    config = load_config(path)
    assert validate(plain(config)) == config
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header)
    relative = path.relative_to(ROOT.parent).as_posix()
    assert re.search(rf"python -m fpnkit\.(train|sweep) --config {re.escape(relative)}\b", text)
    assert "Hardware:" in text
    assert "Expect:" in text
