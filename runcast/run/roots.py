"""Where a writer's file belongs in a run: the (root, source) that names its series and its place on disk."""

# Paths are text here: they may be addresses, such as s3://…, and are shown as the user gave them.
# ruff: noqa: PTH100, PTH110, PTH111, PTH112, PTH119, PTH120

from __future__ import annotations

import os
import re
from pathlib import PurePath
from urllib.parse import parse_qsl

from runcast.errors import LogdirError

__all__ = ["RESERVED_ROOTS", "Roots", "check_logdir", "is_remote"]

_SECRET = re.compile(r"key|secret|token|sas|password|(?<!skip_)signature", re.IGNORECASE)
"""Options of an address that say who one is."""

RESERVED_ROOTS = frozenset({"own", "cwd", "abs"})


def is_remote(path: str) -> bool:
    """Whether `path` is an address (`s3://…`) rather than a path on this machine."""
    return "://" in path


def check_logdir(logdir: str | os.PathLike[str]) -> str:
    """Return the absolute path of a logdir, or its address in a bucket; one that does not exist yet is fine.

    Raises `LogdirError` for a regular file, for an address that is none of a bucket, and for one that holds a secret: it is noted in
    the run.
    """
    path = os.fspath(logdir)
    if is_remote(path):
        from runcast.objects import check_address  # most logdirs are folders

        plain, _, options = path.partition("?")
        secret = next((name for name, _ in parse_qsl(options) if _SECRET.search(name)), None)
        if secret is not None or "@" in plain:
            raise LogdirError(
                f"{plain.rpartition('@')[2]}: an address with {secret or 'a name and password'} in it would be noted in the run; let "
                "the cloud's environment variables or profiles say who you are"
            )
        check_address(path)
        return path
    path = os.path.abspath(os.path.expanduser(path))
    if os.path.exists(path) and not os.path.isdir(path):
        message = f"the logdir {path} is a file, not a folder; give the folder that it is in: {os.path.dirname(path)}"
        raise LogdirError(message)
    return path


class Roots:
    """The declared logdirs of one run, and the working folder that it started in."""

    def __init__(self, cwd: str) -> None:
        self._cwd = os.path.realpath(cwd)
        self._declared: dict[str, str] = {}

    @property
    def any_declared(self) -> bool:
        """Whether a logdir was declared."""
        return bool(self._declared)

    def declare(self, logdir: str) -> str | None:
        """Return the root's name for a logdir (an absolute path, or an address); None if it is declared already.

        The name is the folder's own, made unique by order of declaration: `logs`, `logs~2`.
        """
        plain = logdir.partition("?")[0].rstrip("/") if is_remote(logdir) else logdir
        real = plain if is_remote(logdir) else os.path.realpath(logdir)
        if real in self._declared.values():
            return None
        name = os.path.basename(plain.rstrip("/\\")) or "root"
        taken = RESERVED_ROOTS | self._declared.keys()
        root, number = name, 2
        while root in taken:
            root, number = f"{name}~{number}", number + 1
        self._declared[root] = real
        return root

    def locate(self, path: str) -> tuple[str, str]:
        """Return root and source of an event file: below the innermost declared logdir, else `cwd`, else `abs`."""
        if is_remote(path):
            return self._locate_remote(path.rpartition("/")[0])
        folder = os.path.realpath(os.path.dirname(path))
        inside = [(root, place) for root, place in self._declared.items() if _is_below(folder, place)]
        if inside:
            root, place = max(inside, key=lambda item: len(item[1]))
        elif _is_below(folder, self._cwd):
            root, place = "cwd", self._cwd
        else:
            return "abs", PurePath(folder).as_posix().replace(":", "").lstrip("/") or "."
        return root, PurePath(os.path.relpath(folder, place)).as_posix()

    def _locate_remote(self, folder: str) -> tuple[str, str]:
        inside = [
            (root, place) for root, place in self._declared.items() if f"{folder}/".startswith(f"{place}/")
        ]
        if not inside:
            return "abs", PurePath(folder.replace("://", "/", 1)).as_posix()
        root, place = max(inside, key=lambda item: len(item[1]))
        return root, folder[len(place) :].strip("/") or "."


def _is_below(folder: str, place: str) -> bool:
    try:
        return os.path.normcase(os.path.commonpath((folder, place))) == os.path.normcase(place)
    except ValueError:  # on different drives
        return False
