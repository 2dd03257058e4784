"""A part's points as chunks in file order.

An append writes a small chunk and merges it with the small ones before it, as a binary counter carries: a chunk is merged when
it is no larger than all that follows it, until it holds `SEALED` points and is never touched again. So a point is rewritten
some log2(SEALED) times at most, however small the appends, and a series of a million points has some 250 chunks.

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
from runcast.store.supersession import standing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection

__all__ = ["HEAD", "SEALED", "Chunks", "groups", "left_in_chunk"]

SEALED = 4096
_VARIABLES = 500  # in one statement

_chunk = schema.chunk.c
HEAD = [column for column in schema.chunk.c if column.name not in {"run", "columns"}]
"""All of a chunk but its run and its points."""


class Chunks:
    """The chunks of one file of a run, within one transaction."""

    def __init__(self, connection: Connection, run: str, file: int) -> None:
        self._connection = connection
        self._run = run
        self._file = file

    def append(self, arrivals: Mapping[int, Columns], next_seqs: Mapping[int, int]) -> dict[int, int]:
        """Store points by series, given the number of each one's next chunk (0 where absent); return the new numbers."""
        merged_from = self._merge_from(arrivals, next_seqs)
        merged = self._take(merged_from)
        rows = []
        after = {}
        for series, columns in arrivals.items():
            seq = merged_from.get(series, next_seqs.get(series, 0))
            whole = Columns.joined([*merged[series], columns])
            counts = counting(whole.step)
            for at in range(0, len(whole.step), SEALED):
                piece = whole.rows(slice(at, at + SEALED))
                bounds = Bounds.of(piece.rows(counts[at : at + SEALED]))
                row = {
                    "run": self._run,
                    "series": series,
                    "file": self._file,
                    "seq": seq,
                    "points": len(piece.step),
                }
                rows.append({**row, **bounds.to_row(), "columns": encode(piece)})
                seq += 1
            after[series] = seq
        if rows:
            self._connection.execute(schema.chunk.insert(), rows)
        return after

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

    def _merge_from(self, arrivals: Mapping[int, Columns], next_seqs: Mapping[int, int]) -> dict[int, int]:
        """Return the first chunk of each series that is to be merged with what arrives."""
        small = defaultdict(list)
        for group in groups(list(next_seqs)):
            for row in self._connection.execute(
                select(_chunk.series, _chunk.seq, _chunk.points)
                .where(
                    _chunk.run == self._run,
                    _chunk.series.in_(group),
                    _chunk.file == self._file,
                    _chunk.points < SEALED,
                )
                .order_by(_chunk.seq.desc())
            ):
                small[row.series].append(row)
        merged_from = {}
        for series, columns in arrivals.items():
            total = len(columns.step)
            seq = next_seqs.get(series, 0)
            for row in small[series]:
                if row.seq != seq - 1 or row.points > total:
                    break
                total += row.points
                seq = merged_from[series] = row.seq
        return merged_from

    def _take(self, merged_from: Mapping[int, int]) -> defaultdict[int, list[Columns]]:
        """Remove the chunks from a number on, by series, and return their points."""
        taken = defaultdict(list)
        alike = defaultdict(list)  # tags that are logged together merge together
        for series, seq in merged_from.items():
            alike[seq].append(series)
        for seq, several in alike.items():
            for group in groups(several):
                for row in self._connection.execute(
                    select(_chunk.series, _chunk.columns)
                    .where(
                        _chunk.run == self._run,
                        _chunk.series.in_(group),
                        _chunk.file == self._file,
                        _chunk.seq >= seq,
                    )
                    .order_by(_chunk.seq)
                ):
                    taken[row.series].append(decode(row.columns))
        if merged_from:
            self._connection.execute(
                schema.chunk.delete().where(
                    _chunk.run == self._run,
                    _chunk.series == bindparam("of_series"),
                    _chunk.file == self._file,
                    _chunk.seq >= bindparam("from_seq"),
                ),
                [{"of_series": series, "from_seq": seq} for series, seq in merged_from.items()],
            )
        return taken


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
