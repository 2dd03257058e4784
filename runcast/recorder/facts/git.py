"""The git repository around a folder: which commit, and what of the working tree is in no commit.

Git is asked, never changed: no lock is taken, nothing is fetched, and no program runs that the repository itself names
(hooks, fsmonitor, external diffs, textconv, filters; filters of the user's own configuration, such as LFS, do). Every question
has a time limit. A repository that git refuses (`safe.directory`) counts as none.
"""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = ["Repository", "git_facts", "without_credentials"]

QUICK = 5.0
"""Seconds that a question about names and commits may take."""

SLOW = 30.0
"""Seconds that a look through the working tree may take."""

MOST_TEXT = 1 << 20

_ALWAYS = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "core.quotePath=false",
    "core.pager=",
    "diff.autoRefreshIndex=false",
    "gc.auto=0",
    "maintenance.auto=false",
)

_KEPT_VARIABLES = frozenset(
    {
        "GIT_CEILING_DIRECTORIES",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CONFIG_SYSTEM",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM",
        "GIT_EXEC_PATH",
    }
)
"""Other variables of git's (`GIT_DIR` in a hook, `GIT_EXTERNAL_DIFF`) would answer for another place, or run something."""


@dataclass(frozen=True)
class Answer:
    """What git printed; `whole` is False if there was more than was asked for."""

    data: bytes
    whole: bool = True

    @property
    def text(self) -> str:
        """The answer without the white space around it."""
        return self.data.decode("utf-8", "replace").strip()


class Repository:
    """A working tree. Nothing here raises; None stands for what git does not tell, or not in time."""

    def __init__(self, folder: str, *, quick: float = QUICK, slow: float = SLOW) -> None:
        self._folder = folder
        self._quick = quick
        self._slow = slow

    @cached_property
    def root(self) -> str | None:
        """The top of the working tree; None outside of one."""
        return self._say("rev-parse", "--show-toplevel") or None

    @cached_property
    def commit(self) -> str | None:
        """The commit that is checked out; None before the first."""
        return self._say("rev-parse", "--verify", "--quiet", "HEAD^{commit}") or None

    @cached_property
    def upstream(self) -> tuple[str, str] | None:
        """The branch that HEAD is pushed to, or else the remote's main one, and the last commit that is in both."""
        candidates = ("@{upstream}", "refs/remotes/origin/HEAD", "origin/main", "origin/master")
        for candidate in candidates:
            name = self._say("rev-parse", "--abbrev-ref", "--symbolic-full-name", candidate)
            if name and (base := self._say("merge-base", "HEAD", name)):
                return name, base
        return None

    def facts(self) -> dict[str, Any]:
        """Return root, commit, branch, remote (no credentials in it), upstream, ahead and dirty; empty outside a repository."""
        if self.root is None:
            return {}
        facts: dict[str, Any] = {"root": self.root, "commit": self.commit}
        facts["branch"] = self._say("symbolic-ref", "--quiet", "--short", "HEAD")
        remote = self._say("config", "--get", "remote.origin.url")
        facts["remote"] = without_credentials(remote) if remote else None
        if self.upstream is not None:
            name, base = self.upstream
            facts["upstream"] = name
            if (ahead := self._say("rev-list", "--count", f"{base}..HEAD")) and ahead.isdecimal():
                facts["ahead"] = int(ahead)
        status = self.ask(
            "status", "--porcelain", "--untracked-files=no", timeout=self._slow, limit=MOST_TEXT
        )
        if status is not None:
            facts["dirty"] = bool(status.text)
        return {name: value for name, value in facts.items() if value not in (None, "")}

    def diff(self, base: str | None, *, binary: bool, limit: int) -> Answer | None:
        """Return the patch from a commit (None: from nothing) to the working tree, what is staged included."""
        if base is None:
            base = self._say("hash-object", "-t", "tree", "--stdin")
        if not base:
            return None
        how = ["--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/", "-U3"]
        how += ["--binary"] if binary else []
        how += ["--submodule=short" if self._submodules_name_programs else "--submodule=diff"]
        return self.ask("diff", *how, base, "--", timeout=self._slow, limit=limit)

    def untracked(self, limit: int) -> Answer | None:
        """Return the paths of files that are neither tracked nor ignored, one a line."""
        return self.ask("ls-files", "--others", "--exclude-standard", timeout=self._slow, limit=limit)

    def ask(
        self, *arguments: str, timeout: float, limit: int, settings: tuple[str, ...] | None = None
    ) -> Answer | None:
        """Return at most `limit` bytes of what git prints."""
        overrides = (*_ALWAYS, *self._filters_off) if settings is None else settings
        command = ["git", *(part for setting in overrides for part in ("-c", setting))]
        command += ["-C", self._place, *arguments]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        except (OSError, ValueError):
            return None
        timer = threading.Timer(timeout, process.kill)
        timer.daemon = True
        timer.start()
        assert process.stdout is not None
        try:
            data = process.stdout.read(limit + 1)
            if len(data) > limit:
                process.kill()
                return Answer(data[:limit], whole=False)
            return Answer(data) if process.wait() == 0 else None
        finally:
            timer.cancel()
            process.kill()
            process.wait()
            process.stdout.close()

    @property
    def _place(self) -> str:
        return self.__dict__.get("root") or self._folder or "."

    def _say(self, *arguments: str) -> str | None:
        answer = self.ask(*arguments, timeout=self._quick, limit=MOST_TEXT, settings=_ALWAYS)
        return None if answer is None else answer.text

    @cached_property
    def _filters_off(self) -> tuple[str, ...]:
        """Settings that switch off the filters which the repository's own configuration names."""
        names = set()
        for scope in ("--local", "--worktree"):
            listed = self._say(
                "config", scope, "--includes", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process)$"
            )
            names |= {name.rpartition(".")[0] for name in (listed or "").splitlines()}
        return tuple(
            setting
            for name in sorted(names)
            for setting in (f"{name}.clean=", f"{name}.process=", f"{name}.required=false")
        )

    @cached_property
    def _submodules_name_programs(self) -> bool:
        """Whether a look into submodules could run a program: git asks them without the options that prevent it."""
        asked = ("config", "--includes", "--name-only", "--get-regexp", _DIFFS)
        listed = self.ask(*asked, timeout=self._quick, limit=MOST_TEXT, settings=())
        if listed is not None and listed.text:
            return True
        modules = self._say("rev-parse", "--git-path", "modules")
        if not modules:
            return False
        for folder, folders, files in os.walk(os.path.join(self._place, modules)):  # noqa: PTH118  may be absolute
            if "config" in files and "HEAD" in files:
                config = os.path.join(folder, "config")  # noqa: PTH118
                if self._say("config", "--file", config, "--includes", "--get-regexp", _PROGRAMS):
                    return True
                folders[:] = [name for name in folders if name == "modules"]
        return False


_DIFFS = r"^diff\.(.*\.)?(command|textconv|external)$"
_PROGRAMS = r"^(diff\.(.*\.)?(command|textconv|external)|filter\..*\.(clean|process)|core\.fsmonitor)$"


def git_facts(folder: str) -> dict[str, Any]:
    """Return what `Repository.facts` does, of the repository around `folder`."""
    return Repository(folder).facts()


def without_credentials(remote: str) -> str:
    """Return a git remote's address without user names, passwords and tokens; `git@host:path` and paths stay as they are."""
    try:
        parts = urlsplit(remote)
    except ValueError:
        return ""
    if not parts.scheme or not parts.netloc:
        return remote
    _, _, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT_VARIABLES
    }
    # An empty list of protocols: a partial clone would fetch what a diff lacks.
    return {
        **kept,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "",
        "LC_ALL": "C",
    }
