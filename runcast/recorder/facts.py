"""What is worth knowing of where a run runs: gathered here, so that the training process pays nothing for it.

Whatever cannot be found out is left out, silently: none of it is worth a word to someone who trains.
"""

from __future__ import annotations

import getpass
import os
import platform
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil

__all__ = ["gather", "git_facts", "without_credentials"]

GIT_TIMEOUT = 5.0


def gather(cwd: str) -> dict[str, Any]:
    """Return host, user, python, os, cpus, memory, gpus and git (of the folder `cwd`), as far as they can be known.

    May take seconds (git on a slow file system): call it from a thread.
    """
    facts: dict[str, Any] = {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "os": platform.platform(),
        "cpus": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
    }
    with suppress(OSError, KeyError, ImportError):
        facts["user"] = getpass.getuser()
    if gpus := _gpus():
        facts["gpus"] = gpus
    if git := git_facts(cwd):
        facts["git"] = git
    return facts


def git_facts(cwd: str) -> dict[str, Any]:
    """Return commit, branch, remote (no credentials in it) and dirty of the repository around `cwd`; empty without one."""
    commit = _git(cwd, "rev-parse", "--verify", "HEAD")
    if not commit:
        return {}
    facts: dict[str, Any] = {"commit": commit}
    if branch := _git(cwd, "symbolic-ref", "--quiet", "--short", "HEAD"):
        facts["branch"] = branch
    if remote := _git(cwd, "config", "--get", "remote.origin.url"):
        facts["remote"] = without_credentials(remote)
    status = _git(cwd, "status", "--porcelain", "--untracked-files=no")
    if status is not None:
        facts["dirty"] = bool(status)
    return facts


def without_credentials(remote: str) -> str:
    """Return a git remote's address without user names, passwords and tokens; `git@host:path` and paths stay as they are."""
    parts = urlsplit(remote)
    if not parts.scheme or not parts.netloc:
        return remote
    _, _, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _git(cwd: str, *arguments: str) -> str | None:
    """Return what git prints; None when it fails, hangs or is not there.

    Takes no lock, asks nothing, and runs no program that the repository's own configuration names.
    """
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", "-c", "core.fsmonitor=false", "-C", cwd or ".", *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_TIMEOUT,
            check=True,
            env=environment,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _gpus() -> list[str]:
    try:
        import pynvml  # here, for it looks for the driver's library, which few machines have

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        names = [pynvml.nvmlDeviceGetName(handle) for handle in handles]
    except Exception:  # noqa: BLE001  every driver fails in its own way
        return []
    return [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names]
