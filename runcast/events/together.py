"""Small stretches of many files, decoded as one: what a recorder of hundreds of growing files, and a server of as many runs, read.

Whole records need no file around them. So stretches that end where a record ends are put one behind the other and read by columns,
which costs a tenth of a microsecond a record where reading each file's few costs ten; then every file gets its rows back. Whatever
is not a plain scalar, or not whole, or not verified is left to be decoded on its own.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from runcast.events.batch import Batch, Scalars
from runcast.events.framing import OVERHEAD, follow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runcast.events.framing import Chain
    from runcast.events.scalars import Columns, ScalarReader

__all__ = ["Stretch", "decode_plain"]

Stretch = tuple[bytes | memoryview, int]
"""Bytes of an event file, and the file offset at which they begin: a record boundary."""


def decode_plain(
    stretches: Sequence[Stretch], reader: ScalarReader, names: Sequence[str]
) -> list[Batch | None]:
    """Return the batch of each stretch that is nothing but whole, verified records of one scalar point each; None for the others.

    `names` are the tags by the reader's numbers.
    """
    view = memoryview(b"".join([data for data, _ in stretches]))
    starts = np.fromiter(
        accumulate((len(data) for data, _ in stretches), initial=0), np.int64, len(stretches) + 1
    )
    chain = follow(view, 0, len(view))
    columns, _ = reader.read(view, chain)
    first = np.searchsorted(chain.position, starts)
    # A stretch begins and ends at a boundary of the chain: at one of its records, or where it stops.
    boundary = np.append(chain.position, chain.stop)[np.minimum(first, len(chain.position))] == starts
    points = np.append(0, np.cumsum(columns.tag >= 0))[first]
    plain = boundary[:-1] & boundary[1:] & (np.diff(points) == np.diff(first))
    rows = _Rows(stretches, starts, chain, columns, names)
    return [
        rows.batch(number, start, stop) if good else None
        for number, (good, (start, stop)) in enumerate(
            zip(plain.tolist(), pairwise(first.tolist()), strict=True)
        )
    ]


class _Rows:
    """The columns of the whole chain, to be dealt out."""

    def __init__(
        self,
        stretches: Sequence[Stretch],
        starts: NDArray[np.int64],
        chain: Chain,
        columns: Columns,
        names: Sequence[str],
    ) -> None:
        self._stretches = stretches
        self._columns = columns
        offsets = np.array([offset for _, offset in stretches], np.int64) - starts[:-1]
        stretch = np.searchsorted(starts, chain.position, side="right") - 1
        self._spans = np.stack((chain.position + offsets[stretch], chain.length + OVERHEAD), axis=1)
        used = np.unique(columns.tag)
        ordered = sorted((number for number in used.tolist() if number >= 0), key=names.__getitem__)
        self._names = [names[number] for number in ordered]
        # Each stretch numbers the tags that occur in it, by name: every (stretch, tag) has its place among all of them.
        rank = np.zeros(len(used), np.int64)
        rank[np.searchsorted(used, ordered)] = np.arange(len(ordered))
        key = stretch * max(1, len(ordered)) + rank[np.searchsorted(used, columns.tag)]
        distinct, place = np.unique(key, return_inverse=True)
        firsts = np.searchsorted(distinct, np.arange(len(stretches) + 1) * max(1, len(ordered)))
        self._tag = (place - firsts[stretch]).astype(np.int32)
        self._tags = (distinct % max(1, len(ordered))).tolist()
        self._firsts = firsts.tolist()

    def batch(self, number: int, start: int, stop: int) -> Batch:
        """Return what rows [start, stop) are of stretch `number`."""
        data, offset = self._stretches[number]
        tags = self._tags[self._firsts[number] : self._firsts[number + 1]]
        _, step, wall_time, value = self._columns
        scalars = Scalars(
            tuple([self._names[tag] for tag in tags]),
            self._tag[start:stop],
            step[start:stop],
            wall_time[start:stop],
            value[start:stop],
        )
        return Batch(offset, offset + len(data), stop - start, scalars, self._spans[start:stop])
