"""What is noted of real git repositories, in all the states that they come in."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from runcast.recorder.facts import Repository, git_facts, uncommitted

if TYPE_CHECKING:
    from pathlib import Path

GIT = [
    "git",
    "-c",
    "user.name=Test",
    "-c",
    "user.email=test@example.invalid",
    "-c",
    "protocol.file.allow=always",
]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "--allow-empty", "-m", "Go on")


def kept(folder: Path, **options: int) -> dict[str, str]:
    return {
        name: data.decode("utf-8", "surrogateescape")
        for name, data in uncommitted(Repository(str(folder)), **options)
    }


@pytest.fixture(autouse=True)
def configuration(tmp_path, monkeypatch):
    """Return git's configuration of the user, an empty file."""
    path = tmp_path / "gitconfig"
    path.write_text("")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    return path


@pytest.fixture
def project(tmp_path):
    """A repository with one commit of `train.py`."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, train="lr = 0.1\n")
    return folder


@pytest.fixture
def pushed(project, tmp_path):
    """The same, pushed to a remote whose branch it follows."""
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "remote.git")
    git(project, "remote", "add", "origin", str(tmp_path / "remote.git"))
    git(project, "push", "-q", "-u", "origin", "main")
    return project


@pytest.fixture
def trap(tmp_path):
    """Return a program that leaves a trace when it runs, and the place of that trace."""
    program, trace = tmp_path / "trap", tmp_path / "trace"
    program.write_text(f"#!/bin/sh\ntouch {trace}\ncat\n")
    program.chmod(0o755)
    return str(program), trace


def test_patch_brings_the_tree_back(project, tmp_path):
    """What was changed, staged or not, text, binary or in any encoding, comes back when the patch is applied to the commit."""
    (project / "train.py").write_text("lr = 0.2\n")
    (project / "staged.py").write_text("new = 1\n")
    (project / "weights.bin").write_bytes(bytes(range(256)) * 8)
    (project / "latin.txt").write_bytes(b"caf\xe9\r\n")
    git(project, "add", "staged.py", "weights.bin", "latin.txt")
    git(project, "config", "core.autocrlf", "false")
    files = dict(uncommitted(Repository(str(project))))
    assert list(files) == ["diff.patch"]
    (tmp_path / "diff.patch").write_bytes(files["diff.patch"])
    git(tmp_path, "clone", "-q", str(project), "copy")
    git(tmp_path / "copy", "apply", "--whitespace=nowarn", str(tmp_path / "diff.patch"))
    for name in ("train.py", "staged.py", "weights.bin", "latin.txt"):
        assert (tmp_path / "copy" / name).read_bytes() == (project / name).read_bytes()


def test_nothing_to_keep(project):
    """A clean tree has no patch, and a folder outside of repositories has nothing at all."""
    assert kept(project) == {}
    assert kept(project.parent) == {}


def test_upstream(pushed):
    """Commits that were not pushed are in a patch of their own: whoever has the remote can make the tree."""
    assert git_facts(str(pushed))["upstream"] == "origin/main"
    assert "upstream.patch" not in kept(pushed)
    commit(pushed, model="layers = 3\n")
    (pushed / "train.py").write_text("lr = 0.3\n")
    files = kept(pushed)
    assert "layers" not in files["diff.patch"]
    assert "+layers = 3" in files["upstream.patch"]
    assert "+lr = 0.3" in files["upstream.patch"]
    assert git_facts(str(pushed))["ahead"] == 1


def test_branch_without_upstream(pushed):
    """A branch that was never pushed is compared with the remote's main branch."""
    git(pushed, "checkout", "-q", "-b", "idea")
    commit(pushed, model="layers = 3\n")
    assert git_facts(str(pushed))["upstream"] == "origin/main"
    assert "+layers = 3" in kept(pushed)["upstream.patch"]


def test_untracked_files_are_listed(project):
    """Files that git does not know are named, those that it ignores are not; what is in them is nobody's business."""
    (project / "notes ü.txt").write_text("private")
    (project / "data").mkdir()
    (project / "data" / "a.csv").write_text("private")
    (project / ".git" / "info" / "exclude").write_text("*.csv\n")
    assert kept(project) == {"untracked.txt": "notes ü.txt\n"}


def test_long_list_is_cut(project, monkeypatch):
    """A folder full of samples does not fill the run."""
    for number in range(300):
        (project / f"sample{number:03}.txt").write_text("")
    monkeypatch.setattr("runcast.recorder.facts.patches.MOST_LIST", 1000)
    listed = kept(project)["untracked.txt"].splitlines()
    assert listed[0] == "sample000.txt"
    assert listed[-1] == "# runcast: and more"
    assert 50 < len(listed) < 100


def test_empty_repository(tmp_path):
    """Before the first commit there is no commit to name, but a patch of what is staged."""
    git(tmp_path, "init", "-q", "-b", "main", "new")
    folder = tmp_path / "new"
    (folder / "train.py").write_text("lr = 1\n")
    git(folder, "add", "train.py")
    assert git_facts(str(folder)) == {"root": str(folder), "branch": "main", "dirty": True}
    assert "+lr = 1" in kept(folder)["diff.patch"]


def test_detached_head_and_worktree(project, tmp_path):
    """A worktree knows its own commit and its own changes, and a detached HEAD has no branch."""
    git(project, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    (tmp_path / "tree" / "train.py").write_text("lr = 9\n")
    (tmp_path / "tree" / "sub").mkdir()
    facts = git_facts(str(tmp_path / "tree" / "sub"))
    assert facts == {
        "root": str(tmp_path / "tree"),
        "commit": git(project, "rev-parse", "HEAD"),
        "dirty": True,
    }
    assert "+lr = 9" in kept(tmp_path / "tree" / "sub")["diff.patch"]
    assert kept(project) == {}


def test_submodule(project, tmp_path):
    """Changes inside a submodule are in the patch line by line."""
    library = tmp_path / "library"
    git(tmp_path, "clone", "-q", str(project), str(library))
    git(project, "submodule", "--quiet", "add", str(library), "library")
    commit(project)
    (project / "library" / "train.py").write_text("lr = 7\n")
    assert "+lr = 7" in kept(project)["diff.patch"]


def test_submodule_runs_nothing(project, tmp_path, trap):
    """A submodule whose configuration names a program does not get to run it."""
    program, trace = trap
    library = tmp_path / "library"
    git(tmp_path, "clone", "-q", str(project), str(library))
    git(project, "submodule", "--quiet", "add", str(library), "library")
    (project / "library" / ".gitattributes").write_text("*.py diff=evil filter=evil\n")
    commit(project)
    for setting in ("diff.evil.command", "diff.evil.textconv", "diff.external", "filter.evil.clean"):
        git(project / "library", "config", setting, program)
    (project / "library" / "train.py").write_text("lr = 7\n")
    assert "-dirty" in kept(project)["diff.patch"]
    assert not trace.exists()


def test_repository_runs_nothing(project, trap):
    """Hooks, fsmonitor, external diffs, textconv and filters that a repository names are not run."""
    program, trace = trap
    (project / ".gitattributes").write_text("*.py diff=evil filter=evil\n")
    commit(project)
    for setting in (
        "diff.external",
        "diff.evil.command",
        "diff.evil.textconv",
        "filter.evil.clean",
        "core.fsmonitor",
        "core.pager",
    ):
        git(project, "config", setting, program)
    git(project, "config", "filter.evil.required", "true")
    for hook in ("post-index-change", "pre-commit", "reference-transaction"):
        (project / ".git" / "hooks" / hook).write_text(f"#!/bin/sh\n{program}\n")
        (project / ".git" / "hooks" / hook).chmod(0o755)
    (project / "train.py").write_text("lr = 7\n")
    assert git_facts(str(project))["dirty"] is True
    assert "+lr = 7" in kept(project)["diff.patch"]
    assert not trace.exists()


def test_the_users_own_filter(project, configuration):
    """A filter of the user's own configuration, as that of LFS, does its work: what it makes equal is no change."""
    configuration.write_text('[filter "strip"]\n clean = "sed s/0.5/0.1/"\n')
    (project / ".git" / "info" / "attributes").write_text("*.py filter=strip\n")
    (project / "train.py").write_text("lr = 0.5\n")
    assert git_facts(str(project))["dirty"] is False
    assert kept(project) == {}


def test_external_diff_of_the_user(project, configuration, trap):
    """Someone who looks at diffs with a program of their own has an ordinary patch in the run."""
    configuration.write_text(f"[diff]\n external = {trap[0]}\n noprefix = true\n[color]\n ui = always\n")
    (project / "train.py").write_text("lr = 7\n")
    assert kept(project)["diff.patch"].startswith("diff --git a/train.py b/train.py\n")


def test_nothing_is_changed(project):
    """Looking leaves the index as it is, and no lock behind, while the user's own git is at work."""
    (project / "train.py").write_text("lr = 0.1\n")
    os.utime(project / "train.py", (1, 1))
    index = (project / ".git" / "index").read_bytes()
    (project / ".git" / "index.lock").write_text("")
    assert git_facts(str(project))["dirty"] is False
    assert kept(project) == {}
    assert (project / ".git" / "index").read_bytes() == index


def test_secrets(project):
    """Passwords in changed lines are taken out, files that hold nothing else are left out, and the run says so."""
    (project / "train.py").write_text('api_key = "0123456789abcdef"\nlr = 0.5\n')
    (project / ".env").write_text("PLAIN=hunter2\n")
    git(project, "add", "--all")
    patch = kept(project)["diff.patch"]
    assert "# runcast: .env is left out: such files hold secrets\n" in patch
    assert "hunter2" not in patch
    assert '+api_key = "REDACTED"\n+lr = 0.5\n' in patch


def test_large_patch(project):
    """A patch that is too large loses its binary changes first, then whole files, and says what is missing."""
    (project / "a.py").write_text("a = 1\n")
    (project / "weights.bin").write_bytes(os.urandom(50_000))
    git(project, "add", "--all")
    patch = kept(project, most=20_000)["diff.patch"]
    assert patch.startswith("# runcast: binary changes are left out")
    assert "+a = 1" in patch
    (project / "m.py").write_text("m = 1\n" * 10_000)
    git(project, "add", "--all")
    patch = kept(project, most=20_000)["diff.patch"]
    assert "# runcast: cut after 20000 bytes, before m.py" in patch
    assert "+a = 1" in patch
    assert "m = 1" not in patch


def test_refused_repository(project, monkeypatch):
    """A repository that git refuses to read, as one of another user, counts as none."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setattr(
        "runcast.recorder.facts.git._KEPT_VARIABLES",
        {"GIT_TEST_ASSUME_DIFFERENT_OWNER", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"},
    )
    assert git_facts(str(project)) == {}
    assert kept(project) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for git")
def test_git_that_takes_too_long(project, tmp_path, monkeypatch):
    """In a repository that is too large for its disk the commit is known, and what takes too long is left out."""
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in *" status "*|*" diff "*|*" ls-files "*) exec sleep 30;; esac\nexec {real} "$@"\n'
    )
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    repository = Repository(str(project), slow=0.3)
    started = time.monotonic()
    assert set(repository.facts()) == {"root", "commit", "branch"}
    assert list(uncommitted(repository)) == []
    assert time.monotonic() - started < 10


def test_no_git(project, monkeypatch):
    """Without git on this machine there are no facts of it, and no error."""
    monkeypatch.setenv("PATH", "")
    assert git_facts(str(project)) == {}


def test_a_hook_of_gits_own(project, tmp_path, monkeypatch):
    """A training that a git hook starts, with git's own variables set, is still recorded with the repository around it."""
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    assert git_facts(str(project))["root"] == str(project)
