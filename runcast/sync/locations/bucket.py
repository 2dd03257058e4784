"""Buckets: S3, Google Cloud Storage, Azure, and what speaks as they do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runcast.errors import LogdirError, RuncastError, StoreError
from runcast.events.discover import is_recorded
from runcast.objects import check_address, users_objects
from runcast.sync.locations import Entry, Listing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runcast.objects import Objects

__all__ = ["Bucket", "open_bucket"]

OTHERS_KEPT = 100
"""Names of other objects that are remembered, for the user to see."""

PIECE = 4 << 20
"""Bytes that one request reads, at most."""


def open_bucket(address: str) -> Bucket:
    """Return the logs at an address of a bucket. Raises `LogdirError` for what is none."""
    check_address(address)
    return Bucket(address)


@dataclass
class Bucket:
    """The objects below an address, which may have options (`?endpoint=http://…&region=…`; see `Objects`)."""

    given: str
    _objects: Objects | None = field(default=None, repr=False)

    def __reduce__(self) -> Any:
        return Bucket, (self.given,)

    @property
    def label(self) -> str:
        """What the user calls it, without options."""
        return self.given.partition("?")[0].rstrip("/")

    @property
    def url(self) -> str:
        """See `Location.url`."""
        return self.label

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.label.rpartition("/")[2]

    def look(self) -> Listing:
        """See `Location.look`."""
        found: list[Entry] = []
        others: list[str] = []
        count = 0
        for each in self._listed(""):
            count += 1
            folder, _, name = each.path.rpartition("/")
            if is_recorded(name, folder or "."):
                found.append(each)
            elif len(others) < OTHERS_KEPT:
                others.append(each.path)
        found.sort(key=lambda entry: entry.path)
        return Listing(found, f"{count} object{'' if count == 1 else 's'}", [] if found else sorted(others))

    def find(self, path: str, *, beginning: bool = False) -> list[Entry]:
        """See `Location.find`."""
        folder = path.rpartition("/")[0]
        try:
            return [
                each
                for each in self._listed(folder)
                if each.path == path
                or (beginning and each.path.startswith(path) and each.path.rpartition("/")[0] == folder)
            ]
        except LogdirError as error:
            raise OSError(str(error)) from error

    def open(self, entry: Entry, start: int = 0) -> _Object:
        """See `Location.open`."""
        return _Object(self._opened(), entry, start)

    def address(self, entry: Entry) -> str:
        """Return the object's address."""
        return f"{self.label}/{entry.path}"

    def close(self) -> None:
        """Nothing stays open."""

    def _opened(self) -> Objects:
        if self._objects is None:
            self._objects = users_objects(self.given)
        return self._objects

    def _listed(self, folder: str) -> Iterable[Entry]:
        try:
            for each in self._opened().listed(folder):
                yield Entry(each.name, each.size, each.changed, each.version)
        except RuncastError as error:
            raise LogdirError(str(error)) from error


class _Object:
    """An object from an offset on. A request that fails in passing is repeated by `Objects`."""

    def __init__(self, objects: Objects, entry: Entry, start: int) -> None:
        self._objects = objects
        self._entry = entry
        self._at = start

    def read(self, size: int) -> bytes:
        stop = min(self._at + min(size, PIECE), self._entry.size)
        try:
            data = self._objects.read(self._entry.path, self._at, stop)
        except StoreError as error:
            raise OSError(str(error)) from error
        self._at += len(data)
        return data

    def __enter__(self) -> _Object:  # noqa: PYI034 - Self is Python 3.11's
        return self

    def __exit__(self, *_: object) -> None: ...
