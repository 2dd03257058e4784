"""Where event files are: the one seam between reading logs and the place that they are read from.

`Files` is all that a place has to offer. `LocalFiles` is the file system; `runcast.logdir.bucket` are buckets.
"""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from runcast.errors import LogdirError
from runcast.events.discover import FoundFile, find_files, is_event_file
from runcast.events.framing import HEADER, payload_length
from runcast.events.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from runcast.events.batch import Batch, Pending
    from runcast.events.decode import Decoder

__all__ = ["Files", "LocalFiles", "LogFile", "Reader", "files_at"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class LogFile:
    """One event file as it was when the place was looked at.

    `source` is its folder relative to what is read, `.` for that itself. `path` says where it is, in the place's own words. A file
    that is replaced under its name gets another `id`.
    """

    path: str
    source: str
    name: str
    size: int
    id: Hashable


class Reader(Protocol):
    """Reads one file on from where it was: `runcast.events.tail.Tail` is the local one."""

    offset: int
    pending: Pending

    def read(self, *, skip: bool = False) -> Iterator[Batch]:
        """Yield what is new; with `skip`, damaged bytes are passed over. Raises `OSError`."""
        ...


class Files(Protocol):
    """A place that holds event files."""

    def __str__(self) -> str:
        """Name the place as the user did."""
        ...

    def list(self) -> list[LogFile]:
        """Return the event files that are there now, by source and name. Raises `LogdirError` if the place itself is not."""
        ...

    def reader(self, file: LogFile, decoder: Decoder) -> Reader:
        """Return what reads a file from its beginning."""
        ...

    def bytes_at(self, file: LogFile, offset: int, length: int) -> bytes:
        """Return bytes of a file, fewer at its end. Raises `OSError`."""
        ...


class LocalFiles:
    """Folders, event files and patterns of both, on this machine.

    Of one folder, the sources are the folders below it. Of several paths, they are named as if the folder that all have in
    common had been read, and of a pattern, the folder before its first wildcard.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = tuple(paths)

    def __str__(self) -> str:
        return ", ".join(self._paths)

    def list(self) -> list[LogFile]:
        """Return the event files; a path that is given twice, or lies in another, counts once."""
        roots = [root for given in self._paths for root in _expanded(given)]
        top = _common([root.base for root in roots])
        found: dict[Hashable, LogFile] = {}
        for root in roots:
            for file in _event_files(root.path):
                folder = os.path.abspath(file.path.parent)  # noqa: PTH100 - it leaves links alone
                source = folder if top is None else os.path.relpath(folder, top)
                one = LogFile(str(file.path), source.replace(os.sep, "/"), file.name, file.size, file.id)
                found.setdefault(file.id, one)
        if not found:
            raise LogdirError(_nothing_found([root.path for root in roots]))
        return sorted(found.values(), key=lambda file: (file.source, file.name))

    def reader(self, file: LogFile, decoder: Decoder) -> Reader:
        """Return a tail of the file."""
        return Tail(file.path, decoder)

    def bytes_at(self, file: LogFile, offset: int, length: int) -> bytes:
        """Return bytes of the file."""
        with open(file.path, "rb", buffering=0) as opened:  # noqa: PTH123 - a Path costs as much as the read
            opened.seek(offset)
            return opened.read(length)


def files_at(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Files:
    """Return the place that the user names. Raises `LogdirError` for one that cannot be read from."""
    several = [paths] if isinstance(paths, (str, bytes, os.PathLike)) else list(paths)
    if not several:
        raise LogdirError("there is nothing to read: the list of paths is empty")
    given = []
    for path in several:
        text = os.fspath(path) if isinstance(path, os.PathLike) else path
        if not isinstance(text, str):
            raise LogdirError(f"{path!r} is no path: give text or a pathlib.Path")
        given.append(text)
    distant = [text for text in given if _URL.match(text)]
    if not distant:
        return LocalFiles(given)
    if len(distant) < len(given):
        raise LogdirError(
            f"{distant[0]}: what is in buckets and what is on this machine cannot be read together; read each by itself"
        )
    from runcast.logdir.bucket import BucketFiles  # most logs are on this machine

    return BucketFiles(distant)


class _Root(NamedTuple):
    """A folder or file to read, and the folder that its sources would be named relative to if it were the only one."""

    path: Path
    base: Path


def _expanded(given: str) -> list[_Root]:
    """Return what a path means; a pattern may mean many."""
    path = Path(given).expanduser()
    if not glob.has_magic(given) or os.path.lexists(path):
        return [_Root(path, path if path.is_dir() else path.parent)]
    fixed = next(at for at, part in enumerate(path.parts) if glob.has_magic(part))
    base = Path(*path.parts[:fixed])
    matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - a pattern may begin at the root
    if not matches:
        raise LogdirError(f"{given}: nothing matches this pattern")
    return [_Root(Path(match), base) for match in matches]


def _common(bases: list[Path]) -> str | None:
    """Return the folder that all have in common; None if they are on several drives."""
    try:
        return os.path.commonpath([os.path.abspath(base) for base in bases])  # noqa: PTH100 - it leaves links alone
    except ValueError:
        return None


def _event_files(path: Path) -> list[FoundFile]:
    """Return the event files in a folder, or the one that `path` is. Raises `LogdirError` where there is nothing to look at."""
    errors: list[OSError] = []
    if path.is_dir():
        found = [file for file in find_files(path, errors.append) if is_event_file(file.name)]
        if errors and not found:
            raise LogdirError(f"{path}: it cannot be read: {errors[0]}") from errors[0]
        return found
    try:
        status = path.stat()
        with path.open("rb") as file:
            start = file.read(HEADER)
    except OSError as error:
        reason = "there is no such file or folder" if isinstance(error, FileNotFoundError) else str(error)
        raise LogdirError(f"{path}: {reason} (the working folder is {os.getcwd()})") from error
    whole = len(start) < HEADER or payload_length(memoryview(start), 0) is not None
    if not whole and not is_event_file(path.name):
        raise LogdirError(f"{path}: this is no event file: it does not begin with a record")
    return [
        FoundFile(path, ".", path.name, status.st_size, (status.st_dev, status.st_ino), status.st_mtime_ns)
    ]


def _nothing_found(paths: list[Path]) -> str:
    """Say what was looked at."""
    where = ", ".join(map(str, paths[:_NAMES_SHOWN])) + (", …" if len(paths) > _NAMES_SHOWN else "")
    folders, names = 0, []
    for path in paths:
        for _, _, files in os.walk(path):
            folders += 1
            names += files
    held = (
        "none holds a file" if not names else f"the files there are {', '.join(sorted(names)[:_NAMES_SHOWN])}"
    )
    more = ", …" if len(names) > _NAMES_SHOWN else ""
    return (
        f"{where}: no event files (files with `tfevents` in their name) in {folders} "
        f"folder{'s' if folders != 1 else ''}; {held}{more}"
    )
