"""Group commit: appends of many requests in one transaction."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runcast.errors import StoreError
from runcast.server.errors import busy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runcast.server.metrics import Metrics
    from runcast.store.local import LocalStore
    from runcast.store.protocol import Append, Appended, OffsetMismatch

__all__ = ["Committer", "Room"]

log = logging.getLogger(__name__)

GATHER, LONGEST = 0.002, 0.02
"""Seconds that the first append of a group waits for others: longer, the more there were in the group before.

Committing one run costs seven times as much alone as in a group of sixty-four.
"""

MOST_REQUESTS = 512
"""Requests in a group."""

MOST_BYTES = 16 << 20
"""Bytes in a group, if it has more than one request."""


@dataclass(slots=True)
class _Waiting:
    """A request that waits for its commit."""

    run: str
    appends: Sequence[Append]
    size: int
    answer: asyncio.Future[Any] = field(repr=False)


class Room:
    """The room that one request takes in memory."""

    def __init__(self, committer: Committer) -> None:
        self.size = 0
        self._committer = committer

    def take(self, size: int) -> None:
        """Take more of it. Raises `Problem` 503 if there is none; a single request always finds some."""
        self._committer.reserve(size, alone=self.size == self._committer.reserved)
        self.size += size


class Committer:
    """Gathers what requests append and commits it together, from one thread.

    `append` belongs to the event loop; everything of the store happens in the thread. A run is in a group once: what else comes for
    it goes into the next, in the order of arrival.
    """

    def __init__(self, store: LocalStore, metrics: Metrics, most_waiting: int) -> None:
        self._store = store
        self._metrics = metrics
        self._most_waiting = most_waiting
        self.reserved = 0
        self._waiting: deque[_Waiting] = deque()
        self._arrived = threading.Condition()
        self._closing = False
        self._size = 0
        metrics.watch(
            "append_queue_bytes", "Bytes that are received or wait for their commit.", lambda: self.reserved
        )
        self._thread = threading.Thread(target=self._commit_groups, name="runcast-commits", daemon=True)
        self._thread.start()

    @contextmanager
    def room(self) -> Iterator[Room]:
        """Make room for a body that is to be appended, until the block ends."""
        room = Room(self)
        try:
            yield room
        finally:
            self.reserved -= room.size

    def reserve(self, size: int, *, alone: bool) -> None:
        """Count bytes that are received. Raises `Problem` 503 for more than may wait, but to one that is `alone`."""
        if not alone and self.reserved + size > self._most_waiting:
            self._metrics.refused.inc()
            raise busy("more is being appended than can be committed; try again")
        self.reserved += size

    async def append(
        self, run: str, appends: Sequence[Append]
    ) -> Sequence[Appended | OffsetMismatch | StoreError]:
        """Append, and return the answers when they are committed; see `Store.append_all`."""
        size = sum(len(each.data) for each in appends)
        answer = asyncio.get_running_loop().create_future()
        with self._arrived:
            if self._closing:
                raise busy("the server is stopping; try again", 2)
            self._waiting.append(_Waiting(run, appends, size, answer))
            if len(self._waiting) == 1:
                self._arrived.notify()
        answers: Sequence[Appended | OffsetMismatch | StoreError] = await answer
        return answers

    def close(self) -> None:
        """Commit what waits, and end the thread."""
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        self._thread.join()

    def _commit_groups(self) -> None:
        while group := self._next_group():
            started = time.perf_counter()
            answers = self._commit(group)
            took = time.perf_counter() - started
            self._metrics.committed(len(group), sum(each.size for each in group), took)
            group[0].answer.get_loop().call_soon_threadsafe(_answer, group, answers)

    def _next_group(self) -> list[_Waiting]:
        """Wait for appends, and a little longer for others; return none when closing and all are committed."""
        with self._arrived:
            while not self._waiting:
                if self._closing:
                    return []
                self._arrived.wait()
            closing = self._closing
        if not closing:
            time.sleep(min(LONGEST, GATHER * max(1, self._size)))
        group: list[_Waiting] = []
        left: list[_Waiting] = []
        runs: set[str] = set()
        size = 0
        with self._arrived:
            while self._waiting and len(group) < MOST_REQUESTS:
                each = self._waiting[0]
                if group and size + each.size > MOST_BYTES:
                    break
                self._waiting.popleft()
                if each.run in runs:
                    left.append(each)
                    continue
                runs.add(each.run)
                group.append(each)
                size += each.size
            self._waiting.extendleft(reversed(left))
        self._size = len(group)
        return group

    def _commit(self, group: list[_Waiting]) -> list[Any]:
        """Return the answers to a group: what each request is answered, or the error that it gets."""
        try:
            answers = self._store.append_runs({each.run: each.appends for each in group})
        except StoreError as error:  # the store cannot be used
            return [error] * len(group)
        except Exception as error:
            if len(group) == 1:
                log.exception("an append to run %s failed", group[0].run)
                return [error]
            log.warning("a group commit failed; its %s requests are committed one by one", len(group))
            return [answer for each in group for answer in self._commit([each])]
        return [answers[each.run] for each in group]


def _answer(group: list[_Waiting], answers: list[Any]) -> None:
    for each, answer in zip(group, answers, strict=True):
        if each.answer.done():  # its request was given up
            continue
        if isinstance(answer, BaseException):
            each.answer.set_exception(answer)
        else:
            each.answer.set_result(answer)
