"""Where the bytes of runs' files are: in a folder, or in a bucket. `RunFiles` is the seam; the index stands in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import Connection

    from runcast.store.places.listing import Segment
    from runcast.store.recent import Grown
    from runcast.store.rows import Rows

__all__ = ["STORE_JOURNAL", "Content", "Held", "Replacement", "RunFiles"]


STORE_JOURNAL = "store.jsonl"
"""The store's own journal of a run, beside the run's files."""


class Held(NamedTuple):
    """A file of a run as it is kept, whatever the index says; `segments` are the objects that a bucket's index lacks."""

    path: str
    size: int
    segments: tuple[Segment, ...] = ()


class Content(Protocol):
    """A file's bytes as they were when it was opened: it may be replaced meanwhile. For one thread at a time."""

    @property
    def size(self) -> int:
        """How many bytes it has."""

    @property
    def version(self) -> str:
        """A short text that is another one where the bytes are others."""

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes [start, stop), fewer where they end. Raises `StoreError`, `ObjectGone` where they were replaced in a bucket."""

    def close(self) -> None:
        """Let go of it; harmless when done again."""


class Replacement(Protocol):
    """New content of a whole file, which is there already; it takes the old one's place in three steps."""

    @property
    def size(self) -> int:
        """How many bytes it has."""

    def note(self, connection: Connection, file: int) -> None:
        """Make it the file's content when the transaction commits (in a folder it is already)."""

    def committed(self) -> None:
        """Clean up what it took the place of. Raises nothing."""


class RunFiles(Protocol):
    """Keeps the bytes of runs' files. Thread-safe; any number of processes may keep files in one place.

    An append takes two steps: `write` before the transaction that indexes the bytes, `note` within it. The same bytes may be
    written at the same offset again, after a crash or by another process: it changes nothing. Every method but `committed`
    raises `StoreError` when the place cannot be used.
    """

    is_durable: bool
    """What was noted survives the crash of the machine once the transaction has committed: there is nothing to `sync`."""

    def make(self, run: str) -> None:
        """Make a place for the files of a run, unless there is one."""

    def write(self, run: str, path: str, offset: int, data: bytes | memoryview) -> None:
        """Write bytes at an offset; what was there before is the same or was never noted.

        After an error some of the bytes may be there, and writing them again is right.
        """

    def note(self, rows: Rows, run: str, notes: Sequence[tuple[int, int, memoryview]]) -> None:
        """Take up bytes that are being indexed, in the same transaction: for each file's number an offset and the bytes."""

    def sync(self, run: str, path: str) -> None:
        """Return once the file's bytes are on the disk."""

    def replace(self, run: str, path: str, data: bytes | Path) -> Replacement:
        """Keep new content of a file, `data` or a copy of the file that it names. Raises `OSError` from reading that file.

        Whatever happens, readers see the old content or the new. One call at a time for a path.
        """

    def read(
        self, run: str, path: str, start: int, stop: int, *, connection: Connection | None = None
    ) -> bytes:
        """Return bytes [start, stop), fewer where the file ends; as the transaction of `connection` sees it, if there is one."""

    def open(self, run: str, path: str, size: int | None) -> Content:
        """Open a file that may be replaced, to be read in pieces that belong together; where nothing is there, it is empty.

        `size` is what is recorded of one that is appended to as well: what is beyond is none of it yet.
        """

    def size(self, run: str, path: str) -> int:
        """Return how many bytes are there, 0 for none, whatever the index says."""

    def is_intact(self, run: str, path: str, grown: Grown) -> bool:
        """Say whether the bytes are there that the index says the file has."""

    def local_path(self, run: str, path: str) -> Path:
        """Return where a file is on this disk. Raises `StoreError` where it is on none."""

    def locked(self, run: str) -> AbstractContextManager[object]:
        """Keep recorders of this machine away from a run for a while. Raises `RunLocked` if one records it."""

    # The journal of what the store was told of a run, and what rebuilds the index from it.

    def journal(self, connection: Connection, run: str, lines: bytes) -> None:
        """Append whole lines to the run's `store.jsonl`, for good when the transaction commits, or sooner; b"" is nothing."""

    def read_journal(self, run: str) -> bytes:
        """Return the run's `store.jsonl`, b"" where there is none; its last line may be torn."""

    def runs(self) -> Iterator[str]:
        """Yield the ids of the runs that files are kept of."""

    def held(self, run: str, paths: Iterable[str]) -> list[Held]:
        """Return the files that are kept of a run. `paths` are those that its journal names.

        (In a bucket, a path that is too long to be part of an object's name is told by its digest.)
        """

    def adopt(self, connection: Connection, run: str, file: int, held: Held) -> None:
        """Note what is kept of a file, which has this number, so that all of it can be read once the transaction commits."""

    def remove(self, run: str) -> None:
        """Delete all that is kept of a run, its journal last. Doing it again is harmless."""

    # What is left of runs that were deleted for good: their ids, so that none of them comes back with a new database.

    def bury(self, run: str, now: float) -> None:
        """Remember that a run was deleted. Doing it again is harmless."""

    def buried(self) -> Iterator[str]:
        """Yield the ids of the runs that were deleted, each at least once."""

    def close(self) -> None:
        """Let go of what is open."""
