"""Archives: zip and tar, compressed or not. Nothing is unpacked under the names that stand in them."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import tarfile
import tempfile
import time
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from runcast.errors import LogdirError
from runcast.events.discover import is_recorded
from runcast.sync.locations import Entry, Listing

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Tar", "Zip", "is_archive", "open_archive"]

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

_UNPACKERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}

PIECE = 1 << 20

MOST_UNPACKED, MOST_TIMES = 256 << 20, 500
"""Bytes that an archive may unpack to, and how many times its own size: what is beyond both is made to fill disks. Event files pack
to a tenth, or a fiftieth."""

_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)
"""What the libraries raise for an archive that is damaged, or locked by a password."""


def is_archive(path: Path) -> bool:
    """Say whether a path is an archive's, by its name."""
    return path.name.lower().endswith(_SUFFIXES) and not path.is_dir()


def open_archive(path: Path) -> Zip | Tar:
    """Return an archive as a location. Raises `LogdirError` for what is none, or is damaged."""
    try:
        with path.open("rb") as file:
            beginning = file.read(8)
        if beginning.startswith(b"PK"):
            return Zip(path)
        return Tar(path)
    except OSError as error:
        raise LogdirError(f"{path}: it cannot be read: {error.strerror or error}") from error


@dataclass
class _Archive:
    path: Path

    @property
    def label(self) -> str:
        """What the user calls it."""
        return str(self.path)

    @property
    def url(self) -> str:
        """See `Location.url`."""
        return Path(os.path.realpath(self.path)).as_uri() + "!"

    @property
    def name(self) -> str:
        """The archive's name, without what says that it is one."""
        name = self.path.name
        suffix = max((each for each in _SUFFIXES if name.lower().endswith(each)), key=len, default="")
        return name.removesuffix(name[len(name) - len(suffix) :]) or name

    def address(self, entry: Entry) -> str:
        """Return the archive's path and the file's in it."""
        return f"{self.path}!/{entry.path}"

    def find(self, path: str, *, beginning: bool = False) -> list[Entry]:
        """See `Location.find`."""
        entries = self._entries()
        if not beginning:
            return [entries[path]] if path in entries else []
        folder = path.rpartition("/")[0]
        return [
            entries[each]
            for each in sorted(entries)
            if each.startswith(path) and each.rpartition("/")[0] == folder
        ]

    def look(self) -> Listing:
        """See `Location.look`."""
        entries = self._entries()
        found = [entry for path, entry in sorted(entries.items()) if is_recorded(*_parts(path))]
        others = sorted(path for path in entries if not is_recorded(*_parts(path)))
        return Listing(
            found,
            f"the archive, which holds {len(entries)} file{'' if len(entries) == 1 else 's'}",
            [] if found else others,
        )

    def _entries(self) -> dict[str, Entry]:
        raise NotImplementedError

    def _check(self, unpacked: int) -> None:
        """Raise `LogdirError` where that is more than any logs unpack to."""
        if unpacked > max(MOST_UNPACKED, MOST_TIMES * self.path.stat().st_size):
            raise LogdirError(
                f"{self.path}: the archive would unpack to {MOST_TIMES} times its size and more, which logs do not; "
                "unpack it yourself if you trust it, and name the folder"
            )

    def _damaged(self, error: Exception) -> LogdirError:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return LogdirError(
                f"{self.path}: there is no room in {tempfile.gettempdir()} to unpack it; set TMPDIR to a folder that has some"
            )
        return LogdirError(
            f"{self.path}: the archive is damaged or cannot be opened: {error}; make or fetch it anew"
        )


@dataclass
class Zip(_Archive):
    """A zip archive; each file in it is unpacked as it is read."""

    _opened: zipfile.ZipFile | None = field(default=None, repr=False)
    _members: dict[str, zipfile.ZipInfo] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> Any:
        return Zip, (self.path,)

    def open(self, entry: Entry, start: int = 0, *, ahead: bool = False) -> Any:  # noqa: ARG002 - it is near
        """See `Location.open`."""
        archive = self._archive()
        with _told(self.path):
            return _Unpacked(archive.open(self._members[entry.path]), start, self.path)

    def close(self) -> None:
        """See `Location.close`."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _archive(self) -> zipfile.ZipFile:
        if self._opened is None:
            try:
                self._opened = zipfile.ZipFile(self.path)
            except _BROKEN as error:
                raise self._damaged(error) from error
            self._check(sum(info.file_size for info in self._opened.infolist()))
            self._members = {
                path: info
                for info in self._opened.infolist()
                if not info.is_dir() and (path := _placed(info.filename))
            }
        return self._opened

    def _entries(self) -> dict[str, Entry]:
        self._archive()
        return {
            path: Entry(path, info.file_size, _zip_time(info), f"{info.CRC:08x}")
            for path, info in self._members.items()
        }


@dataclass
class Tar(_Archive):
    """A tar archive; one that is compressed is unpacked into a temporary file, since it can be read from its beginning only."""

    _plain: IO[bytes] | None = field(default=None, repr=False)
    _members: dict[str, tarfile.TarInfo] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> Any:
        return Tar, (self.path,)

    def open(self, entry: Entry, start: int = 0, *, ahead: bool = False) -> Any:  # noqa: ARG002 - it is near
        """See `Location.open`."""
        plain = self._archive()
        return _Section(plain, self._members[entry.path], start)

    def close(self) -> None:
        """See `Location.close`."""
        if self._plain is not None:
            self._plain.close()
            self._plain = None

    def _archive(self) -> IO[bytes]:
        if self._plain is not None:
            return self._plain
        try:
            self._plain = self._uncompressed()
            with tarfile.open(fileobj=self._plain, mode="r:") as archive:
                for member in archive:
                    if member.isreg() and not member.issparse() and (path := _placed(member.name)):
                        self._members[path] = member
        except (*_BROKEN, OSError) as error:
            self.close()
            raise self._damaged(error) from error
        return self._plain

    def _uncompressed(self) -> IO[bytes]:
        with self.path.open("rb") as file:
            beginning = file.read(6)
        unpack = next((each for magic, each in _UNPACKERS.items() if beginning.startswith(magic)), None)
        if unpack is None:
            return self.path.open("rb")
        with ExitStack() as opened:
            plain = opened.enter_context(tempfile.TemporaryFile())
            with unpack(self.path, "rb") as packed:
                while piece := packed.read(PIECE):
                    plain.write(piece)
                    self._check(plain.tell())
            opened.pop_all()  # open as long as the archive is
        plain.seek(0)
        return plain

    def _entries(self) -> dict[str, Entry]:
        self._archive()
        return {
            path: Entry(path, member.size, float(member.mtime), f"{int(member.mtime):x}")
            for path, member in self._members.items()
        }


class _Unpacked:
    """A file of a zip archive from an offset on. A second copy of its bytes is never made."""

    def __init__(self, opened: IO[bytes], start: int, archive: Path) -> None:
        self._opened = opened
        self._archive = archive
        with _told(archive):
            opened.seek(start)

    def read(self, size: int) -> bytes:
        with _told(self._archive):
            return self._opened.read(size)

    def __enter__(self) -> _Unpacked:  # noqa: PYI034 - Self is Python 3.11's
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()


class _Section:
    """A file of a tar archive from an offset on."""

    def __init__(self, plain: IO[bytes], member: tarfile.TarInfo, start: int) -> None:
        self._plain = plain
        self._at = member.offset_data + start
        self._stop = member.offset_data + member.size

    def read(self, size: int) -> bytes:
        self._plain.seek(self._at)  # other sections move it, too
        data = self._plain.read(max(0, min(size, self._stop - self._at)))
        self._at += len(data)
        return data

    def __enter__(self) -> _Section:  # noqa: PYI034 - see above
        return self

    def __exit__(self, *_: object) -> None: ...


@contextmanager
def _told(archive: Path) -> Iterator[None]:
    """Raise what the library finds wrong with an archive as `OSError`."""
    try:
        yield
    except _BROKEN as error:
        raise OSError(f"{archive} is damaged, or locked by a password: {error}") from error


def _placed(name: str) -> str:
    """Return the path that a name in an archive means, "" for one that leads out of it."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in {"", "."}]
    return "" if ".." in parts else "/".join(parts)


def _parts(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return name, folder or "."


def _zip_time(info: zipfile.ZipInfo) -> float:
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0
