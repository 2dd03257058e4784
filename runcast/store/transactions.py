"""Transactions that change runs, and what one process remembers of runs from one to the next."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func

from runcast.errors import RunNotFound
from runcast.store import journal, schema
from runcast.store.change import Change
from runcast.store.memory import Memories, RunMemory
from runcast.store.metrics import write_metrics
from runcast.store.rows import Rows
from runcast.store.types import Real

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runcast.store.database import Database
    from runcast.store.places import RunFiles

__all__ = ["MEMORY", "Transactions", "not_found"]

MEMORY = 64 << 20
"""Bytes of what is remembered of runs: some thousand of 20 series each, or one of 50,000."""

_pulse = schema.pulse.c
_TOUCH = (
    schema.pulse.update()
    .where(_pulse.run.in_(bindparam("several", expanding=True)))
    .values(
        change=bindparam("new_change"),
        heartbeat=func.coalesce(bindparam("alive", type_=Real), _pulse.heartbeat),
    )
)


class Transactions:
    """Opens transactions that change runs; thread-safe: threads take turns.

    What was written of a run is remembered, and read again when anyone else has changed the run, or a transaction failed.
    `memory` is how many bytes that may take; `clock` tells the time of what is journaled.
    """

    def __init__(self, files: RunFiles, database: Database, clock: Callable[[], float], memory: int) -> None:
        self.lock = threading.RLock()
        """Whose turn it is."""
        self._files = files
        self._database = database
        self._clock = clock
        self._memories = Memories(memory)

    @contextmanager
    def changing(self, run: str, *, alive: float | None = None) -> Iterator[Change]:
        """Open a transaction that changes the run, whose heartbeat was `alive`. Raises `RunNotFound`."""
        with self.changing_several([run], alive=alive) as changes:
            if run not in changes:
                raise not_found(run)
            yield changes[run]

    @contextmanager
    def changing_several(
        self, runs: Sequence[str], *, alive: float | None = None
    ) -> Iterator[Mapping[str, Change]]:
        """Open a transaction that changes runs; those that are not there are left out."""
        with self.lock:
            memories = {run: self._memories.take(run) for run in runs}
            with self._database.change(runs) as (connection, locked):
                rows = Rows(connection)
                for run, mark in locked.marks.items():
                    memories[run].hold(mark)
                changes = {run: Change(rows, run, memories[run]) for run in locked.marks}
                yield changes
                rows.flush()
                for run, new in rows.numbered.items():
                    self._files.journal(connection, run, journal.numbered(*new, self._clock()))
                write_metrics(connection, rows.touched, memories)
                if changes:
                    touch = {"several": list(changes), "new_change": locked.mark, "alive": alive}
                    connection.execute(_TOUCH, touch)
            for run in changes:  # committed: it holds
                memories[run].mark = locked.mark
                self._memories.keep(run, memories[run])

    def made(self, run: str, mark: int) -> None:
        """Take note that a run was just made, and given this mark: there is nothing of it that would have to be read."""
        with self.lock:
            self._memories.take(run)
            self._memories.keep(run, RunMemory.of_new(mark))

    def remembered(self, run: str) -> RunMemory | None:
        """Return what is remembered of a run, to be looked at; somebody else may have changed it since. The caller has the lock."""
        return self._memories.of(run)

    def forget(self, run: str) -> None:
        """Forget a run."""
        with self.lock:
            self._memories.take(run)


def not_found(run: str) -> RunNotFound:
    """Return the error that says so."""
    return RunNotFound(f"there is no run {run!r} in this store: `runcast runs` lists those that are")
