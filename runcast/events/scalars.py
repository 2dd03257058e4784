"""Many scalar events at once, as columns.

Records of one length are gathered into the rows of a matrix and matched against the `Shape`s known for that length. What matches is
proven to decode as protobuf would decode it, and its checksum is computed by columns; everything else is left to protobuf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runcast.events.framing import HEADER
from runcast.events.layout import layout_of
from runcast.events.meaning import NotAnEventError, read_event
from runcast.events.shape import Shape, row_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runcast.events.framing import Chain
    from runcast.events.layout import Layout
    from runcast.events.shape import Rows

    Ordinals = NDArray[np.intp]

__all__ = ["NOT_READ", "Columns", "ScalarReader", "TagTable"]

NOT_READ = -1
"""The tag of a record that has to be read another way."""

_SHORTEST = 20
_LONGEST = 255

_MOST_STRANGERS = 64
"""So many records of one length and of no known form, and the rest of that length is left to protobuf."""


class TagTable:
    """Numbers for tags, in order of appearance."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, tag: str) -> int:
        """Return the tag's number, a new one for a new tag."""
        number = self._numbers.setdefault(tag, len(self.names))
        if number == len(self.names):
            self.names.append(tag)
        return number


class Columns(NamedTuple):
    """One row a record of a chain; `tag` is `NOT_READ` (and the rest of the row means nothing) where it was not read."""

    tag: NDArray[np.int32]
    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    value: NDArray[np.float64]

    def at(self, rows: NDArray[np.intp]) -> Columns:
        """Return these rows."""
        return Columns(self.tag[rows], self.step[rows], self.wall_time[rows], self.value[rows])

    @staticmethod
    def joined(parts: Sequence[Columns]) -> Columns:
        """Return the rows of all parts."""
        if len(parts) == 1:
            return parts[0]
        none = np.empty(0)
        return Columns(
            np.concatenate([none.astype(np.int32), *(part.tag for part in parts)]),
            np.concatenate([none.astype(np.int64), *(part.step for part in parts)]),
            np.concatenate([none, *(part.wall_time for part in parts)]),
            np.concatenate([none, *(part.value for part in parts)]),
        )


class ScalarReader:
    """Reads single scalar events by columns, and remembers the templates it learned."""

    def __init__(self, tags: TagTable) -> None:
        _keep_freed_memory()
        self._tags = tags
        self._shapes: dict[int, list[Shape]] = {}
        self.templates = 0

    def read(self, view: memoryview, chain: Chain) -> Columns:
        """Read what can be read by columns: those records are verified, payload checksum included."""
        count = len(chain.position)
        columns = Columns(
            np.full(count, NOT_READ, np.int32), np.zeros(count, np.int64), np.zeros(count), np.zeros(count)
        )
        short = np.where(chain.length <= _LONGEST, chain.length, 0).astype(np.uint8)
        by_length = np.argsort(short, kind="stable")
        counts = np.bincount(short, minlength=_LONGEST + 1)
        ends = np.cumsum(counts)
        for length in np.flatnonzero(counts).tolist():
            if length >= _SHORTEST:
                ordinals = by_length[ends[length] - counts[length] : ends[length]]
                rows = _gather(view, chain.position[ordinals] + HEADER, length)
                self._read_rows(rows, ordinals, length, columns)
        return columns

    def _read_rows(self, rows: Rows, ordinals: Ordinals, length: int, columns: Columns) -> None:
        shapes = self._shapes.setdefault(length, [])
        for shape in tuple(shapes):
            before = len(rows)
            rows, ordinals = _take(shape, rows, ordinals, columns)
            if len(rows) < before and shape is not shapes[0]:
                shapes.remove(shape)  # the most recently used comes first
                shapes.insert(0, shape)
        for _ in range(_MOST_STRANGERS):
            if not len(rows):
                return
            before = len(rows)
            for shape in self._learn(rows, length):
                rows, ordinals = _take(shape, rows, ordinals, columns)
            if len(rows) == before:
                rows, ordinals = rows[1:], ordinals[1:]

    def _learn(self, rows: Rows, length: int) -> list[Shape]:
        """Learn from the first row, and from the others that have its layout; the shapes that know more now."""
        form = _scalar_form(rows[0], length)
        if form is None:
            return []
        layout = form[0]
        shapes = self._shapes[length]
        same = [shape for shape in shapes if shape.layout == layout]
        blank = Shape(layout, seed=len(same))
        firsts = blank.distinct(rows)
        if len(firsts) > max(_MOST_STRANGERS, len(rows) // 2):
            firsts = firsts[:_MOST_STRANGERS]  # tags that hardly repeat are not worth learning all at once
        forms = ((first, _scalar_form(rows[first], length)) for first in firsts.tolist())
        news = {first: self._tags.number(form[1]) for first, form in forms if form and form[0] == layout}
        for shape in [*same, blank]:
            if news:
                for first in shape.learn(rows, news):
                    del news[first]
                    self.templates += 1
        if len(blank):
            shapes.insert(0, blank)
        return [shape for shape in (blank, *same) if len(shape)]


def _keep_freed_memory() -> None:
    """Have the C library keep memory that is freed, instead of giving it back to the system.

    Nearly all arrays here are of some hundred kilobytes and short-lived. glibc takes blocks above a threshold from the system each
    time, and each of their pages costs a fault when it is first touched: a third of the time of reading. It raises the threshold to
    the largest block that it has seen come back. Allocators that work otherwise are not harmed.
    """
    np.empty(31 << 20, np.uint8)


def _gather(view: memoryview, payloads: NDArray[np.int64], length: int) -> Rows:
    """Return the payloads of this length that begin there, with their checksums, as rows."""
    width = row_width(length)
    last = len(view) - width
    overlapping = np.ndarray((last + 1,), f"V{width}", view, 0, (1,))  # so that each row is one copy
    rows: Rows = overlapping[np.minimum(payloads, last)].view(np.uint8).reshape(len(payloads), width)
    if payloads[-1] > last:  # what fills the last row up would lie beyond the end
        rest = np.frombuffer(view, np.uint8, offset=int(payloads[-1]))
        rows[-1, : len(rest)] = rest
    return rows


def _take(shape: Shape, rows: Rows, ordinals: Ordinals, columns: Columns) -> tuple[Rows, Ordinals]:
    """Read the rows that match into the columns, and return the others."""
    if not len(rows):
        return rows, ordinals
    template, matched = shape.match(rows)
    rest = rows[:0], ordinals[:0]
    if matched is not None:
        rest = rows[~matched], ordinals[~matched]
        rows, ordinals = rows[matched], ordinals[matched]
        template = None if template is None else template[matched]
        if not len(rows):
            return rest
    numbers = shape.numbers(rows, template)
    tag = shape.tags(template)
    columns.tag[ordinals] = tag if numbers.verified.all() else np.where(numbers.verified, tag, NOT_READ)
    columns.step[ordinals] = numbers.step
    columns.wall_time[ordinals] = numbers.wall_time
    with np.errstate(invalid="ignore"):  # NumPy warns of a signaling NaN that is widened
        columns.value[ordinals] = numbers.value
    return rest


def _scalar_form(row: NDArray[np.uint8], length: int) -> tuple[Layout, str] | None:
    """Return layout and tag of a row that is one scalar point in a layout that we know, None if it is anything else."""
    payload = row[:length].tobytes()
    layout = layout_of(payload)
    if layout is None:
        return None
    try:
        meaning = read_event(payload)
    except NotAnEventError:
        return None
    if len(meaning.points) != 1 or meaning.summaries:
        return None
    return layout, meaning.points[0][0]
