import json
import os
import re
import subprocess
import sys

import pytest

from fpnkit.foundation.redact import Redactor
from fpnkit.runs.provenance import git_state, write_environment
from tests.support.run_processes import python, start_trainer


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for variable, value in {"NAME": "a", "EMAIL": "a@b"}.items():
        monkeypatch.setenv(f"GIT_AUTHOR_{variable}", value)
        monkeypatch.setenv(f"GIT_COMMITTER_{variable}", value)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "topic")
    return root


def git(root, *arguments):
    return subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit(root):
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "x")
    return git(root, "rev-parse", "HEAD")


def test_a_clean_checkout_has_a_commit_and_a_branch(repository):
    (repository / "a.py").write_text("a = 1\n")
    head = commit(repository)
    state = git_state(repository)
    assert (state.root, state.commit, state.branch) == (str(repository), head, "topic")
    assert (state.dirty, state.untracked, state.diff) == (False, (), "")


def test_changes_are_a_patch_that_applies_and_new_files_are_named(repository):
    (repository / "a.py").write_bytes("a = 1\nnaïve\n".encode("latin-1"))
    (repository / "deep").mkdir()
    commit(repository)
    (repository / "a.py").write_bytes("a = 2\nnaïve\n".encode("latin-1"))
    (repository / "deep" / "new file ü.py").touch()
    state = git_state(repository / "deep")
    assert state.dirty
    assert state.untracked == ("deep/new file ü.py",)
    git(repository, "checkout", "--quiet", "a.py")
    subprocess.run(["git", "-C", repository, "apply"], input=state.diff.encode("utf-8", "surrogateescape"), check=True)
    assert (repository / "a.py").read_bytes() == "a = 2\nnaïve\n".encode("latin-1")


def test_a_patch_of_data_is_named_and_not_copied(repository, tmp_path, monkeypatch):
    (repository / "table.csv").touch()
    commit(repository)
    (repository / "table.csv").write_text("0123456789\n" * 1_000_000)
    monkeypatch.chdir(repository)
    (tmp_path / "run").mkdir()
    write_environment(tmp_path / "run", Redactor({}, []))
    patch = (tmp_path / "run" / "env" / "diff.patch").read_text()
    assert f"# left out, for it has {len(git_state(repository).diff)} characters; what it changes:\n" in patch
    assert re.search(r"^ table.csv \| 1000000 \++$", patch, re.MULTILINE)
    assert (tmp_path / "run" / "env" / "diff.patch").stat().st_size < 1_000_000


def test_a_repository_without_commits_and_a_detached_head_are_fine(repository):
    (repository / "a.py").touch()
    state = git_state(repository)
    assert (state.commit, state.branch, state.dirty, state.untracked) == (None, "topic", False, ("a.py",))
    git(repository, "checkout", "--quiet", "--detach", commit(repository))
    assert git_state(repository).branch is None


def test_no_repository_is_no_state(tmp_path):
    assert git_state(tmp_path) is None


def test_no_git_is_no_state_and_the_rest_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert write_environment(tmp_path, Redactor({}, [])) == "none"
    assert json.loads((tmp_path / "env" / "git.json").read_text()) == {
        "root": None,
        "commit": None,
        "branch": None,
        "dirty": None,
        "untracked": [],
    }
    assert (tmp_path / "env" / "diff.patch").read_text() == ""


def test_packages_and_machine_are_described(tmp_path):
    write_environment(tmp_path, Redactor({}, []))
    lines = (tmp_path / "env" / "packages.txt").read_text().splitlines()
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0])
    assert f"pytest=={pytest.__version__}" in lines
    assert all(re.fullmatch(r"\S+==\S+", line) for line in lines)
    system = json.loads((tmp_path / "env" / "system.json").read_text())
    assert system["python"] == ".".join(map(str, sys.version_info[:3]))
    assert system["host"] == os.uname().nodename
    assert system["memory_bytes"] > 10**8


def test_thread_variables_are_noted_and_others_are_not(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("MY_OWN_VARIABLE", "private matter")
    write_environment(tmp_path, Redactor({}, []))
    text = (tmp_path / "env" / "system.json").read_text()
    assert json.loads(text)["variables"]["OMP_NUM_THREADS"] == "3"
    assert "private matter" not in text


def test_the_repository_of_the_working_directory_is_noted_beside_fpnkits_own(repository, tmp_path):
    (repository / "mine.py").write_text("a = 1\n")
    head = commit(repository)
    (repository / "mine.py").write_text("a = 2\n")
    code = """
import sys
from pathlib import Path
from fpnkit.runs.provenance import write_environment
from fpnkit.foundation.redact import Redactor
write_environment(Path(sys.argv[1]), Redactor({}, []))
"""
    assert python(code, tmp_path, cwd=repository).stderr == ""
    noted = json.loads((tmp_path / "env" / "git.json").read_text())
    states = [noted, *noted.get("others", [])]
    (own,) = [state for state in states if state["root"] == str(repository)]
    assert (own["commit"], own["branch"], own["dirty"]) == (head, "topic", True)
    patch = (tmp_path / "env" / "diff.patch").read_text()
    assert f"# git -C {repository} diff {head}\n" in patch
    assert "-a = 1\n+a = 2\n" in patch


def test_planted_secrets_are_nowhere_in_the_run_directory(repository, base):
    secrets = {
        "MY_API_TOKEN": "tok-in-environment",
        "DB_PASSWORD": 'quo"ted\\pass',
        "DEPLOY_KEY": "-----BEGIN-----\nline-one-of-key\nline-two-of-key",
    }
    arguments = ["--set", "x.token=tok-in-argument", "--password", "pw-in-argument", "u=https://me:pw-in-url@host/x"]
    (repository / "settings.py").write_text("nothing yet\n")
    commit(repository)
    (repository / "settings.py").write_text("\n".join(secrets.values()) + "\npw-in-argument\nhttps://a:pw-in-url@h\n")
    process, path = start_trainer(
        "create",
        base,
        "--end",
        "1",
        "boom tok-in-environment",
        *arguments,
        cwd=repository,
        env=os.environ | secrets,
    )
    process.communicate(timeout=30)
    assert process.returncode == 0
    written = {file: file.read_text() for file in path.rglob("*") if file.is_file()}
    forbidden = ["tok-in", "pw-in", "quo", "ted\\\\pass", "line-one", "line-two"]
    found = [(file.name, text) for file, content in written.items() for text in forbidden if text in content]
    assert found == []
    # The places where they stood were written, so their absence means something.
    assert "+***" in written[path / "env" / "diff.patch"]
    assert "--set 'x.token=***' --password '***' 'u=https://***@host/x'" in written[path / "command_args.txt"]
    assert '"exit_reason": "boom ***"' in written[path / "run.json"]
