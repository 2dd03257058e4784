"""How bytes of a source become bytes in the store: as they are, or (`save=False`) only the records that hold scalars."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from runcast.events import scalar_only
from runcast.store.protocol import Append, Appended, OffsetMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.events import Batch, Decoder, Pending, Skip
    from runcast.store.protocol import Store

__all__ = ["Appending", "Delivered", "Delivery", "Replaced", "ScalarsOnly", "Verbatim"]

HEAD = 1 << 10
TAIL = 4 << 10
"""Bytes of the beginning, and before the cursor, by which a source is known to be the one that was recorded so far."""


T = TypeVar("T")

Appending = Generator[Append, Appended | OffsetMismatch, T]
"""Work that yields what is to be appended and is sent the store's answer, so that many files' bytes can go together."""


class Replaced(Exception):
    """The source does not hold the bytes that were recorded of it."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of one delivery: `indexed` is what the store newly decoded, the rest is about the source's own records."""

    indexed: Batch | None = None
    records: int = 0
    skipped: Sequence[Skip] = ()
    pending: Pending = ""
    again: bool = False
    """Whether the store turned out to hold less than it was thought to: go on from the cursor, wherever that is now."""


class Delivery(Protocol):
    """Takes a source's bytes from `cursor` on. What is thrown into `deliver`, or the store raises, ends it with nothing moved."""

    cursor: int
    """The offset in the source up to which everything is recorded."""

    @property
    def stored(self) -> int:
        """The size of the run's file."""

    def deliver(self, data: bytes, *, final: bool) -> Appending[Delivered]:
        """Record what can be of `data`, the source's bytes at the cursor, and move the cursor behind it."""

    def ends(self) -> tuple[bytes, bytes]:
        """Return the first recorded bytes of the source and those just before the cursor, as far as they are known."""


class Verbatim:
    """The store's file is the source, byte for byte; so its size is the cursor, and a new recorder goes on from there."""

    def __init__(self, store: Store, run: str, path: str) -> None:
        self._store = store
        self._run = run
        self._path = path
        self.cursor = store.size(run, path)

    @property
    def stored(self) -> int:
        return self.cursor

    def deliver(self, data: bytes, *, final: bool) -> Appending[Delivered]:
        answer = yield Append(self._path, self.cursor, data, final)
        self.cursor = answer.size
        if isinstance(answer, OffsetMismatch):
            return Delivered(again=True)
        if answer.batch is None:
            return Delivered()
        batch = answer.batch
        return Delivered(batch, batch.records, batch.skipped, batch.pending)

    def ends(self) -> tuple[bytes, bytes]:
        head = self._store.read(self._run, self._path, 0, min(HEAD, self.cursor))
        tail = self._store.read(self._run, self._path, max(0, self.cursor - TAIL), self.cursor)
        return head, tail


class ScalarsOnly:
    """The store's file is a scalar-only event file, which the source's bytes alone determine.

    A new recorder filters the source again from its start, and drops what is recorded already. Where that differs from what
    the source yields now, the source is another one: `deliver` raises `Replaced`.
    """

    def __init__(self, store: Store, run: str, path: str, decoder: Decoder) -> None:
        self._store = store
        self._run = run
        self._path = path
        self._decoder = decoder
        self._recorded = store.size(run, path)
        self._filtered = 0
        self.cursor = 0
        self._head = b""
        self._tail = b""

    @property
    def stored(self) -> int:
        return self._recorded

    def deliver(self, data: bytes, *, final: bool) -> Appending[Delivered]:
        batch = self._decoder.decode(data, self.cursor, skip=final)
        kept = scalar_only(data, batch)
        known = min(self._recorded - self._filtered, len(kept))
        if (
            known
            and self._store.read(self._run, self._path, self._filtered, self._filtered + known)
            != kept[:known]
        ):
            raise Replaced
        indexed = None
        if known < len(kept):
            answer = yield Append(self._path, self._recorded, kept[known:])
            self._recorded = answer.size
            if isinstance(answer, OffsetMismatch):
                self.cursor = self._filtered = 0
                self._head = self._tail = b""
                return Delivered(again=True)
            indexed = answer.batch
        self._filtered += len(kept)
        taken = data[: batch.stop - batch.start]
        self._head += taken[: HEAD - len(self._head)]
        self._tail = (self._tail + taken[-TAIL:])[-TAIL:]
        self.cursor = batch.stop
        return Delivered(indexed, batch.records, batch.skipped, batch.pending)

    def ends(self) -> tuple[bytes, bytes]:
        return self._head, self._tail
