"""Several groups of runs at once within one process: while one is decoded and written, the next ones' bytes come.

Decoding and writing take turns anyway, so more than a few lanes would only hold more in memory.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING

from runcast.store.local import LocalStore
from runcast.sync.transfer import bring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from runcast.store.remote import RemoteStore
    from runcast.sync.plan import Planned
    from runcast.sync.stores import Destination
    from runcast.sync.transfer import Brought, Terms

__all__ = ["LANES", "Lanes"]

LANES = 3
"""Groups at once, where bytes take a while to come."""


class _Halted(Exception):
    """Nobody waits for what a lane does any more."""


class Lanes:
    """Brings groups of runs, each on one of a few threads that have a store of their own; close it at the end.

    Stores of one folder write within `turns`. `moved` is called as by `bring`, on any thread, one at a time.
    """

    def __init__(
        self,
        to: Destination,
        terms: Terms,
        moved: Callable[[int, int], None],
        turns: AbstractContextManager[object],
        lanes: int,
    ) -> None:
        self._to = to
        self._terms = terms
        self._moved = moved
        self._turns = turns
        self._lanes = lanes
        self._threads = ThreadPoolExecutor(lanes, "lane")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._opened = ExitStack()
        self._halted = False

    def __enter__(self) -> Lanes:  # noqa: PYI034 - Self is Python 3.11's
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        self._opened.close()

    def bring(self, groups: Iterable[Sequence[Planned]]) -> Iterator[Brought]:
        """Yield what became of each run, as they are done. Raises as `bring` does, and `StoreError` where no store can be opened."""
        if self._lanes == 1:
            for several in groups:
                yield from self._bring(several)
            return
        at_work: set[Future[list[Brought]]] = set()
        waiting = iter(groups)
        try:
            while True:
                for several in islice(waiting, self._lanes + 1 - len(at_work)):
                    at_work.add(self._threads.submit(self._bring, several))
                if not at_work:
                    return
                done, at_work = wait(at_work, return_when=FIRST_COMPLETED)
                for each in done:
                    yield from each.result()
        finally:
            self._halted = bool(at_work)
            for each in at_work:
                each.cancel()

    def _bring(self, several: Sequence[Planned]) -> list[Brought]:
        return bring(several, self._store(), self._terms, self._heed)

    def _store(self) -> LocalStore | RemoteStore:
        """Return this thread's store."""
        known: LocalStore | RemoteStore | None = getattr(self._own, "store", None)
        if known is None:
            known = self._to.open()
            if isinstance(known, LocalStore):
                known.database.turns = self._turns
            self._own.store = known
            with self._lock:
                self._opened.enter_context(known)
        return known

    def _heed(self, size: int, events: int) -> None:
        with self._lock:
            if self._halted:
                raise _Halted
            self._moved(size, events)
