"""What the only writer of a run remembers of its index, so that an append need not read it back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from runcast.store.bounds import Bounds

if TYPE_CHECKING:
    from runcast.store.supersession import Span

__all__ = ["FileMemory", "Kept", "Memories", "Numbers", "PartMemory", "RunMemory", "SourceMemory"]

MOST_PARTS = 50_000
"""Parts that are remembered of one run; some 30 MB."""

_RUN_BYTES, _FILE_BYTES, _PART_BYTES = 2000, 600, 900
"""About what each takes, measured."""


@dataclass(slots=True)
class FileMemory:
    """A row of the table `file`."""

    id: int
    size: int
    synced: int
    unsynced_crc: int
    records: int
    skipped: int

    @classmethod
    def from_row(cls, row: Any) -> FileMemory:
        """Read it from a row of the table `file`."""
        return cls(row.id, row.size, row.synced, row.unsynced_crc, row.records, row.skipped)


@dataclass(slots=True)
class PartMemory:
    """A row of the table `part`.

    `tail` is how many points each of its last chunks has, those that are not sealed; `newest` the last step of its points that
    are still in `recent`, None if there are none.
    """

    start: int
    next_seq: int
    cut: int | None
    bounds: Bounds
    tail: list[int] | None = None
    newest: int | None = None

    @classmethod
    def from_row(cls, row: Any) -> PartMemory:
        """Read it from a row of the table `part`; the tail is not known then."""
        return cls(row.start, row.next_seq, row.cut, Bounds.from_row(row))


@dataclass(slots=True)
class Numbers:
    """The last number that a series of a run was given."""

    series: int = 0


@dataclass(slots=True)
class SourceMemory:
    """The files and series of one (root, source): all spans, the tags and parts that were met."""

    spans: dict[int, Span]
    plugins: dict[str, dict[str, int]] = field(default_factory=dict)
    """The numbers of a tag's series, by plugin, the earliest first."""
    parts: dict[tuple[int, int], PartMemory] = field(default_factory=dict)
    """By (file, series)."""
    numbers: Numbers | None = None
    """The run's, where all tags and parts are known: there is nothing to be read of the source. None otherwise."""


class Kept(NamedTuple):
    """How much of a run is in `recent`: groups of appends, their points, and since when (`time.monotonic`)."""

    groups: int = 0
    points: int = 0
    since: float = 0.0


@dataclass(slots=True)
class RunMemory:
    """What is remembered of a run. It holds while `mark` is the run's: every change of a run gives it another one."""

    mark: int | None = None
    files: dict[str, FileMemory] = field(default_factory=dict)
    sources: dict[tuple[str, str], SourceMemory] = field(default_factory=dict)
    kept: Kept | None = None
    """None when it is not known."""
    names: dict[int, int | None] | None = None
    """The names of the series in the table `metric`; None when they are not known."""
    numbers: Numbers | None = None
    """Where all of the run is remembered, since it was made: there is nothing to be read of its files and series. None otherwise."""

    @classmethod
    def of_new(cls, mark: int) -> RunMemory:
        """Return the memory of a run that was just made, and given this mark."""
        return cls(mark, kept=Kept(), numbers=Numbers())

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        parts = sum(len(source.parts) for source in self.sources.values())
        return _RUN_BYTES + _FILE_BYTES * len(self.files) + _PART_BYTES * parts

    def hold(self, mark: int) -> None:
        """Forget all unless the run still has the mark that it was given last, and what would become too much."""
        if mark != self.mark or sum(len(source.parts) for source in self.sources.values()) > MOST_PARTS:
            self.files.clear()
            self.sources.clear()
            self.kept = None
            self.names = None
            self.numbers = None
        self.mark = mark


class Memories:
    """What is remembered of runs, as long as it takes no more than `most` bytes: what was not needed for longest goes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._runs: dict[str, tuple[int, RunMemory]] = {}

    def take(self, run: str) -> RunMemory:
        """Return what is remembered of a run, and forget it until it is kept again: it may be about to become wrong."""
        size, memory = self._runs.pop(run, (0, None))
        self._size -= size
        return RunMemory() if memory is None else memory

    def of(self, run: str) -> RunMemory | None:
        """Return what is remembered of a run, to be looked at."""
        return self._runs.get(run, (0, None))[1]

    def keep(self, run: str, memory: RunMemory) -> None:
        """Remember it."""
        size = memory.size
        self._runs[run] = size, memory
        self._size += size
        while self._size > self._most and len(self._runs) > 1:
            forgotten, _ = self._runs.pop(next(iter(self._runs)))
            self._size -= forgotten
