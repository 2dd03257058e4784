"""Many scalar events at once, as columns.

Records of one length are gathered into the rows of a matrix and matched against the `Shape`s known for that length. What matches is
proven to decode as protobuf would decode it, and its checksum is computed by columns. Events that share their other bytes with too few
are taken apart field by field (`fields.py`); everything else is left to protobuf.

What makes it fast: a record costs one copy into its row and a tenth of a microsecond of columns, whatever its tag, and templates
are learned from what was read anyway, never by decoding an event again.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from runcast.events.fields import FEW, FieldReader
from runcast.events.framing import HEADER
from runcast.events.layout import layout_of
from runcast.events.shape import Shape, first_of_each, row_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runcast.events.fields import Values
    from runcast.events.framing import Chain
    from runcast.events.shape import Rows

    Ordinals = NDArray[np.intp]

__all__ = ["NOT_READ", "Columns", "ScalarReader", "Several", "TagTable"]

NOT_READ = -1
"""The tag of a record that has to be read another way."""

SEVERAL = -2
"""The tag of a record that has several points."""

_SHORTEST = 20
_LONGEST = 255

_SAMPLE = 2048
"""Records from which templates are learned first, where many are left: what repeats among them is not taken apart each time."""

_STRETCH = 256
"""The sample is taken in stretches of so many records, since tags that take turns would not show in every tenth record."""

_REPEATS = 4
"""Templates are worth learning once their tags have been read field by field so often, on average."""


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
    """One row a record of a chain; `tag` is less than 0 (and the rest of the row means nothing) where it is not one point."""

    tag: NDArray[np.int32]
    step: NDArray[np.int64]
    wall_time: NDArray[np.float64]
    value: NDArray[np.float64]

    def at(self, rows: NDArray[np.intp] | slice) -> Columns:
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


class Several(NamedTuple):
    """The points of records that have several: the record's place in the chain, ascending, and a row for each point."""

    ordinals: NDArray[np.intp]
    columns: Columns

    @staticmethod
    def joined(parts: Sequence[Several]) -> Several:
        """Return the points of all parts, which have no record in common."""
        if not parts:
            return _NONE
        if len(parts) == 1:
            return parts[0]
        ordinals = np.concatenate([part.ordinals for part in parts])
        in_order = np.argsort(ordinals, kind="stable")
        return Several(ordinals[in_order], Columns.joined([part.columns for part in parts]).at(in_order))


_NONE = Several(np.empty(0, np.intp), Columns.joined([]))


class ScalarReader:
    """Reads scalar events by columns, and remembers the templates it learned."""

    def __init__(self, tags: TagTable) -> None:
        _keep_freed_memory()
        self._tags = tags
        self._fields = FieldReader(tags)
        self._shapes: dict[int, list[Shape]] = {}
        self._times_read = np.zeros(0, np.intp)  # field by field, for each tag
        self.templates = 0

    def read(self, view: memoryview, chain: Chain) -> tuple[Columns, Several]:
        """Read what can be read by columns: those records are verified, payload checksum included.

        The records of `Several` have more than one point; in the columns their tag is `SEVERAL`.
        """
        count = len(chain.position)
        columns = Columns(
            np.full(count, NOT_READ, np.int32), np.zeros(count, np.int64), np.zeros(count), np.zeros(count)
        )
        self._match(view, chain, None, columns)
        left = np.flatnonzero(columns.tag == NOT_READ)
        several = []
        if len(left) > 2 * _SAMPLE:
            several.append(self._read_fields(view, chain, left[_sample(len(left))], columns))
            left = left[columns.tag[left] == NOT_READ]
            self._match(view, chain, left, columns)
            left = left[columns.tag[left] == NOT_READ]
        if len(left) >= FEW:
            several.append(self._read_fields(view, chain, left, columns))
        return columns, Several.joined(several)

    def _match(self, view: memoryview, chain: Chain, ordinals: Ordinals | None, columns: Columns) -> None:
        """Read those of the records (None: of all) that match what was learned."""
        length = chain.length if ordinals is None else chain.length[ordinals]
        short = np.where(length <= _LONGEST, length, 0).astype(np.uint8)
        by_length = np.argsort(short, kind="stable")
        if ordinals is not None:
            by_length = ordinals[by_length]
        counts = np.bincount(short, minlength=_LONGEST + 1)
        ends = np.cumsum(counts)
        for size in np.flatnonzero(counts).tolist():
            if size in self._shapes:
                of_size = by_length[ends[size] - counts[size] : ends[size]]
                rows = _gather(view, chain.position[of_size] + HEADER, size)
                self._match_rows(rows, of_size, self._shapes[size], columns)

    def _match_rows(self, rows: Rows, ordinals: Ordinals, shapes: list[Shape], columns: Columns) -> None:
        for shape in tuple(shapes):
            before = len(rows)
            rows, ordinals = _take(shape, rows, ordinals, columns)
            if len(rows) < before and shape is not shapes[0]:
                shapes.remove(shape)  # the most recently used comes first
                shapes.insert(0, shape)

    def _read_fields(self, view: memoryview, chain: Chain, left: Ordinals, columns: Columns) -> Several:
        """Read records field by field: those of one point go into the columns, and templates are learned from them."""
        values = self._fields.read(view, chain.position[left] + HEADER, chain.length[left])
        values = values._replace(event=left[values.event])
        alone = np.bincount(values.event, minlength=1)[values.event] == 1
        single, others = values.at(alone), values.at(~alone)
        columns.tag[single.event] = single.tag
        columns.step[single.event] = single.step
        columns.wall_time[single.event] = single.wall_time
        columns.value[single.event] = single.value
        columns.tag[others.event] = SEVERAL
        self._learn(view, chain, single)
        return Several(others.event, Columns(others.tag, others.step, others.wall_time, others.value))

    def _learn(self, view: memoryview, chain: Chain, points: Values) -> None:
        """Learn from points of tags that repeat; each of them is all that its record holds."""
        times = np.bincount(points.tag, minlength=len(self._tags.names))
        times[: len(self._times_read)] += self._times_read
        self._times_read = times
        length = chain.length[points.event]
        layout = length << 40 | points.step_size << 32 | points.ending
        by_layout = np.argsort(layout, kind="stable")
        bounds = np.flatnonzero(np.diff(layout[by_layout], prepend=-1, append=-1))
        for start, stop in pairwise(bounds.tolist()):
            same = by_layout[start:stop]
            size = int(length[same[0]])
            tag = points.tag[same]
            firsts = first_of_each(tag)
            if _SHORTEST <= size <= _LONGEST and times[tag[firsts]].mean() >= _REPEATS:
                rows = _gather(view, chain.position[points.event[same[firsts]]] + HEADER, size)
                self._learn_rows(rows, size, tag[firsts])

    def _learn_rows(self, rows: Rows, length: int, tags: NDArray[np.int32]) -> None:
        """Learn templates of one layout from a row each."""
        layout = layout_of(rows[0, :length].tobytes())
        if layout is None:
            return
        shapes = self._shapes.setdefault(length, [])
        same = [shape for shape in shapes if shape.layout == layout]
        blank = Shape(layout, seed=len(same))
        news = dict(enumerate(tags.tolist()))
        for shape in [*same, blank]:
            if news:
                for row in shape.learn(rows, news):
                    del news[row]
                    self.templates += 1
        if len(blank):
            shapes.insert(0, blank)


def _sample(count: int) -> Ordinals:
    """Return a sample of `count` things, in order: stretches from everywhere, since a new layout may begin anywhere."""
    starts = np.linspace(0, count - _STRETCH, _SAMPLE // _STRETCH).astype(np.intp)
    return (starts[:, None] + np.arange(_STRETCH)).ravel()


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
