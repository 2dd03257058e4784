"""What is noted of the place where a run ran."""

from __future__ import annotations

import subprocess

import pytest

from runcast.recorder.facts import gather, git_facts, without_credentials
from runcast.recorder.ledger import Ledger
from runcast.run.record import RunRecord
from runcast.store.local import LocalStore


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one commit."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(tmp_path / "none"))
    folder = tmp_path / "project"
    folder.mkdir()

    def git(*arguments):
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid"]
        done = subprocess.run(
            ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q", "-b", "main")
    (folder / "train.py").write_text("print()")
    git("add", "train.py")
    git("commit", "-q", "-m", "Begin")
    git("remote", "add", "origin", "https://ada:secret-token@git.example/team/project.git")
    return folder, git


def test_git_facts(repository):
    """A run in a repository knows commit, branch, whether anything was changed, and where it came from, but no password."""
    folder, git = repository
    facts = git_facts(str(folder))
    assert facts == {
        "root": str(folder),
        "commit": git("rev-parse", "HEAD"),
        "branch": "main",
        "remote": "https://git.example/team/project.git",
        "dirty": False,
    }
    (folder / "train.py").write_text("print(1)")
    assert git_facts(str(folder))["dirty"] is True
    git("checkout", "-q", "--detach")
    assert "branch" not in git_facts(str(folder))


def test_git_runs_nothing_of_the_repository(repository, tmp_path):
    """A repository whose configuration names a program to run on `git status` does not get to run it."""
    folder, git = repository
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    hook.chmod(0o755)
    git("config", "core.fsmonitor", str(hook))
    assert git_facts(str(folder))["commit"]
    assert not (tmp_path / "ran").exists()


def test_no_repository_is_no_fact(tmp_path):
    """Outside a repository, or in a folder that is gone, there is nothing of git, and no error."""
    assert git_facts(str(tmp_path)) == {}
    assert git_facts(str(tmp_path / "gone")) == {}


def test_machine_facts(tmp_path):
    """Host, Python, system, processors and memory are known on every machine."""
    facts = gather(str(tmp_path))
    assert {"host", "python", "os", "cpus", "memory"} <= facts.keys()
    assert facts["memory"] > 1e8


@pytest.mark.parametrize(
    ("remote", "shown"),
    [
        ("https://ada:secret@git.example/a/b.git", "https://git.example/a/b.git"),
        ("https://secret@git.example:8443/a/b?access_token=x", "https://git.example:8443/a/b"),
        ("ssh://git:secret@git.example/a/b.git", "ssh://git.example/a/b.git"),
        ("git@git.example:a/b.git", "git@git.example:a/b.git"),
        ("/srv/git/b.git", "/srv/git/b.git"),
    ],
)
def test_remote_without_credentials(remote, shown):
    """No password or token of a remote's address reaches a run."""
    assert without_credentials(remote) == shown


def test_signs_of_life(tmp_path):
    """A run that goes on without news still shows a fresh heartbeat every half minute; its end is told only once it is over."""
    run = RunRecord("run1", "tests", "run1", "finished", created=1.0, ended=2.0)
    with LocalStore(tmp_path) as store:
        ledger = Ledger(store, run)
        assert (store.run("run1").ended, store.run("run1").heartbeat) == (None, None)
        ledger.note_run(run, 100.0)
        first = store.run("run1").heartbeat
        ledger.note_run(run, 129.0)
        assert store.run("run1").heartbeat == first
        ledger.note_run(run, 130.0)
        assert store.run("run1").heartbeat > first
        ledger.end(run)
        assert (store.run("run1").state, store.run("run1").ended) == ("finished", 2.0)
