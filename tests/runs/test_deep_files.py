"""Text files of a run that nest without end: no command about the run ends with a traceback."""

from pathlib import Path

import pytest

from fpnkit.runs.__main__ import main
from tests.support.sweep_runs import make_run, plan
from tests.support.train_process import write_config

DEEP = "[" * 100_000
FILES = ["run.json", "config_used.yaml", "metrics.jsonl", "tags.json", "env/system.json", "env/git.json"]


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_nests_without_end_is_damaged_and_no_more(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, tmp_path / "features")
    base = tmp_path / "runs"
    base.mkdir()
    hurt, other = (make_run(base, plan(config, [lmbda]).config(lmbda, 0)) for lmbda in (1e-3, 2e-3))
    (hurt / "env").mkdir()
    (hurt / file).write_text(DEEP)
    codes = [
        main(["--base-dir", str(base), *arguments])
        for arguments in ([], ["--show-details", hurt.name], ["diff", hurt.name, other.name], ["tag", hurt.name, "x"])
    ]
    assert codes == [0, 0, 0, 2 if file == "tags.json" else 0]  # tags that cannot be read are not written over
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert other.name in said.out
