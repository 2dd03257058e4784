"""Runs brought by a cluster's workers: dealt out, tried again where a worker was lost, kept from workers that cannot."""

from __future__ import annotations

import pickle
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runcast.errors import ServerUnreachable, StorageFull, StoreError
from runcast.sync.clusters import Lost
from runcast.sync.clusters.work import Done, Full, Refused, Task, why_unseen
from runcast.sync.jobs import grouped, is_archived
from runcast.sync.transfer import Brought

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Iterator, Sequence

    from runcast.sync.clusters import Answer, Cluster
    from runcast.sync.plan import Planned
    from runcast.sync.stores import Destination
    from runcast.sync.transfer import Terms

__all__ = ["bring_on"]

AHEAD = 2
"""Tasks that are handed out for each that can be done at once, so that no worker waits for the next one."""

MOST_RUNS = 4
"""Runs of a task: what it brought is told when it is done."""

MOST_LOST = 3
"""Times that a task may be lost before its runs are given up."""

LOOK = 1.0
"""Seconds between two looks at how many workers there are."""

NO_WORKERS = 60.0
"""Seconds for which a cluster may be without any worker: some start them when there is work."""


@dataclass(slots=True)
class _Job:
    task: Task
    lost: int = 0


def bring_on(
    cluster: Cluster,
    runs: Sequence[Planned],
    to: Destination,
    terms: Terms,
    moved: Callable[[int, int], None],
    say: Callable[[str], None],
    most: int | None = None,
) -> Generator[Brought]:
    """Yield what became of each run, as they are done; see `bring_all`. The cluster is closed at the end.

    `moved` is called when a task is done, `say` with a line for each worker that can bring nothing. `most` tasks are handed out at
    once. Raises `StoreError` where no worker can, or none is there for `NO_WORKERS` seconds.
    """
    with ExitStack() as stack:
        stack.callback(cluster.close)
        shown = None
        if to.database is not None and to.files is None and to.folder is not None:
            to.open().close()  # the folder is there now
            shown = Path(
                stack.enter_context(tempfile.NamedTemporaryFile(prefix=".sync-", dir=to.folder)).name
            )
        waiting = [_Job(Task(several, to, terms, shown)) for several in _dealt(runs)][::-1]
        yield from _Dealing(cluster, waiting, moved, say, most).bring()


def _dealt(runs: Sequence[Planned]) -> Iterator[Sequence[Planned]]:
    """Yield the runs of each task. An archive's are one: each worker would unpack it for itself."""
    archived: dict[str, list[Planned]] = {}
    others = []
    for run in runs:
        if is_archived(run):
            archived.setdefault((*run.events, *run.whole)[0].location.url, []).append(run)
        else:
            others.append(run)
    yield from archived.values()
    yield from grouped(others, MOST_RUNS)


class _Dealing:
    """What is handed out, and what came of it."""

    def __init__(
        self,
        cluster: Cluster,
        waiting: list[_Job],
        moved: Callable[[int, int], None],
        say: Callable[[str], None],
        most: int | None,
    ) -> None:
        self._cluster = cluster
        self._waiting = waiting
        self._moved = moved
        self._say = say
        self._most = most
        self._at_work: dict[Hashable, _Job] = {}
        self._unfit: set[str] = set()
        self._told: set[str] = set()
        self._seen = time.monotonic()
        self._looked = 0.0
        self._slots = 0

    def bring(self) -> Iterator[Brought]:
        while self._waiting or self._at_work:
            room = AHEAD * self._fit_slots() or 1  # a cluster without workers may start some for what waits
            room = room if self._most is None else min(room, self._most)
            while self._waiting and len(self._at_work) < room:
                job = self._waiting.pop()
                self._at_work[self._cluster.submit(pickle.dumps(job.task), self._unfit)] = job
            for ticket, answer in self._cluster.ended(LOOK):
                job = self._at_work.pop(ticket)
                yield from (
                    self._lost(job, answer.why) if isinstance(answer, Lost) else self._answered(job, answer)
                )

    def _fit_slots(self) -> int:
        """Return how many tasks can be done at once. Raises `StoreError` where there is nobody, or nobody who can."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return self._slots
        self._looked, self._slots = now, self._cluster.slots(self._unfit)
        if self._slots:
            self._seen = now
        elif self._unfit and self._cluster.slots(()):
            raise StoreError(f"none of the workers of {self._cluster} can bring these logs, as said above")
        elif now - self._seen > NO_WORKERS:
            raise ServerUnreachable(f"{self._cluster} has no workers: start some; the same command goes on")
        return self._slots

    def _answered(self, job: _Job, answer: Answer) -> Iterator[Brought]:
        result = Refused(answer.result) if isinstance(answer.result, str) else pickle.loads(answer.result)  # noqa: S301 - see `perform`
        if isinstance(result, Done):
            self._moved(result.bytes, result.events)
            yield from result.brought
        elif isinstance(result, Full):
            raise StorageFull(result.why)
        elif (
            result.logs and why_unseen(job.task.runs) is not None
        ):  # nor does anybody else see them: they are gone
            self._waiting.append(_Job(replace(job.task, unseen=True), job.lost))
        else:
            self._refused(answer, result.why)
            self._waiting.append(job)

    def _refused(self, answer: Answer, why: str) -> None:
        if answer.worker in self._unfit:
            return
        self._unfit.add(answer.worker)
        self._looked = 0.0
        line = f"the worker on {answer.host} brings nothing: {why}"
        if line not in self._told:
            self._told.add(line)
            self._say(line)

    def _lost(self, job: _Job, why: str) -> Iterator[Brought]:
        """Try a task again, run by run: maybe one of them is what killed its worker."""
        job.lost += 1
        if job.lost < MOST_LOST:
            self._waiting += [_Job(replace(job.task, runs=(run,)), job.lost) for run in job.task.runs]
            return
        for run in job.task.runs:
            reason = f"it was given up after {job.lost} tries ({why}); look at the workers' logs, and sync it again"
            yield Brought(run.key, job.task.terms.name or run.name, outcome="failed", why=reason)
