"""Folders and single files of this machine."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from runcast.errors import LogdirError
from runcast.events.discover import find_files, is_event_file
from runcast.sync.locations import Entry, Listing
from runcast.sync.names import may_be_part

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Folder"]

NAMES_SHOWN = 5


@dataclass(frozen=True)
class Folder:
    """The folder `base`, or some of the folders and files in it: `members`, paths below it. `without` is a folder to leave out."""

    base: Path
    members: tuple[str, ...] = (".",)
    without: str = ""

    @property
    def label(self) -> str:
        """What the user calls it."""
        return ", ".join(str(self.base / member) for member in self.members)

    @property
    def url(self) -> str:
        """See `Location.url`."""
        return Path(os.path.realpath(self.base)).as_uri()

    @property
    def name(self) -> str:
        """The folder's name, with the one above it where it is called like a part of a training."""
        path = Path(os.path.realpath(self.base))
        if may_be_part(path.name):
            return f"{path.parent.name}/{path.name}".lstrip("/")
        return path.name or "root"

    def look(self) -> Listing:
        """See `Location.look`."""
        listing = Listing()
        found: dict[str, Entry] = {}
        for member in self.members:
            path = self.base / member
            source = Path(member).as_posix()
            if path.is_dir():
                self._look_into(path, source, found, listing)
            else:
                found |= {each.path: each for each in self._file(path, source)}
        if not found:
            self._say_what_is_there(listing)
        listing.entries = [found[path] for path in sorted(found)]
        return listing

    def find(self, path: str, *, beginning: bool = False) -> list[Entry]:
        """See `Location.find`."""
        place = self.base / path
        if not beginning:
            return [entry] if (entry := _entry(place, path)) is not None else []
        try:
            names = sorted(os.listdir(place.parent))  # noqa: PTH208 - names are all that is wanted
        except FileNotFoundError:
            return []
        below = f"{path.rpartition('/')[0]}/".lstrip("/")
        found = [_entry(place.parent / name, below + name) for name in names if name.startswith(place.name)]
        return [entry for entry in found if entry is not None]

    def open(self, entry: Entry, start: int = 0, *, ahead: bool = False) -> IO[bytes]:  # noqa: ARG002 - it is near
        """See `Location.open`."""
        file = (self.base / entry.path).open("rb")
        file.seek(start)
        return file

    def address(self, entry: Entry) -> str:
        """Return the file's path."""
        return str(self.base / entry.path)

    def close(self) -> None:
        """Nothing stays open."""

    def _look_into(self, folder: Path, source: str, found: dict[str, Entry], listing: Listing) -> None:
        errors: list[OSError] = []
        for file in find_files(folder, errors.append, source=source):
            if self.without and os.path.realpath(file.path).startswith(self.without + os.sep):
                continue
            path = file.name if file.source == "." else f"{file.source}/{file.name}"
            found[path] = Entry(path, file.size, file.mtime_ns / 1e9, f"{file.mtime_ns:x}")
        for error in errors:
            place = str(error.filename or folder)
            if place == str(folder) and len(self.members) == 1:
                raise LogdirError(
                    f"{folder}: it cannot be read: {error.strerror}; check its permissions"
                ) from error
            listing.problems.append((place, f"cannot be read: {error.strerror}; check its permissions"))

    def _file(self, path: Path, source: str) -> Sequence[Entry]:
        try:
            status = path.stat()
        except OSError as error:
            reason = (
                "there is no such file or folder" if isinstance(error, FileNotFoundError) else error.strerror
            )
            raise LogdirError(f"{path}: {reason}") from error
        if not is_event_file(path.name) or not stat.S_ISREG(status.st_mode):
            raise LogdirError(
                f"{path}: this is no event file (those have `tfevents` in their name), no folder and no archive"
            )
        return [_entry_of(status, source)]

    def _say_what_is_there(self, listing: Listing) -> None:
        folders, names = 0, []
        for member in self.members:
            for _, _, files in os.walk(self.base / member):
                folders += 1
                names += files
        listing.looked_at = f"{folders} folder{'' if folders == 1 else 's'}"
        listing.others = sorted(names)


def _entry(place: Path, path: str) -> Entry | None:
    try:
        status = place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _entry_of(status, path) if stat.S_ISREG(status.st_mode) else None


def _entry_of(status: os.stat_result, path: str) -> Entry:
    return Entry(path, status.st_size, status.st_mtime_ns / 1e9, f"{status.st_mtime_ns:x}")
