"""What the routes work with: the store, its threads, group commit and the feed of changes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from runcast.errors import StoreError
from runcast.server.committer import Committer
from runcast.server.feed import Feed
from runcast.server.frames import Frames
from runcast.server.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from runcast.server.access import Access
    from runcast.server.limits import Limits
    from runcast.store.local import LocalStore

__all__ = ["Service", "service_of"]

log = logging.getLogger(__name__)

SWEEP = 3600.0
"""Seconds between two looks for runs that are too old, about."""

P = ParamSpec("P")
T = TypeVar("T")


class Service:
    """One server's parts; made when the application starts, closed when it ends."""

    def __init__(self, store: LocalStore, limits: Limits, access: Access) -> None:
        self.store = store
        self.access = access
        self.limits = limits
        self.metrics = Metrics()
        self.stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.requests = self.streams = 0
        self.metrics.watch("requests_now", "Requests that are worked at.", lambda: self.requests)
        self.metrics.watch("streams_now", "Live streams that are open.", lambda: self.streams)
        self._checked = 0.0
        self._checking: asyncio.Future[int] | None = None
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="runcast-store")
        self.committer = Committer(store, self.metrics, limits.queue)
        self.feed = Feed(self)
        self.frames = Frames(self)
        self._sweeping = self._loop.create_task(self._sweep())

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what waits for the database or the disk, in a thread."""
        work = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def check(self) -> None:
        """Ask the database something; all who ask within a second share the answer. Raises `StoreError`."""
        now = time.monotonic()
        if self._checking is None or (self._checking.done() and now - self._checked >= 1.0):
            self._checked = now
            self._checking = asyncio.ensure_future(self.call(self.store.mark))
        await asyncio.shield(self._checking)

    @contextlib.asynccontextmanager
    async def streaming(self) -> AsyncIterator[None]:
        """Count a live stream, while the block lasts."""
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    async def sleep(self, seconds: float) -> None:
        """Wait, but not once the server stops."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    def stop(self) -> None:
        """Begin to stop: streams end, everything else is still answered."""
        self.stopping.set()
        self.feed.wake_all()
        self.frames.close()

    def request_stop(self) -> None:
        """Begin to stop, said from another thread."""
        self._loop.call_soon_threadsafe(self.stop)

    async def close(self) -> None:
        """Commit what waits for it, and end the threads."""
        self.stop()
        self._sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeping
        await self.feed.close()
        await asyncio.get_running_loop().run_in_executor(None, self.committer.close)
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _sweep(self) -> None:
        """Put what projects do not keep into the trash, and delete what has been there long enough, now and then."""
        while True:
            # Replicas do it too, which is harmless; they should not all do it at once.
            await asyncio.sleep(random.uniform(0.5, 1.5) * SWEEP)  # noqa: S311 - no secret
            try:
                trashed, deleted = await self.call(self.store.expire)
            except StoreError as error:
                log.warning("cannot look for runs that are too old: %s", error)
                continue
            for run in (*trashed, *deleted):
                self.access.moved(run)
            if trashed or deleted:
                log.info(
                    "too old: %s runs were put into the trash, %s deleted from it", len(trashed), len(deleted)
                )


def service_of(request: Request) -> Service:
    """Return the parts of the server that a request came to."""
    service: Any = request.app.state.service
    assert isinstance(service, Service)
    return service
