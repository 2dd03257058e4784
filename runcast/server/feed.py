"""The feed of changes: one look at the store for all live streams of a process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from runcast.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from runcast.server.service import Service

__all__ = ["Feed", "Subscription"]

log = logging.getLogger(__name__)

INTERVAL, LONGEST = 0.25, 1.0
"""Seconds between two looks at the store, while anybody listens: the more, the longer a look takes."""

SHARE = 0.1
"""The part of the time that looking may take, about."""

MOST_PENDING = 1000
"""Runs that a listener may be behind; beyond, it is told that anything may have changed."""


class Subscription:
    """What one listener has not been told yet: the runs that changed, as a set, so that a slow listener misses none and holds little."""

    def __init__(self) -> None:
        self.mark = 0
        self._pending: dict[str, None] = {}
        self._overflow = False
        self._news = asyncio.Event()

    def tell(self, mark: int, runs: Iterable[str]) -> None:
        """Add what changed up to a mark, and wake the listener."""
        self._pending.update(dict.fromkeys(runs))
        self.mark = max(self.mark, mark)
        if len(self._pending) > MOST_PENDING:
            self._pending.clear()
            self._overflow = True
        self._news.set()

    async def wait(self, timeout: float) -> None:
        """Wait for news, or to be woken, but not for longer."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._news.wait(), timeout)

    def take(self) -> tuple[list[str], bool]:
        """Return what is new and forget it: the runs, and whether there are more than these."""
        runs, overflow = list(self._pending), self._overflow
        self._pending.clear()
        self._overflow = False
        self._news.clear()
        return runs, overflow

    def wake(self) -> None:
        """Wake the listener without news."""
        self._news.set()


class Feed:
    """Looks for changes while anybody listens, and tells each listener of its runs. It belongs to the event loop.

    It looks, too, whether anybody lost the right to see something, here or through another process, and wakes all listeners then. A run is followed by its id; a project by its name, with the runs that are in it when they change.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._by_run: dict[str, set[Subscription]] = {}
        self._by_project: dict[str, set[Subscription]] = {}
        self._mark = 0
        self._is_looking = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._project_of: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def follow_run(self, run: str) -> AsyncIterator[Subscription]:
        """Subscribe to one run, while the block lasts: to all that comes after the subscription's mark."""
        async with self._follow(self._by_run, run) as subscription:
            yield subscription

    @contextlib.asynccontextmanager
    async def follow_project(self, project: str) -> AsyncIterator[Subscription]:
        """Subscribe to the runs of a project, while the block lasts: to all that comes after the subscription's mark."""
        async with self._follow(self._by_project, project) as subscription:
            yield subscription

    def expect(self, run: str, project: str) -> None:
        """Take note of the project of a run that is about to be deleted: the store does not know it afterwards."""
        if self._by_project:
            self._project_of[run] = project

    def wake_all(self) -> None:
        """Wake every listener, for it to find out whether it is to end."""
        for subscriptions in (*self._by_run.values(), *self._by_project.values()):
            for each in subscriptions:
                each.wake()

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    @contextlib.asynccontextmanager
    async def _follow(self, index: dict[str, set[Subscription]], key: str) -> AsyncIterator[Subscription]:
        subscription = Subscription()
        index.setdefault(key, set()).add(subscription)
        try:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.get_running_loop().create_task(self._look())
            await self._is_looking.wait()
            subscription.mark = self._mark
            yield subscription
        finally:
            index[key].discard(subscription)
            if not index[key]:
                del index[key]

    async def _look(self) -> None:
        """Look and tell, until nobody listens."""
        call, store, access = self._service.call, self._service.store, self._service.access
        changes = access.changes
        while self._by_run or self._by_project:
            started = time.monotonic()
            try:
                if self._is_looking.is_set():
                    self._mark, changed = await call(store.changed, self._mark)
                    self._tell(changed)
                else:
                    self._mark = await call(store.mark)
                    self._is_looking.set()
                await access.keep_up()
            except StoreError as error:
                log.warning("cannot look for changes: %s", error)
            if changes != access.changes:
                changes = access.changes
                self.wake_all()
                self._service.frames.wake_all()
            await asyncio.sleep(min(LONGEST, max(INTERVAL, (time.monotonic() - started) / SHARE)))
        self._is_looking.clear()
        self._project_of.clear()

    def _tell(self, changed: Sequence[tuple[str, str]]) -> None:
        """Tell each listener of its runs; a run that moved is told to those who follow the project that it left, too."""
        of_projects: dict[str, list[str]] = {}
        for run, project in changed:
            for subscription in self._by_run.get(run, ()):
                subscription.tell(self._mark, (run,))
            if not self._by_project:
                continue
            for name in {self._project_of.get(run, project), project}:
                if name in self._by_project:
                    of_projects.setdefault(name, []).append(run)
            self._project_of[run] = project
        for name, runs in of_projects.items():
            for subscription in self._by_project[name]:
                subscription.tell(self._mark, runs)
