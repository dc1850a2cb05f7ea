import os
import re

import pytest

from fpnkit.errors import RunError
from fpnkit.runs import run as library
from fpnkit.runs.metrics import MetricsWriter
from fpnkit.runs.record import Best
from tests.support.fake_trainer import line
from tests.support.run_dirs import CONFIG, trained, write_run


@pytest.fixture
def good(base):
    path = trained(base, "run_good_one", best=Best(2, 0.5, "best_model_epoch_2_loss_0.5.pth"))
    writer = MetricsWriter(path / "metrics.jsonl")
    for step in range(3):
        writer.append(line(step))
    writer.close()
    return path


def test_a_run_is_found_by_part_of_its_name_and_answers_from_its_files(base, good, monkeypatch):
    run = library.find("good", base)
    assert run.path == good
    assert run.info().best_loss == 0.5
    assert library.load_config("good", base).loss.lmbda == CONFIG["loss"]["lambda"]
    assert library.resume_command("good", base) == f"python -m fpnkit.train --resume {good}"
    frame = library.metrics("good", base)
    assert frame["step"].tolist() == [0, 1, 2]
    assert frame["snr_db.p2"].tolist() == [3.0, 3.0, 3.0]
    monkeypatch.setenv("FPNKIT_HOME", str(base.parents[1]))
    assert library.find("good").path == good


def test_the_best_checkpoint_is_the_copy_with_its_story_else_the_plain_one(base, good):
    with pytest.raises(RunError) as error:
        library.best_checkpoint("good", base)
    assert str(error.value) == f"run {good}: required best_model.pth, found none; it has not finished an epoch"
    (good / "best_model.pth").touch()
    assert library.best_checkpoint(good) == good / "best_model.pth"
    (good / "best_model_epoch_2_loss_0.5.pth").touch()
    assert library.best_checkpoint(good) == good / "best_model_epoch_2_loss_0.5.pth"


def test_a_record_cannot_lead_to_a_checkpoint_elsewhere(base, tmp_path):
    (tmp_path / "evil.pth").touch()
    path = write_run(base, "run_a", best=Best(1, 0.5, os.path.relpath(tmp_path / "evil.pth", base / "run_a")))
    (path / "best_model.pth").touch()
    assert library.best_checkpoint(path) == path / "best_model.pth"


def test_a_notebook_shows_the_run_with_every_text_escaped(base):
    attack = "<script>alert('x')</script>"
    path = write_run(
        base,
        "run_<script>alert(1)<",
        exit_code=1,
        exit_reason=attack,
        host=attack,
        sweep=attack,
        best=Best(1, 1.0, attack),
    )
    (path / "note.md").write_text(attack)
    (path / "tags.json").write_text(f'["{attack}"]')
    html = library.find(path)._repr_html_()
    assert html.count("&lt;script&gt;alert") >= 6
    assert set(re.findall(r"<(/?\w+)", html)) == {
        f"{end}{tag}" for tag in ("table", "tbody", "tr", "th", "td") for end in ("", "/")
    }


def test_a_run_that_has_gone_says_so_in_the_notebook(base, good):
    run = library.find("good", base)
    good.rename(base / "<b>")
    assert run._repr_html_() == f"<p>{good}: not a run directory</p>"
