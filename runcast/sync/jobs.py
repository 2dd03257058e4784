"""Many runs at once, in processes of their own.

Each process opens the store for itself and takes one run after the other. Nothing is shared but the store, so a process that is
killed costs nothing but time: its run goes on where it got to.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from runcast.sync.lanes import LANES, Lanes
from runcast.sync.locations.archive import Tar, Zip
from runcast.sync.locations.bucket import Bucket
from runcast.sync.locations.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager
    from multiprocessing.context import BaseContext

    from runcast.sync.plan import Planned
    from runcast.sync.stores import Destination
    from runcast.sync.transfer import Brought, Terms

__all__ = ["bring_all", "fitting_jobs", "grouped", "is_archived"]

WORTH = 4 << 20
"""Bytes from which on another process brings more than it costs to start."""

WORTH_IN_BUCKET = 64 << 20
"""The same of what is in a bucket: a process that reads one is not a copy of this one, and imports everything anew."""

TOLD = 0.1
"""Seconds between two words of a process about how far it is."""

MOST_RUNS, MOST_BYTES = 16, 8 << 20
"""Runs, and their bytes, that share transactions."""

GROUPS = 2 * LANES
"""Groups of runs that a process takes at once, where it has lanes: the last of them have nothing that is fetched beside them."""

MOST_CRASHES = 3
"""Times that processes may be killed before the rest is brought without them."""

Moved = tuple[int, int]


def fitting_jobs(runs: Sequence[Planned], wanted: int | None = None) -> int:
    """Return how many processes bring these runs best: as many as are wanted, no more than there are runs; 1 means this one."""
    if any(is_archived(run) for run in runs):
        return 1  # each process would unpack the archive for itself
    if wanted is None:
        size = sum(run.size for run in runs)
        worth = WORTH if _are_in_folders(runs) else WORTH_IN_BUCKET
        wanted = min(_cores(), 1 + size // worth)
    return max(1, min(wanted, len(runs)))


def is_archived(run: Planned) -> bool:
    """Say whether any file of a run is in an archive."""
    return _is_in(run, Zip, Tar)


def bring_all(
    runs: Sequence[Planned], to: Destination, terms: Terms, moved: Callable[[int, int], None], jobs: int
) -> Generator[Brought]:
    """Yield what became of each run, as they are done. `moved` is called as by `bring`, on this thread or another.

    Raises `StoreError` where the store cannot be used at all. Closing the iterator ends the processes.
    """
    if jobs == 1:
        yield from _bring_here(runs, to, terms, moved)
        return
    left = {run.key: run for run in runs}
    for _ in range(MOST_CRASHES):
        pool = _Pool(to, terms, jobs, _context(runs), moved, _fitting_lanes(runs))
        try:
            for brought in pool.bring(list(left.values())):
                del left[brought.key]
                yield brought
        except BrokenProcessPool:
            continue  # one was killed
        finally:
            pool.close()
        return
    yield from _bring_here(list(left.values()), to, terms, moved)


def _bring_here(
    runs: Sequence[Planned], to: Destination, terms: Terms, moved: Callable[[int, int], None]
) -> Iterator[Brought]:
    with Lanes(to, terms, moved, threading.Lock(), _fitting_lanes(runs)) as lanes:
        yield from lanes.bring(grouped(runs))


def grouped(runs: Sequence[Planned], most: int = MOST_RUNS) -> Iterator[list[Planned]]:
    """Yield runs that share transactions: small ones, so many at most."""
    several: list[Planned] = []
    size = 0
    for run in runs:
        if several and (size + run.size > MOST_BYTES or len(several) == most):
            yield several
            several, size = [], 0
        several.append(run)
        size += run.size
    if several:
        yield several


class _Pool:
    """Processes at work; what they move is told by one queue."""

    def __init__(
        self,
        to: Destination,
        terms: Terms,
        jobs: int,
        context: BaseContext,
        moved: Callable[[int, int], None],
        lanes: int,
    ) -> None:
        self._told = context.SimpleQueue()
        self._moved = moved
        self._jobs = jobs
        self._lanes = lanes
        begun_with = (to, terms, self._told, context.Lock(), lanes)
        self._executor = ProcessPoolExecutor(jobs, context, _begin, begun_with)
        self._listener = threading.Thread(target=self._listen, name="progress", daemon=True)
        self._listener.start()

    def bring(self, runs: Sequence[Planned]) -> Iterator[Brought]:
        """Yield what became of each. Raises `BrokenProcessPool`."""
        groups = list(grouped(runs))
        size = 1 if self._lanes == 1 else GROUPS
        waiting = [groups[at : at + size] for at in range(0, len(groups), size)][::-1]
        at_work: set[Future[list[Brought]]] = set()
        while waiting or at_work:
            while waiting and len(at_work) < 2 * self._jobs:
                at_work.add(self._executor.submit(_bring, waiting.pop()))
            done, at_work = wait(at_work, return_when=FIRST_COMPLETED)
            for each in done:
                yield from each.result()

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._told.put(None)
        self._listener.join()

    def _listen(self) -> None:
        while (said := self._told.get()) is not None:
            self._moved(*said)


class _Worker:
    """What one process has: its lanes, and what it has not told yet."""

    lanes: Lanes
    told: Any
    bytes = events = 0
    last = 0.0

    def moved(self, size: int, events: int) -> None:
        self.bytes += size
        self.events += events
        if time.monotonic() - self.last >= TOLD:
            self.tell()

    def tell(self) -> None:
        if self.bytes or self.events:
            self.told.put((self.bytes, self.events))
        self.bytes = self.events = 0
        self.last = time.monotonic()


_worker = _Worker()


def _begin(
    to: Destination, terms: Terms, told: Any, turns: AbstractContextManager[object], lanes: int
) -> None:
    _worker.told = told
    _worker.lanes = Lanes(to, terms, _worker.moved, turns, lanes)


def _bring(groups: list[list[Planned]]) -> list[Brought]:
    try:
        return list(_worker.lanes.bring(groups))
    finally:
        _worker.tell()


def _fitting_lanes(runs: Sequence[Planned]) -> int:
    """Return how many groups are brought at once in each process: several where their bytes take a while to come.

    An archive can be read by one thread at a time.
    """
    return LANES if any(_is_in(run, Bucket) for run in runs) and not any(map(is_archived, runs)) else 1


def _is_in(run: Planned, *kinds: type) -> bool:
    """Whether any file of a run is in such a place."""
    return any(isinstance(member.location, kinds) for member in (*run.events, *run.whole))


def _context(runs: Sequence[Planned]) -> BaseContext:
    """Return how processes are started: copies of this one where that is safe, since nothing has to be imported anew then."""
    if sys.platform == "linux" and _are_in_folders(runs) and threading.active_count() == 1:
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


def _are_in_folders(runs: Sequence[Planned]) -> bool:
    return all(isinstance(each.location, Folder) for run in runs for each in (*run.events, *run.whole))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
