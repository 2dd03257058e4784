"""What the only writer of a run remembers of its index, so that an append need not read it back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runcast.store.bounds import Bounds

if TYPE_CHECKING:
    from runcast.store.recent import Recent
    from runcast.store.supersession import Span

__all__ = ["FileMemory", "PartMemory", "RunMemory", "SourceMemory"]

MOST_PARTS = 50_000
"""Parts that are remembered of one run; some 30 MB."""


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
class SourceMemory:
    """The files and series of one (root, source): all spans, the tags and parts that were met."""

    spans: dict[int, Span]
    plugins: dict[str, dict[str, int]] = field(default_factory=dict)
    """The numbers of a tag's series, by plugin, the earliest first."""
    parts: dict[tuple[int, int], PartMemory] = field(default_factory=dict)
    """By (file, series)."""


@dataclass(slots=True)
class RunMemory:
    """What is remembered of a run. It holds while `mark` is the run's: every change of a run gives it another one.

    `recent` is the table's rows; None when they are not known.
    """

    mark: int | None = None
    files: dict[str, FileMemory] = field(default_factory=dict)
    sources: dict[tuple[str, str], SourceMemory] = field(default_factory=dict)
    recent: list[Recent] | None = None

    def hold(self, mark: int) -> None:
        """Forget all unless the run still has the mark that it was given last, and what would become too much."""
        if mark != self.mark or sum(len(source.parts) for source in self.sources.values()) > MOST_PARTS:
            self.files.clear()
            self.sources.clear()
            self.recent = None
        self.mark = mark
