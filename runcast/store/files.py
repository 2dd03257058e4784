"""The bytes of a run's files, in folders."""

from __future__ import annotations

import errno
import io
import os
import zlib
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from runcast.errors import StorageFull, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "FULL",
    "append_lines",
    "checksum",
    "disk_size",
    "make_run_folder",
    "open_file",
    "read_bytes",
    "read_open",
    "replace",
    "sync",
    "write_at",
]

PIECE = 4 << 20

FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""What the system says when there is no room."""

_BINARY = getattr(os, "O_BINARY", 0)


def make_run_folder(folder: Path) -> None:
    """Make the folder that a run's files go to, unless it is there. Raises `StoreError`."""
    with _explained("make", folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_at(run_folder: str, name: str, offset: int, data: bytes | memoryview) -> None:
    """Write bytes at an offset; what was there before is the same or was never claimed. Folders are made within the run's only.

    Paths are texts: making a `Path` takes as long as writing a little. Raises `StoreError`; the file may then hold some of the
    bytes, and writing them again is right.
    """
    path = f"{run_folder}/{name}"
    try:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o644)
        except FileNotFoundError:
            _make_folder(Path(path).parent, Path(run_folder))
            fd = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o644)
        try:
            os.lseek(fd, offset, os.SEEK_SET)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        finally:
            os.close(fd)
    except OSError as error:
        raise _explanation("write", Path(path), error) from error


def _make_folder(folder: Path, run_folder: Path) -> None:
    """Make a folder of a run, which must be there: one that somebody deleted is not to come back in pieces."""
    if not run_folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the run's folder is gone", str(run_folder))
    folder.mkdir(parents=True, exist_ok=True)


def replace(path: Path, data: bytes | Path, run_folder: Path) -> int:
    """Give a file new content, `data` or a copy of the file that it names, and return its size.

    A copy has the time of change that the file had when it began to be read: so both can be told to be the same later. Whatever happens, the file is the old one or the new one, and when this returns the new one is on the disk. Raises
    `StoreError`, or `OSError` from reading the file to copy. One call at a time for a path.
    """
    with ExitStack() as opened:
        source: IO[bytes] = (
            io.BytesIO(data) if isinstance(data, bytes) else opened.enter_context(data.open("rb"))
        )
        # Named by the name's checksum, which is short, and always the same: what a crash leaves is written over.
        changed = os.fstat(source.fileno()).st_mtime_ns if isinstance(data, Path) else None
        part = path.with_name(f".{zlib.crc32(path.name.encode(errors='surrogateescape')):08x}.part")
        with _explained("write", part):
            _make_folder(path.parent, run_folder)
            target = opened.enter_context(part.open("wb"))
        try:
            while piece := source.read(PIECE):
                with _explained("write", part):
                    target.write(piece)
            with _explained("write", path):
                target.flush()
                os.fsync(target.fileno())
                size = target.tell()
                target.close()
                if changed is not None:
                    os.utime(part, ns=(changed, changed))
                part.replace(path)
                _sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                target.close()
                part.unlink()
            raise
    return size


def _sync_folder(folder: Path) -> None:
    """Return once a rename in the folder is on the disk, where folders can be waited for (not on Windows)."""
    if os.name == "nt":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync(path: Path) -> None:
    """Return once the file's bytes are on the disk. Raises `StoreError`."""
    with _explained("write", path):
        fd = os.open(path, os.O_RDWR | _BINARY)
        try:
            getattr(os, "fdatasync", os.fsync)(fd)
        finally:
            os.close(fd)


def append_lines(path: Path, lines: bytes) -> None:
    """Add whole lines to a file that others may add to as well. Raises `StoreError`; a part of them may be there then.

    A line that was cut short before is closed first, so that it spoils no other.
    """
    with _explained("write", path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o644)
        try:
            if (
                os.lseek(fd, 0, os.SEEK_END)
                and os.lseek(fd, -1, os.SEEK_END) >= 0
                and os.read(fd, 1) != b"\n"
            ):
                lines = b"\n" + lines
            if os.write(fd, lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # told as any other failure
        finally:
            os.close(fd)


def open_file(path: Path) -> tuple[IO[bytes], os.stat_result]:
    """Open a file to read it, and say what it is. Raises `StoreError`."""
    with _explained("read", path):
        file = path.open("rb")
        return file, os.fstat(file.fileno())


def read_open(file: IO[bytes], path: Path, start: int, stop: int) -> bytes:
    """Return bytes [start, stop) of the open file `path`, fewer where it ends. Raises `StoreError`."""
    with _explained("read", path):
        file.seek(start)
        return file.read(max(0, stop - start))


def read_bytes(path: Path, start: int, stop: int) -> bytes:
    """Return bytes [start, stop), fewer where the file ends. Raises `StoreError`."""
    file, status = open_file(path)
    with file:
        return read_open(file, path, start, min(stop, status.st_size))


def disk_size(path: Path) -> int:
    """Return how many bytes the file has, 0 for none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def checksum(path: Path, start: int, stop: int) -> int:
    """Return the CRC-32 of bytes [start, stop)."""
    crc = 0
    for at in range(start, stop, PIECE):
        crc = zlib.crc32(read_bytes(path, at, min(at + PIECE, stop)), crc)
    return crc


@contextmanager
def _explained(verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _explanation(verb, path, error) from error


def _explanation(verb: str, path: Path, error: OSError) -> StoreError:
    advice = "check its permissions, or set RUNCAST_DIR to a folder that can be written"
    if error.errno in FULL:
        advice = "free space on its disk; what is missing is recorded then"
        return StorageFull(f"cannot {verb} {path} ({error.strerror or error}): {advice}")
    if verb == "read":
        advice = "check that the run's folder is whole"
    return StoreError(f"cannot {verb} {path} ({error.strerror or error}): {advice}")
