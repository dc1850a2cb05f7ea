import json
import os

import pytest

from fpnkit.errors import RunError
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.notes import add_note, read_note, read_tags, set_tags
from fpnkit.runs.record import read_record
from fpnkit.runs.store import run_info
from tests.support.run_dirs import write_run
from tests.support.run_processes import command_line, until


def message(call, *arguments, **options):
    with pytest.raises(RunError) as error:
        call(*arguments, **options)
    return str(error.value)


def test_a_note_grows_by_lines_and_lists_show_its_first(base):
    path = write_run(base, "run_a")
    add_note(path, " the good one \n")
    add_note(path, "see figure 3\nand table 1")
    assert (path / "note.md").read_text() == "the good one\nsee figure 3\nand table 1\n"
    assert run_info(path).note == "the good one"


def test_a_note_written_by_hand_in_any_encoding_is_kept(base):
    path = write_run(base, "run_a")
    (path / "note.md").write_bytes(b"# m\xfcde, kein Zeilenende")
    add_note(path, "more")
    assert (path / "note.md").read_bytes() == b"# m\xfcde, kein Zeilenende\nmore\n"


def test_tags_keep_their_order_and_come_once(base):
    path = write_run(base, "run_a")
    assert set_tags(path, add=["paper", " figure 3 ", "paper"]) == ("paper", "figure 3")
    assert set_tags(path, add=["new"], remove=["paper"]) == ("figure 3", "new")
    assert json.loads((path / "tags.json").read_text()) == ["figure 3", "new"]
    assert run_info(path).tags == read_tags(path) == ("figure 3", "new")


def test_words_that_are_none_are_refused_and_nothing_is_written(base):
    path = write_run(base, "run_a")
    assert message(add_note, path, " \n") == "note: required some text, found none"
    assert message(set_tags, path, add=["ok", " "]) == "tag '': required text on one line"
    assert message(set_tags, path, add=["a\nb"]) == "tag 'a\\nb': required text on one line"
    assert message(set_tags, path, remove=["x"]) == "tag 'x': not on run_a, it has none"
    assert os.listdir(path) == ["run.json"]


@pytest.mark.parametrize("content", ["", "{", '"text"', "[1]"])
def test_tags_spoilt_by_hand_are_not_written_over(base, content):
    path = write_run(base, "run_a")
    (path / "tags.json").write_text(content)
    assert message(set_tags, path, add=["paper"]) == (
        f'{path}/tags.json: must hold a JSON list of texts such as ["paper"]; repair or remove the file'
    )
    assert (path / "tags.json").read_text() == content


def test_a_lone_log_has_no_place_for_notes(base):
    base.mkdir(parents=True)
    (base / "train.log").write_text("Epoch 1")
    done = command_line("--base-dir", base, "note", "train.log", "good")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{base}/train.log: is a lone log; a note or a tag needs a run directory\n"


def test_the_command_line_shows_and_adds(base):
    path = write_run(base, "run_a")
    assert command_line("--base-dir", base, "note", "run_a").stdout == "no note on run_a yet\n"
    assert command_line("note", path, "two", "words").stdout == f"added to {path}/note.md\n"
    assert command_line("note", path).stdout == "two words\n"
    assert command_line("tag", "--base-dir", base, "run_a", "paper", "x").stdout == "run_a: paper, x\n"
    assert command_line("tag", path, "--remove", "x").stdout == "run_a: paper\n"
    assert command_line("tag", path).stdout == "run_a: paper\n"
    assert command_line("--base-dir", base, "--csv", "--columns", "note,tags").stdout == "note,tags\ntwo words,paper\n"


def test_words_written_while_the_trainer_writes_disturb_neither(base, trainer):
    process, path = trainer("create", base, "--lines", 400, "--heartbeat", 0.001, "--end", 0, "finished")
    for number in range(60):
        set_tags(path, add=[f"tag {number}"])
        add_note(path, f"line {number}")
    process.communicate(timeout=60)
    until(lambda: read_record(path).exit_code == 0)
    assert read_tags(path) == tuple(f"tag {number}" for number in range(60))
    assert read_note(path).splitlines() == [f"line {number}" for number in range(60)]
    assert [line.step for line in read_metrics(path / "metrics.jsonl")] == list(range(400))
