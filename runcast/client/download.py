"""Files of runs, copied to this machine: whole, verified, and where they belong."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from runcast.errors import FileReplaced, ServerUnreachable, StoreError
from runcast.objects import ObjectGone
from runcast.store.paths import FilePath

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runcast.store.local import LocalStore
    from runcast.store.places import Content
    from runcast.store.remote import RemoteContent, RemoteStore

__all__ = ["fetch"]

PIECE = 1 << 20
"""Bytes that are in memory at a time."""

MOST_BREAKS = 5
"""How often an answer may break off, one after the other and with nothing brought, before a download fails."""

_UNSAFE = re.compile(r'[:*?"<>|]') if os.name == "nt" else re.compile(r"(?!)")


def fetch(store: LocalStore | RemoteStore, run: str, path: str, size: int, folder: Path) -> Path:
    """Copy a run's file to its path below `folder`, and return that: `size` bytes of one that grows, else all of it as it is now.

    See `RunFile.download`.
    """
    place = FilePath.parse(path)  # the server's word for it is not enough
    target = folder / _UNSAFE.sub("_", path)
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.resolve().is_relative_to(folder.resolve()) or target.is_symlink():
            raise StoreError(f"{target} would be written outside of {folder}: a link leads there; remove it")
        if place.grows and target.is_file() and not part.exists():
            if target.stat().st_size >= size:
                return target
            target.replace(part)
        if not place.grows:
            part.unlink(missing_ok=True)
        _fill(store, run, path, size if place.grows else None, part)
        part.replace(target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _fill(store: LocalStore | RemoteStore, run: str, path: str, size: int | None, part: Path) -> None:
    """Bring a file to `size` bytes (None: to all that there are), going on where it ends.

    An answer that breaks off is asked for again from there; a file that was replaced meanwhile is fetched from its beginning.
    """
    breaks = 0
    content = _opened(store, run, path)
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(part, flags, 0o666), "wb") as file:
            stop = content.size if size is None else size
            at = min(file.seek(0, os.SEEK_END), stop)
            file.truncate(at)
            while at < stop:
                before = at
                try:
                    for data in _pieces(content, at, stop):
                        file.seek(at)
                        file.write(data)
                        at += len(data)
                except ServerUnreachable:
                    breaks = 1 if at > before else breaks + 1
                    if breaks > MOST_BREAKS:
                        raise
                    continue
                except (FileReplaced, ObjectGone):
                    breaks += 1
                    if size is not None or breaks > MOST_BREAKS:
                        raise
                    content.close()
                    content = _opened(store, run, path)
                    at, stop = 0, content.size
                    file.truncate(0)
                    continue
                if at == before:
                    raise StoreError(
                        f"{path} of run {run} has {at} bytes now, not {stop}: list the files again"
                    )
    finally:
        content.close()


def _opened(store: LocalStore | RemoteStore, run: str, path: str) -> Content | RemoteContent:
    content = store.open(run, path)
    if content is None:
        raise StoreError(f"{path} of run {run} is not there any more: list the files again")
    return content


def _pieces(content: Content | RemoteContent, start: int, stop: int) -> Iterator[bytes]:
    chunks = getattr(content, "chunks", None)
    if chunks is not None:  # one request for all
        yield from chunks(start, stop)
        return
    while start < stop and (data := content.read(start, min(stop, start + PIECE))):
        yield data
        start += len(data)
