"""Buckets: S3, Google Cloud Storage, Azure, and what speaks as they do."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from runcast.errors import LogdirError, RuncastError, StoreError
from runcast.events.discover import is_recorded
from runcast.objects import check_address, users_objects
from runcast.sync.locations import Entry, Listing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from runcast.objects import Objects

__all__ = ["Bucket", "open_bucket"]

OTHERS_KEPT = 100
"""Names of other objects that are remembered, for the user to see."""

PIECE = 2 << 20
"""Bytes that one request reads, at most."""

PIECES_AHEAD = 4
"""Pieces of one object that are fetched before they are asked for."""

AT_ONCE = 16
"""Requests of one process that are on their way at the same time."""


def open_bucket(address: str) -> Bucket:
    """Return the logs at an address of a bucket. Raises `LogdirError` for what is none."""
    check_address(address)
    return Bucket(address)


@dataclass
class Bucket:
    """The objects below an address, which may have options (`?endpoint=http://…&region=…`; see `Objects`). Thread-safe."""

    given: str
    _objects: Objects | None = field(default=None, repr=False)
    _threads: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, AT_ONCE), repr=False)

    def __reduce__(self) -> Any:
        return _shared, (self.given,)

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

    def open(self, entry: Entry, start: int = 0, *, ahead: bool = False) -> _Object | _FetchedAhead:
        """See `Location.open`."""
        if not ahead:
            return _Object(self._opened(), entry, start)
        return _FetchedAhead(self._opened(), entry, start, self._threads)

    def address(self, entry: Entry) -> str:
        """Return the object's address."""
        return f"{self.label}/{entry.path}"

    def close(self) -> None:
        """See `Location.close`."""
        threads, self._threads = self._threads, ThreadPoolExecutor(AT_ONCE)
        threads.shutdown(wait=False, cancel_futures=True)

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


@lru_cache(maxsize=16)
def _shared(given: str) -> Bucket:
    """Return the bucket that all runs have which this process is sent: their requests share connections."""
    return Bucket(given)


class _Object:
    """An object from an offset on. A request that fails in passing is repeated by `Objects`."""

    def __init__(self, objects: Objects, entry: Entry, start: int) -> None:
        self._objects = objects
        self._entry = entry
        self._at = start

    def read(self, size: int) -> bytes:
        stop = min(self._at + min(size, PIECE), self._entry.size)
        data = _fetch(self._objects, self._entry.path, self._at, stop)
        self._at += len(data)
        return data

    def __enter__(self) -> _Object:  # noqa: PYI034 - Self is Python 3.11's
        return self

    def __exit__(self, *_: object) -> None: ...


class _FetchedAhead:
    """The same, all of which will be read: its next pieces are on their way from the start."""

    def __init__(self, objects: Objects, entry: Entry, start: int, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._starts = iter(range(start, entry.size, PIECE))
        self._ask = partial(_fetch, objects, entry.path)
        self._size = entry.size
        self._asked: deque[Future[bytes]] = deque()
        self._rest = b""
        for _ in range(PIECES_AHEAD):
            self._fetch_more()

    def read(self, size: int) -> bytes:
        if not self._rest and self._asked:
            self._rest = self._asked.popleft().result()
            self._fetch_more()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def __enter__(self) -> _FetchedAhead:  # noqa: PYI034 - Self is Python 3.11's
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._asked:
            each.cancel()
        self._asked.clear()

    def _fetch_more(self) -> None:
        if (start := next(self._starts, None)) is not None:
            stop = min(start + PIECE, self._size)
            self._asked.append(self._threads.submit(self._ask, start, stop))


def _fetch(objects: Objects, name: str, start: int, stop: int) -> bytes:
    try:
        return objects.read(name, start, stop)
    except StoreError as error:
        raise OSError(str(error)) from error
