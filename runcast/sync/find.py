"""From what the user names to what is found there."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runcast.errors import LogdirError
from runcast.sync.locations.archive import is_archive, open_archive
from runcast.sync.locations.bucket import open_bucket
from runcast.sync.locations.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.sync.locations import Entry, Listing, Location

__all__ = ["Found", "find", "is_location"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

NAMES_SHOWN = 5


@dataclass
class Found:
    """What was found, by location, and what could not be looked into: its name, and why."""

    at: list[tuple[Location, list[Entry]]] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def close(self) -> None:
        """Let go of what the locations have open."""
        for location, _ in self.at:
            location.close()


def is_location(text: str) -> bool:
    """Say whether a word names a place with logs: an address, a path that is there, or one that is written as a path."""
    if _URL.match(text) or Path(text).expanduser().exists():
        return True
    return bool(glob.has_magic(text) or re.search(r"[\\/]", text) or text.startswith(("~", ".")))


def find(
    given: Sequence[str], include: Sequence[str] = (), exclude: Sequence[str] = (), *, without: str = ""
) -> Found:
    """Return the logs at addresses and paths: files that match a pattern of `include` (all, if there is none), and none of `exclude`.

    No logs are looked for in the folder `without`. Raises `LogdirError` where nothing is found, which says what was looked at.
    """
    found = Found()
    for location in _locations(given, without, found.problems):
        try:
            listing = location.look()
        except LogdirError as error:
            location.close()
            found.problems.append((location.label, str(error).removeprefix(f"{location.label}: ")))
            continue
        found.problems += listing.problems
        entries = [each for each in listing.entries if _is_wanted(each.path, include, exclude)]
        if entries:
            found.at.append((location, entries))
        elif listing.entries:
            why = f"none of {len(listing.entries)} files is left by --include and --exclude"
            found.problems.append((location.label, why))
        else:
            found.problems.append((location.label, _nothing_in(listing)))
        if not entries:
            location.close()
    if not found.at:
        raise LogdirError("; ".join(f"{place}: {why}" for place, why in found.problems))
    return found


def _locations(given: Sequence[str], without: str, problems: list[tuple[str, str]]) -> list[Location]:
    """Return the locations of addresses and paths; what is wrong with one is added to `problems`.

    Folders and files of one folder are one location, so that `logs/*` is what `logs` is.
    """
    found: list[Location] = []
    paths: list[Path] = []
    for text in given:
        try:
            if _URL.match(text):
                found.append(open_bucket(text))
                continue
            paths += _expanded(text)
        except LogdirError as error:
            problems.append((text, str(error).removeprefix(f"{text}: ")))
    folders: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in _distinct(paths):
        if is_archive(path):
            found += _opened(path, problems)
        else:
            folders[path.parent].append(path)
    for parent, several in folders.items():
        if len(several) == 1 and several[0].is_dir():
            found.append(Folder(several[0], without=without))
        else:
            found.append(Folder(parent, tuple(path.name for path in several), without))
    return found


def _opened(path: Path, problems: list[tuple[str, str]]) -> list[Location]:
    try:
        return [open_archive(path)]
    except LogdirError as error:
        problems.append((str(path), str(error).removeprefix(f"{path}: ")))
        return []


def _distinct(paths: Sequence[Path]) -> list[Path]:
    """Return each place once, in the order given, under a name of its own rather than that of a link (`latest`)."""
    names: dict[str, Path] = {}
    for path in paths:
        known = names.setdefault(os.path.realpath(path), path)
        if known.is_symlink() and not path.is_symlink():
            names[os.path.realpath(path)] = path
    return list(names.values())


def _nothing_in(listing: Listing) -> str:
    names = ", ".join(listing.others[:NAMES_SHOWN]) + (", …" if len(listing.others) > NAMES_SHOWN else "")
    held = f"the files there are {names}" if names else "none holds a file"
    return f"no event files (files with `tfevents` in their name) in {listing.looked_at}; {held}"


def _expanded(text: str) -> list[Path]:
    """Return the paths that a path means; a pattern may mean many. Raises `LogdirError` for none."""
    path = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - it leaves links alone
    if os.path.lexists(path):
        return [path]
    if glob.has_magic(text):
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - a pattern may begin at the root
        if not matches:
            raise LogdirError(f"{text}: nothing matches this pattern (the working folder is {os.getcwd()})")
        return [Path(match) for match in matches]
    raise LogdirError(f"{text}: there is no such file or folder (the working folder is {os.getcwd()})")


def _is_wanted(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    return (not include or _matches(path, include)) and not _matches(path, exclude)


def _matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern fits the path, or (without a `/`) a folder or the name in it."""
    parts = path.split("/")
    return any(
        fnmatch.fnmatchcase(path, pattern) or any(fnmatch.fnmatchcase(part, pattern) for part in parts)
        if "/" not in pattern
        else fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f"{pattern.rstrip('/')}/*")
        for pattern in patterns
    )
