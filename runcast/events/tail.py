"""Following one event file: what is new in it, decoded block by block.

A file of any size is read through one buffer: between the read and the last look at them, its bytes stay in the processor's cache,
and neither the memory nor the time for each byte grows with the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runcast.events.decode import Decoder
from runcast.events.framing import OVERHEAD, payload_length

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runcast.events.batch import Batch, Pending

__all__ = ["Tail"]

_BLOCK = 2 << 20
"""Bytes that are read at a time, unless one record is longer."""


class Tail:
    """Reads one event file, and later reads on from there.

        tail = Tail(path)
        for batch in tail.read():  # all that is there now
            ...
        for batch in tail.read():  # what has come since
            ...

    `offset` is the record boundary up to which everything has been handed out. `pending` says, after a `read` to its end, why
    it stopped there: "" at the end of the file. The file is open only while it is read. Tails may share a decoder, and what it
    learns. Not thread-safe.
    """

    def __init__(
        self, path: str | os.PathLike[str], decoder: Decoder | None = None, *, offset: int = 0
    ) -> None:
        self.path = Path(path)
        self.offset = offset
        self.pending: Pending = ""
        self._decoder = Decoder() if decoder is None else decoder

    def read(self, *, skip: bool = False) -> Iterator[Batch]:
        """Yield what is new, a few megabytes a batch, up to the size that the file has now; nothing if there is nothing new.

        With `skip`, bytes that fail verification are passed over where a verified record follows them (see `Decoder.decode`);
        else reading stops there, now and the next time. A file that is shorter than `offset` yields nothing: whether it is still
        the same file is for the caller to know. Raises `OSError` when the file cannot be read.
        """
        with self.path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(self.offset)
            buffer = memoryview(bytearray(max(0, min(_BLOCK, size - self.offset))))
            held = 0
            self.pending = ""
            while self.offset + held < size:
                got = file.readinto(buffer[held : size - self.offset])
                if not got:  # it has become shorter meanwhile
                    return
                held += got
                batch = self._decoder.decode(buffer[:held], self.offset, skip=skip)
                self.pending = batch.pending
                taken = batch.stop - self.offset
                if taken:
                    held -= taken
                    buffer[:held] = buffer[taken : taken + held]
                    self.offset = batch.stop
                    yield batch
                if batch.pending in {"checksum", "framing"} and not skip:
                    return
                if held == len(buffer):  # too few to go on
                    length = payload_length(buffer, 0)
                    whole = 0 if length is None else OVERHEAD + length
                    if self.offset + whole > size:
                        return
                    larger = memoryview(bytearray(max(whole, min(2 * held, size - self.offset))))
                    larger[:held] = buffer
                    buffer = larger
