"""A part's points as chunks in file order.

An append writes a small chunk. Small chunks are merged as a counter of base `BASE` carries: when there are that many at the end
of which none has more digits than the newest. One that holds `SEALED` points is never touched again. So most appends read
nothing, a point is rewritten some log8(SEALED) times, and a series of a million points has some 270 chunks at most.

A chunk's bounds are over its points that no later point *of its file* supersedes. The chunks' ranges of such steps are
disjoint and rising, so a step that goes back touches at most one of them and empties those after it; and the bounds of a part,
or of what other files leave of it, follow from its chunks', with at most one of them decoded.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from runcast.events.restarts import counting
from runcast.store import schema
from runcast.store.bounds import Bounds
from runcast.store.columns import Columns, decode, encode
from runcast.store.rows import ADD_CHUNK, DROP_CHUNKS
from runcast.store.supersession import standing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from runcast.store.memory import PartMemory
    from runcast.store.rows import Rows

__all__ = ["HEAD", "SEALED", "Chunks", "groups", "left_in_chunk"]

SEALED = 4096
BASE = 8
_VARIABLES = 500  # in one statement

_chunk = schema.chunk.c
_of_parts = (
    _chunk.run == bindparam("of_run"),
    _chunk.series.in_(bindparam("several", expanding=True)),
    _chunk.file == bindparam("of_file"),
)
_SMALL = select(_chunk.series, _chunk.seq, _chunk.points).where(
    *_of_parts, _chunk.points < bindparam("sealed")
)
_FROM_SEQ = (
    select(_chunk.series, _chunk.columns)
    .where(*_of_parts, _chunk.seq >= bindparam("from_seq"))
    .order_by(_chunk.seq)
)

HEAD = [column for column in schema.chunk.c if column.name not in {"run", "columns"}]
"""All of a chunk but its run and its points."""


class Chunks:
    """The chunks of one file of a run, within one transaction."""

    def __init__(self, connection: Connection, run: str, file: int) -> None:
        self._connection = connection
        self._run = run
        self._file = file

    def append(
        self,
        rows: Rows,
        arrivals: Mapping[int, Columns],
        fresh: Mapping[int, Bounds],
        parts: Mapping[int, PartMemory],
    ) -> None:
        """Store points by series, given their bounds and the file's parts, whose `next_seq` and `tail` it moves on."""
        self._read_tails({series: parts[series] for series in arrivals if parts[series].tail is None})
        merged_from = {}
        for series, columns in arrivals.items():
            part = parts[series]
            if merging := _merging(part.tail or [], len(columns.step)):
                merged_from[series] = part.next_seq - merging
        merged = self._take(rows, merged_from)
        for series, columns in arrivals.items():
            part = parts[series]
            part.next_seq = merged_from.get(series, part.next_seq)
            tail = (part.tail or [])[: -len(merged[series]) or None]
            whole = Columns.joined([*merged[series], columns])
            counts = None if whole is columns else counting(whole.step)
            for at in range(0, len(whole.step), SEALED):
                piece, bounds = whole, fresh[series]
                if counts is not None or len(whole.step) > SEALED:
                    counts = counting(whole.step) if counts is None else counts
                    piece = whole.rows(slice(at, at + SEALED))
                    bounds = Bounds.of(piece.rows(counts[at : at + SEALED]))
                row = {"run": self._run, "series": series, "file": self._file, "seq": part.next_seq}
                row |= {"points": len(piece.step), **bounds.to_row(), "columns": encode(piece)}
                rows.add(ADD_CHUNK, [row])
                part.next_seq += 1
                tail = [*tail, len(piece.step)] if len(piece.step) < SEALED else []
            part.tail = tail

    def supersede(self, series: int, lowest: int) -> None:
        """Take note that the file's stored points of the series at and after the step `lowest` do not count any more."""
        mine = (_chunk.run == self._run, _chunk.series == series, _chunk.file == self._file)
        hit = select(*HEAD).where(*mine, _chunk.count > 0, _chunk.last_step >= lowest)
        for head in self._connection.execute(hit).all():
            left = Bounds()
            if head.first_step < lowest:
                left = Bounds.of(left_in_chunk(self._read(head), lowest - 1))
            self._connection.execute(
                schema.chunk.update().where(*mine, _chunk.seq == head.seq).values(**left.to_row())
            )

    def bounds_left(self, head: Any, cut_at: int | None, purges: Sequence[tuple[int, float]]) -> Bounds:
        """Return the bounds over what other files and session starts leave of a chunk, given its `HEAD` row."""
        if not purges and (cut_at is None or head.last_step < cut_at):
            return Bounds.from_row(head)
        if cut_at is not None and head.first_step >= cut_at:
            return Bounds()
        return Bounds.of(left_in_chunk(self._read(head), head.last_step, cut_at, purges))

    def _read(self, head: Any) -> Columns:
        blob: bytes = self._connection.execute(
            select(_chunk.columns).where(
                _chunk.run == self._run,
                _chunk.series == head.series,
                _chunk.file == self._file,
                _chunk.seq == head.seq,
            )
        ).scalar_one()
        return decode(blob)

    def _read_tails(self, parts: Mapping[int, PartMemory]) -> None:
        """Find out how many points the last chunks of each part have, back to the last sealed one."""
        small: defaultdict[int, dict[int, int]] = defaultdict(dict)
        for group in groups(list(parts)):
            wanted = {"of_run": self._run, "several": group, "of_file": self._file, "sealed": SEALED}
            for row in self._connection.execute(_SMALL, wanted):
                small[row.series][row.seq] = row.points
        for series, part in parts.items():
            seq = part.next_seq
            while seq - 1 in small[series]:
                seq -= 1
            part.tail = [small[series][each] for each in range(seq, part.next_seq)]

    def _take(self, rows: Rows, merged_from: Mapping[int, int]) -> defaultdict[int, list[Columns]]:
        """Remove the chunks from a number on, by series, and return their points."""
        taken = defaultdict(list)
        alike = defaultdict(list)  # tags that are logged together merge together
        for series, seq in merged_from.items():
            alike[seq].append(series)
        for seq, several in alike.items():
            for group in groups(several):
                wanted = {"of_run": self._run, "several": group, "of_file": self._file, "from_seq": seq}
                for row in self._connection.execute(_FROM_SEQ, wanted):
                    taken[row.series].append(decode(row.columns))
        of = {"of_run": self._run, "of_file": self._file}
        rows.add(
            DROP_CHUNKS, [{**of, "of_series": series, "from_seq": seq} for series, seq in merged_from.items()]
        )
        return taken


def _merging(tail: Sequence[int], points: int) -> int:
    """Return how many chunks of a tail are to be merged with an arrival of so many points."""
    merging = 0
    while True:
        low = merging
        while low < len(tail) and _digits(tail[-low - 1]) <= _digits(points):
            low += 1
        if low - merging < BASE - 1:
            return merging
        points += sum(tail[len(tail) - low : len(tail) - merging])
        merging = low


def _digits(points: int) -> int:
    """Return how many digits a number has in base 8."""
    return (points.bit_length() + 2) // 3


def left_in_chunk(
    columns: Columns, last_step: int, cut_at: int | None = None, purges: Sequence[tuple[int, float]] = ()
) -> Columns:
    """Return a chunk's points that count; `last_step` is the last that its own file leaves standing."""
    stands = counting(columns.step)
    stands &= columns.step <= last_step
    if cut_at is not None or purges:
        stands &= standing(columns, cut_at, purges)
    return columns if stands.all() else columns.rows(stands)


def groups(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut a list into pieces that fit into one statement's variables."""
    for at in range(0, len(items), _VARIABLES):
        yield items[at : at + _VARIABLES]
