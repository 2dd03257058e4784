"""`Store`: where runs live. A folder is one (`LocalStore`), a server another; what works on one works on all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from runcast.errors import StoreError
    from runcast.events.batch import Batch
    from runcast.run.record import RunRecord
    from runcast.store.query import Filter

__all__ = [
    "OLDER",
    "Append",
    "Appended",
    "Facts",
    "FileRecord",
    "OffsetMismatch",
    "Points",
    "RunPage",
    "RunQuery",
    "SeriesRecord",
    "SeriesValues",
    "Store",
    "SummaryRecord",
]


@dataclass(frozen=True, slots=True)
class Append:
    """Bytes for a file at an offset; `final` as in `Store.append`."""

    path: str
    offset: int
    data: bytes | memoryview
    final: bool = False


@dataclass(frozen=True, slots=True)
class Appended:
    """The file holds `size` bytes now. `size` may be less than offset + len(data): only whole, verified records are taken.

    `batch` is what was decoded (None for a file that is no event file, and from a remote store).
    """

    size: int
    batch: Batch | None = None


@dataclass(frozen=True, slots=True)
class OffsetMismatch:
    """Nothing was appended: the file holds `size` bytes, so continue there."""

    size: int


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """The points of one (run, root, source, tag). Bounds are over the points that count, restarts resolved.

    `id` is unique within the run and never changes; NaN is ignored by `min` and `max` unless nothing else is there.
    """

    id: int
    root: str
    source: str
    tag: str
    plugin: str
    count: int
    first_step: int
    last_step: int
    last: float
    min: float
    max: float
    last_wall_time: float


class SeriesValues(NamedTuple):
    """What a run's summary takes from a scalar series; see `SeriesRecord`."""

    root: str
    source: str
    tag: str
    last: float
    min: float
    max: float

    @property
    def plugin(self) -> str:
        """That of scalars, as in `SeriesRecord`."""
        return "scalars"


OLDER = "older"
"""The state of a file that was in a logdir before the run, has not changed since, and is therefore not recorded."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a run: `size` bytes are recorded; the rest says what became of its source."""

    path: str
    size: int
    records: int = 0
    skipped: int = 0
    source_path: str = ""
    source_size: int = 0
    state: str = "recording"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Points:
    """Columns of one series: int64 steps, float64 wall times and values."""

    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SummaryRecord:
    """A summary that is not a scalar: bytes [offset, offset + length) of the run's file `path` are its whole record."""

    step: int
    wall_time: float
    path: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs, by `order`, newest first by default; None means any."""

    project: str | None = None
    state: str | None = None
    limit: int | None = None
    tags: tuple[str, ...] = ()
    """Those that a run must have, all of them."""
    group: str | None = None
    projects: frozenset[str] | None = None
    """Only runs of these projects; None: of all."""
    filters: tuple[Filter, ...] = ()
    """All of which must hold; `query.parse_filters` reads them."""
    order: str | None = None
    """As `query.parse_order` reads it."""
    after: str | None = None
    """Go on where a page ended: its `RunPage.next`."""
    trashed: bool = False
    """The runs in the trash, instead of the others."""


@dataclass(frozen=True, slots=True)
class RunPage:
    """Runs, no more than were asked for, and the cursor (`RunQuery.after`) of those that follow; None if there are none."""

    runs: tuple[RunRecord, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What to change of a run; None leaves it, `config` and `facts` are merged key by key; a fact that is None is taken away.

    The state `running` takes the run's end away: it goes on.

    With `edit` this is what a person wants of a run that is there: its name, project, tags, notes, group and job type, once edited, are
    left alone by what comes without it.
    """

    name: str | None = None
    project: str | None = None
    state: str | None = None
    ended: float | None = None
    heartbeat: float | None = None
    config: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    edit: bool = False


class Store(Protocol):
    """Append bytes at an offset, update run facts, read series.

    Paths are relative to the run's folder, with `/`: `files/<root>/<source>/<name>` or `own/<source>/<name>`, and `code/…`,
    `git/…`, `saved/…` and `requirements.txt` for files that are put.
    """

    def create(self, run: RunRecord) -> None:
        """Make the run known; harmless when it is already."""

    def update(self, run: str, facts: Facts) -> None:
        """Change facts of the run. Raises `RunNotFound`."""

    def append(
        self, run: str, path: str, offset: int, data: bytes, *, final: bool = False
    ) -> Appended | OffsetMismatch:
        """Add bytes to a file, all or nothing, and index the complete records, in one transaction.

        Only whole, verified records are taken from an event file. `final` says that bytes which fail verification will not
        get better: they are kept in place, counted and passed over if verified records follow them.
        """

    def append_all(
        self, run: str, appends: Sequence[Append]
    ) -> Sequence[Appended | OffsetMismatch | StoreError]:
        """Append to several files, none of them twice, in one transaction; return the answers in the same order.

        A file that cannot take its bytes is answered with the error, and the others are appended to. Raises `StoreError`,
        or what else went wrong, when nothing was appended.
        """

    def put(self, run: str, path: str, data: bytes | Path) -> int:
        """Make `data`, or a copy of the file that it names, the whole content of a file, and return its size.

        The file is replaced at once: readers see the old content or the new, also after a crash. It may stand where whole
        files do, or beside event files (`files/…`), but be no event file. Doing it again is harmless. Raises `RunNotFound`,
        `StoreError` when the file cannot be written, and `OSError` when the one that is to be copied cannot be read.
        """

    def size(self, run: str, path: str) -> int:
        """Return how many bytes of the file are recorded (0 for a file never seen)."""

    def read(self, run: str, path: str, start: int, stop: int) -> bytes:
        """Return recorded bytes [start, stop)."""

    def describe(self, run: str, *files: FileRecord) -> None:
        """Note what became of files' sources (`source_path`, `source_size`, `state`, `why`); bytes are not touched."""

    def run(self, run: str) -> RunRecord:
        """Return one run. Raises `RunNotFound`."""

    def runs(self, query: RunQuery) -> Sequence[RunRecord]:
        """Return matching runs, newest first or by `query.order`. Raises `QueryError`."""

    def trash(self, run: str) -> None:
        """Put a run into the trash: it is listed no more, but goes on to be what it was. Raises `RunNotFound`."""

    def restore(self, run: str) -> None:
        """Take a run out of the trash; harmless when it is not there. Raises `RunNotFound`."""

    def files(self, run: str) -> Sequence[FileRecord]:
        """Return the run's files, by path."""

    def series(self, run: str) -> Sequence[SeriesRecord]:
        """Return the run's series, by root, source and tag."""

    def points(
        self,
        run: str,
        root: str,
        source: str,
        tag: str,
        *,
        step_range: tuple[int, int] | None = None,
        pixels: int | None = None,
    ) -> Points:
        """Return the points that count (restarts resolved), in step order.

        With `pixels`, at most first, min, max and last of each of that many equal buckets of the step range: no spike is
        lost. Raises `SeriesNotFound`.
        """

    def summaries(self, run: str, root: str, source: str, tag: str) -> Sequence[SummaryRecord]:
        """Return where the bytes of images, histograms and the like are: those that count, in step order.

        Raises `SeriesNotFound`.
        """

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """Return a new mark and the ids of the runs that changed after mark `since` (0: all)."""

    def close(self) -> None:
        """Close what is open; what is called next opens it again."""
