"""One event file's way into a store: read on from what is recorded, never skip, never double."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from runcast.events.framing import OVERHEAD, payload_length, why_pending
from runcast.store.protocol import Append, FileRecord, OffsetMismatch
from runcast.sync.names import as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from runcast.store.protocol import Appended
    from runcast.sync.locations import Reader
    from runcast.sync.plan import Member

__all__ = ["Flow", "unreadable"]

CHUNK = 2 << 20
"""Bytes that are offered at once, unless a single record is larger."""

LONGEST = 1 << 30
"""Bytes that are offered at once at most, to bring a record as long as that."""

HEAD, TAIL = 1 << 10, 4 << 10
"""Bytes of the beginning, and before the cursor, by which a file is known to be the one that was brought before."""

PATIENCE = 30.0
"""Seconds after a file's last change during which bytes that fail verification may still get better: some file systems show a
file's size before its bytes."""

MOST_MISMATCHES = 20


class Flow:
    """The way of one file to `path` in the run, of which the store has `cursor` bytes. Used by one thread.

    In turns, `next` gives what is to be appended, and `answered` or `refuse` takes in what became of it, until `is_done`.
    """

    def __init__(self, member: Member, path: str, size: int) -> None:
        self.path = path
        self.cursor = size
        """The bytes that the store has."""
        self.is_done = size >= member.entry.size
        self.is_news = False
        """Whether the store is to be told anything of the file."""
        self.left_out = ""
        """What is not in the store, and why."""
        self.is_trouble = False
        """Whether that is more than a record that was cut short at the file's end, as any killed training leaves it."""
        self._member = member
        self._rest = b""
        self._reader: Reader | None = None
        self._open = ExitStack()
        self._ended = self._final = False
        self._chunk = CHUNK
        self._mismatches = 0
        self._skipped = self._skipped_bytes = 0

    @property
    def address(self) -> str:
        """What the file is called outside."""
        return self._member.location.address(self._member.entry)

    @property
    def left(self) -> int:
        """The bytes that the store lacks."""
        return max(0, self._member.entry.size - self.cursor)

    def goes_on(self, stored: Callable[[int, int], bytes]) -> bool:
        """Whether the file is the one that the store has: `stored` reads bytes [start, stop) of that one. Raises `StoreError`."""
        size, entry = self.cursor, self._member.entry
        if size in {0, entry.size}:
            return True
        both = min(size, entry.size)
        try:
            return all(
                self._read(start, stop - start) == stored(start, stop)
                for start, stop in ((0, min(HEAD, both)), (max(0, both - TAIL), both))
            )
        except OSError as error:
            self._stop(unreadable(error))
            return True

    def begin(self) -> None:
        """Have the next bytes fetched, where that takes a while. Why they cannot be is for `next` to find out."""
        with suppress(OSError):
            self._opened()

    def next(self) -> Append | None:
        """Return what is to be appended; None if that is nothing (more)."""
        try:
            reader = self._opened()
            parts = [self._rest]
            room = self._chunk - len(self._rest)
            while room > 0 and not self._ended:
                data = reader.read(room)
                self._ended = not data
                parts.append(data)
                room -= len(data)
        except OSError as error:
            self._stop(unreadable(error))
            return None
        self._rest = b"".join(parts)
        if not self._rest:
            self._end()
            return None
        return Append(self.path, self.cursor, self._rest, self._final)

    def answered(self, answer: Appended | OffsetMismatch) -> int:
        """Take in what became of an append; return how many bytes are new in the store."""
        if isinstance(answer, OffsetMismatch):
            self._mismatches += 1
            self.cursor = answer.size
            self._begin_anew()
            if self._mismatches > MOST_MISMATCHES:
                self.refuse(
                    "the store says another size of it each time; is it being brought by somebody else, too?"
                )
            elif self.cursor >= self._member.entry.size:
                self._stop()
            return 0
        taken = answer.size - self.cursor
        self.cursor = answer.size
        self._rest = self._rest[taken:]
        if answer.batch is not None:
            self._skipped += len(answer.batch.skipped)
            self._skipped_bytes += sum(skip.length for skip in answer.batch.skipped)
        if taken > 0:
            self.is_news = True
            self._final, self._chunk = False, CHUNK
            if self._ended and not self._rest:
                self._end()
        else:
            self._insist()
        return max(0, taken)

    def refuse(self, why: str) -> None:
        """Give the file up: the store does not take it."""
        self._stop(why)

    def record(self) -> FileRecord:
        """Return what the store is told of the file."""
        return FileRecord(
            self.path,
            self.cursor,
            source_path=as_text(self.address),
            source_size=self._member.entry.size,
            state="recorded",
            why=self.left_out,
        )

    def note_damage(self, stretches: int) -> None:
        """Take note of how many damaged stretches of the file the store has passed over, when it says so later."""
        self._skipped = max(self._skipped, stretches)
        self._say_damage()

    def _insist(self) -> None:
        """Go on where nothing was taken: a record that is longer than what was offered, or damage, or the file's end."""
        rest = memoryview(self._rest)
        pending = why_pending(rest, 0)
        if pending != "incomplete" and not self._final:
            if time.time() - self._member.entry.changed >= PATIENCE:
                self._final = True  # damaged bytes are passed over where verified records follow
                return
            self._stop(
                f"bytes from {self.cursor} on fail verification, and the file was written just now: sync it again in a while"
            )
        elif not self._ended and len(self._rest) < LONGEST:
            record = OVERHEAD + (payload_length(rest, 0) or 0)
            self._chunk, self._final = min(LONGEST, max(2 * len(rest), record)), False
        elif pending == "incomplete":
            self._end(f"the last {len(self._rest)} bytes are the beginning of a record")
        else:
            self._stop(f"the last {len(self._rest)} bytes are no valid record")

    def _end(self, why: str = "") -> None:
        """Stop at the file's end; `why` says what of it is not whole yet."""
        size, listed = self.cursor + len(self._rest), self._member.entry.size
        if size < listed:
            self._stop(f"it was cut off when it was brought: {size} of {listed} bytes were there")
        else:
            self._stop(why, trouble=False)

    def _stop(self, why: str = "", *, trouble: bool = True) -> None:
        self.is_done = True
        self._begin_anew()
        if why:
            self.is_news, self.left_out, self.is_trouble = True, why, trouble
        self._say_damage()

    def _say_damage(self) -> None:
        if self._skipped and "damaged" not in self.left_out:
            size = f" ({self._skipped_bytes} bytes)" if self._skipped_bytes else ""
            said = f"{self._skipped} damaged stretch{'es' if self._skipped > 1 else ''}{size} passed over"
            self.left_out = f"{said}; {self.left_out}" if self.left_out else said
            self.is_trouble = True

    def _begin_anew(self) -> None:
        self._open.close()
        self._reader, self._rest, self._ended = None, b"", False

    def _opened(self) -> Reader:
        """Return what reads on behind what is at hand. Raises `OSError`."""
        if self._reader is None:
            start = self.cursor + len(self._rest)
            opened = self._member.location.open(self._member.entry, start, ahead=True)
            self._reader = self._open.enter_context(opened)
        return self._reader

    def _read(self, start: int, length: int) -> bytes:
        with self._member.location.open(self._member.entry, start) as file:
            return file.read(length)


def unreadable(error: OSError) -> str:
    """Say in words for the user why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return "it is gone: it was there when the folder was listed"
    return f"it cannot be read: {error.strerror or error}"
