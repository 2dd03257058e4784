"""The bytes of a run's files, in folders."""

from __future__ import annotations

import errno
import os
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runcast.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["checksum", "disk_size", "read_bytes", "sync", "write_at"]

PIECE = 4 << 20

_BINARY = getattr(os, "O_BINARY", 0)


def write_at(path: Path, offset: int, data: bytes | memoryview) -> None:
    """Write bytes at an offset; what was there before is the same or was never claimed.

    Raises `StoreError`; the file may then hold some of the bytes, and writing them again is right.
    """
    with _explained("write", path):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o644)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o644)
        try:
            os.lseek(fd, offset, os.SEEK_SET)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
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


def read_bytes(path: Path, start: int, stop: int) -> bytes:
    """Return bytes [start, stop), fewer where the file ends. Raises `StoreError`."""
    with _explained("read", path), path.open("rb") as file:
        file.seek(start)
        return file.read(max(0, stop - start))


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
        advice = "check its permissions, or set RUNCAST_DIR to a folder that can be written"
        if error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}:
            advice = "free space on its disk; what is missing is recorded then"
        elif verb == "read":
            advice = "check that the run's folder is whole"
        raise StoreError(f"cannot {verb} {path} ({error.strerror or error}): {advice}") from error
