"""What the recorder finds out about a run, and keeps of it."""

from __future__ import annotations

import json
import subprocess

import pytest

from runcast.run.record import NOTEBOOK


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a script, in a repository with a change that is not committed; runs have it as working folder."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-C", str(tmp_path)]
    (tmp_path / "train.py").write_text("lr = 1\n")
    for arguments in (["init", "-q"], ["add", "train.py"], ["commit", "-q", "-m", "Begin"]):
        subprocess.run([*git, *arguments], check=True, capture_output=True)
    (tmp_path / "train.py").write_text("lr = 2\n")
    return tmp_path


def kept(run):
    return {
        path.relative_to(run.folder).as_posix()
        for name in ("code", "git")
        for path in (run.folder / name).rglob("*.*")
    } | {path.name for path in run.folder.glob("requirements.txt")}


WHOLE = {"code/train.py", "git/diff.patch", "git/untracked.txt", "requirements.txt"}


@pytest.fixture
def with_script(new_run, project):
    """Make a run whose journal names the script."""

    def make(**start):
        run = new_run(**start)
        run.journal.append("set", values={"facts": {"script": str(project / "train.py")}})
        return run

    return make


def test_facts_and_files(with_script, start_recorder, store, wait_for):
    """A run soon has its machine, its commit, its script, its patch and its packages, in the store as well."""
    run = with_script()
    recorder = start_recorder(run)
    wait_for(lambda: kept(run) == WHOLE)
    run.finish()
    recorder.send(kind="wake")
    recorder.wait()
    with store() as opened:
        facts = opened.run(run.id).facts
        assert {"host", "python", "cpus", "memory", "cwd"} <= facts.keys()
        assert facts["git"]["dirty"] is True
        rows = {row.path: row for row in opened.files(run.id)}
        assert rows.keys() >= WHOLE
        assert rows["code/train.py"].state == "recorded"
        assert opened.read(run.id, "code/train.py", 0, 100) == b"lr = 2\n"
        assert b"+lr = 2" in opened.read(run.id, "git/diff.patch", 0, 1000)


def test_a_run_that_was_over_before(with_script, start_recorder, store):
    """A run of a few milliseconds has all of it too, a moment after its process was told that it is recorded."""
    run = with_script()
    run.finish()
    recorder = start_recorder(run)
    assert recorder.wait() == 0
    assert kept(run) == WHOLE
    with store() as opened:
        assert "commit" in opened.run(run.id).facts["git"]


def test_parts_are_left_out(with_script, start_recorder, store):
    """What was switched off is not recorded: no code, no git, no packages, no system metrics."""
    run = with_script(left_out=["code", "git", "packages", "system"])
    run.finish()
    assert start_recorder(run).wait() == 0
    assert kept(run) == set()
    assert not (run.folder / "own" / "system").exists()
    with store() as opened:
        assert "git" not in opened.run(run.id).facts


def test_the_notebook_is_kept(with_script, start_recorder, wait_for):
    """What the kernel left of its notebook is kept under the notebook's name, and again when it changes."""
    run = with_script(notebook="/home/ada/Work.ipynb")
    history = run.folder / NOTEBOOK
    history.parent.mkdir()
    history.write_text(json.dumps({"cells": [1]}))
    recorder = start_recorder(run)
    place = run.folder / "code" / "Work.ipynb"
    wait_for(lambda: place.exists() and json.loads(place.read_text()) == {"cells": [1]})
    draft = history.with_suffix(".new")
    draft.write_text(json.dumps({"cells": [1, 2]}))
    draft.replace(history)
    wait_for(lambda: json.loads(place.read_text()) == {"cells": [1, 2]})
    draft.write_text(json.dumps({"cells": [1, 2, 3]}))
    draft.replace(history)
    run.finish()
    recorder.send(kind="wake")
    recorder.wait()
    assert json.loads(place.read_text()) == {"cells": [1, 2, 3]}


def test_a_second_recorder_does_not_ask_again(with_script, start_recorder, wait_for, project):
    """After its recorder died, the run keeps the code that it started with, not what was written since."""
    run = with_script()
    recorder = start_recorder(run)
    wait_for(lambda: kept(run) == WHOLE)
    recorder.kill()
    (project / "train.py").write_text("lr = 3\n")
    second = start_recorder(run)
    run.finish()
    second.send(kind="wake")
    second.wait()
    assert (run.folder / "code" / "train.py").read_text() == "lr = 2\n"
