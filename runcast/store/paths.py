"""A file's place in its run: what may stand there, and what it says."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from runcast.errors import StoreError
from runcast.run.record import CONSOLE, OWN_ROOT
from runcast.settings import RUN_ID

__all__ = ["FilePath", "check_run_id", "placed"]

_FORBIDDEN = re.compile(r"[\x00-\x1f\\\ud800-\udfff]")
_UNPLACEABLE = re.compile(r'[\x00-\x1f\\\ud800-\udfff:*?"<>|]') if os.name == "nt" else _FORBIDDEN

WHOLE_FOLDERS = frozenset({"code", "git", "saved"})
"""The folders of whole files, which are put; none of them is a root of series."""


class FilePath(NamedTuple):
    """`files/<root>/<source>/<name>` or `own/<source>/<name>`, taken apart; `source` is `.` where there is none.

    A whole file (`code/…`, `git/…`, `saved/…`, `requirements.txt`) has the root "", which no logdir has, and its folder as source; so
    has `console.jsonl`, which is appended to.
    """

    root: str
    source: str
    name: str

    @classmethod
    def parse(cls, path: str) -> FilePath:
        """Take a path apart. Raises `StoreError` for one that is not a file's, or would lead out of the run's folder."""
        parts = path.split("/")
        if _FORBIDDEN.search(path) or any(part in {"", ".", ".."} for part in parts):
            raise StoreError(f"{path!r} cannot be a file of a run: write it with /, relative, without `..`")
        if parts[0] == OWN_ROOT and len(parts) > 1:
            root, *source, name = parts
        elif parts[0] == "files" and len(parts) > 2:
            _, root, *source, name = parts
        elif path in {"requirements.txt", CONSOLE} or (parts[0] in WHOLE_FOLDERS and len(parts) > 1):
            root, *source, name = "", *parts
        else:
            raise StoreError(
                f"{path!r} cannot be a file of a run: those are files/<root>/…, {OWN_ROOT}/…, "
                f"{', '.join(f'{folder}/…' for folder in sorted(WHOLE_FOLDERS))}, requirements.txt and {CONSOLE}"
            )
        return cls(root, "/".join(source) or ".", name)

    @property
    def is_event_file(self) -> bool:
        """Say whether the file holds event records."""
        return "tfevents" in self.name and not self.is_whole

    @property
    def is_whole(self) -> bool:
        """Say whether the file is only ever put as a whole."""
        return not self.root and not self.is_console

    @property
    def is_console(self) -> bool:
        """Say whether the file is what the run printed."""
        return (self.root, self.source, self.name) == ("", ".", CONSOLE)

    @property
    def grows(self) -> bool:
        """Say whether the file is written by appending to it, and not to be replaced."""
        return self.is_event_file or self.root == OWN_ROOT or self.is_console


def placed(*parts: str) -> str:
    """Return the place in a run that parts of paths name. What cannot stand there (line ends, backslashes, bytes that are no text) becomes `_`."""
    whole = [
        _UNPLACEABLE.sub("_", piece) for part in parts for piece in part.split("/") if piece not in {"", "."}
    ]
    return "/".join("_" if piece == ".." else piece for piece in whole)


def check_run_id(run: str) -> str:
    """Return the id of a run. Raises `StoreError` for one that cannot be a folder's name."""
    if not RUN_ID.fullmatch(run):
        raise StoreError(
            f"{run!r} cannot be the id of a run: use lowercase letters and digits, as new_run_id() gives"
        )
    return run
