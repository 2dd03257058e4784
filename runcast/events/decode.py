"""Bytes of an event file in, typed points and pointers out: the engine's one door.

What makes it fast: it chooses the way of reading by the number of bytes, and works on windows that fit the processor's cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runcast.events.framing import follow, why_pending
from runcast.events.reading import Reading
from runcast.events.resync import Resync
from runcast.events.scalars import ScalarReader, TagTable
from runcast.events.single import SingleReader
from runcast.events.together import decode_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.events.batch import Batch, Pending
    from runcast.events.together import Stretch

__all__ = ["Decoder"]

_ONE_BY_ONE = 8 << 10
"""Bytes up to which reading records one by one beats reading them by columns, which takes a tenth of a millisecond to begin."""

_WINDOW = 2 << 20
"""Bytes that are worked on at a time: what one pass writes, the next still finds in the processor's cache."""

_SMALL_WINDOW = 4 << 10
"""The window after a bad stretch, growing from there: where another may follow soon, little work is done twice."""

_MOST_TAGS = 100_000
"""Where tags hardly repeat, what was learned about them is of no use and must not fill the memory."""


class Decoder:
    """Decodes stretches of event files.

    It keeps nothing about any file, only what it learned about the shape of records; so one decoder serves any number of
    files, in any order, and the answer depends on the arguments alone. Not thread-safe.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._tags = TagTable()
        self._singles = SingleReader()
        self._scalars = ScalarReader(self._tags)

    def decode(self, data: bytes | memoryview, offset: int = 0, *, skip: bool = False) -> Batch:
        """Decode the whole, verified records at the start of `data`, which begins at file offset `offset`, a record boundary.

        Stops before the first bytes that are incomplete or fail verification; `Batch.pending` says which. Asking again with
        more bytes from `Batch.stop` on continues. With `skip`, bytes that fail verification are passed over and listed in
        `Batch.skipped`, but only where a verified record follows them in `data`: what may still be growing is never passed
        over. A verified record that holds no Event is always passed over, since waiting would not mend it.

        Never raises, whatever the bytes are, and takes time linear in their number.
        """
        self._limit_memory()
        view = memoryview(data).cast("B")
        reading = Reading(view, offset, self._tags)
        position, window = 0, _WINDOW
        pending: Pending = ""
        resync: Resync | None = None
        while position < len(view):
            limit = min(position + window, len(view))
            if limit - position <= _ONE_BY_ONE:
                position = reading.take_one_by_one(position, limit, self._singles)
            else:
                chain = follow(view, position, limit)
                position = reading.take(chain, *self._scalars.read(view, chain))
            if position >= limit:
                window = min(4 * window, _WINDOW)
                continue
            pending = why_pending(view, position)
            if not skip or pending == "incomplete":
                break
            resync = resync or Resync(view)
            resumed = resync.resume(position)
            if resumed is None:
                break
            skipped, position = resumed
            reading.pass_over(skipped)
            window, pending = _SMALL_WINDOW, ""
        return reading.batch(position, pending)

    def decode_all(self, stretches: Sequence[Stretch]) -> list[Batch]:
        """Decode several stretches of any files, each given as its bytes and its offset: what `decode` returns for each of them.

        Where there are many small ones, that takes a fraction of the time.
        """
        batches: list[Batch | None] = [None] * len(stretches)
        small = [number for number, (data, _) in enumerate(stretches) if len(data) <= _ONE_BY_ONE]
        if sum(len(stretches[number][0]) for number in small) > _ONE_BY_ONE:
            self._limit_memory()
            found = decode_plain([stretches[number] for number in small], self._scalars, self._tags.names)
            for number, batch in zip(small, found, strict=True):
                batches[number] = batch
        return [
            batch or self.decode(data, offset)
            for batch, (data, offset) in zip(batches, stretches, strict=True)
        ]

    def _limit_memory(self) -> None:
        if len(self._tags.names) > _MOST_TAGS or self._templates() > _MOST_TAGS:
            self._forget()

    def _templates(self) -> int:
        return self._singles.templates + self._scalars.templates
