"""Workers of a Dask cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import warnings
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import runcast
from runcast.errors import MissingPackage, ServerUnreachable, SettingsError
from runcast.sync.clusters import TIMEOUT, Answer, Lost, carrier, reach, said

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["Dask"]

PORT = 8786
"""Where a scheduler listens, usually."""

MISSING = "a Dask cluster needs distributed: pip install 'runcast[dask]'"


class Dask:
    """See `Cluster`. Where a worker is killed, Dask itself gives its tasks to others, a few times."""

    def __init__(self, address: str | None) -> None:
        """`address` is the scheduler's; None means the one that Dask's configuration names. Raises as `open_cluster`."""
        named = address or _configured()
        parts = urlsplit(named if "://" in named else f"tcp://{named}")
        try:
            self._address = f"{parts.scheme}://{parts.netloc}" + ("" if parts.port else f":{PORT}")
        except ValueError as error:
            raise SettingsError(
                f"{named!r} is no address of a Dask scheduler: write dask://HOST:PORT"
            ) from error
        start = f"start a cluster (`dask scheduler`, `dask worker {self._address}`)"
        if parts.scheme in {"tcp", "tls"}:
            reach(str(self), parts.hostname, parts.port or PORT, start)
        try:
            import distributed
        except ImportError as error:
            raise MissingPackage(MISSING) from error
        self._dask = distributed
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # of versions that differ: what matters of those is told by the workers
                self._client = distributed.Client(self._address, timeout=TIMEOUT, set_as_default=False)
        except (OSError, asyncio.TimeoutError, ValueError, RuntimeError) as error:
            raise ServerUnreachable(f"{self} cannot be used ({said(error)}): {start}") from error
        self._carry = carrier()
        self._look = _looker()
        self._number = 0
        self._futures: dict[str, Any] = {}
        self._meant: dict[str, frozenset[str]] = {}

    def __str__(self) -> str:
        return f"the Dask cluster at {self._address}"

    def slots(self, without: Collection[str]) -> int:
        """See `Cluster.slots`."""
        return sum(threads for worker, threads in self._workers().items() if worker not in without)

    def submit(self, payload: bytes, without: Collection[str]) -> str:
        """See `Cluster.submit`."""
        self._number += 1
        name = f"runcast-sync-{os.urandom(4).hex()}-{self._number}"
        workers = [worker for worker in self._workers() if worker not in without] if without else []
        self._futures[name] = self._client.submit(
            self._carry,
            self._look,
            runcast.__version__,
            payload,
            key=name,
            pure=False,
            workers=workers or None,
        )
        self._meant[name] = frozenset(workers)
        return name

    def ended(self, timeout: float) -> Iterator[tuple[str, Answer | Lost]]:
        """See `Cluster.ended`."""
        try:
            with self._client.as_current():
                self._dask.wait(list(self._futures.values()), timeout, return_when="FIRST_COMPLETED")
        except self._dask.TimeoutError:
            alive = self._workers().keys()
            for name, meant in list(self._meant.items()):
                if meant and not meant & alive and not self._futures[name].done():
                    yield name, self._forget(name, cancel=True)
            return
        except CancelledError as error:
            raise self._gone(error) from error
        for name, future in list(self._futures.items()):
            if future.status == "cancelled":
                raise self._gone(CancelledError("its tasks were cancelled"))
            if future.status == "error":
                yield name, self._forget(name, said(future.exception()))
            elif future.status == "finished":
                try:
                    answer = Answer(*future.result(TIMEOUT))
                except self._dask.TimeoutError:
                    continue  # who has the answer was lost: it is worked out anew
                self._forget(name)
                yield name, answer

    def close(self) -> None:
        """See `Cluster.close`."""
        with suppress(OSError, asyncio.TimeoutError, RuntimeError, CancelledError):  # where it is gone
            self._client.cancel(list(self._futures.values()), force=True)
        self._client.close(TIMEOUT)

    def _forget(
        self, name: str, why: str = "the workers that could do it are gone", *, cancel: bool = False
    ) -> Lost:
        future = self._futures.pop(name)
        del self._meant[name]
        if cancel:
            self._client.cancel([future], force=True)
        return Lost(why)

    def _workers(self) -> dict[str, int]:
        """Return how many tasks each worker does at once."""
        try:
            return dict(self._client.nthreads())
        except (OSError, asyncio.TimeoutError, RuntimeError, CancelledError) as error:
            raise self._gone(error) from error

    def _gone(self, error: BaseException) -> ServerUnreachable:
        return ServerUnreachable(f"{self} is gone ({said(error)}); the same command goes on when it is back")


def _configured() -> str:
    """Return the scheduler's address in Dask's own configuration."""
    try:
        import dask
    except ImportError as error:
        raise MissingPackage(MISSING) from error
    named = dask.config.get("scheduler-address", None)
    if not named:
        raise SettingsError("no Dask cluster is named: write dask://HOST:PORT, or set DASK_SCHEDULER_ADDRESS")
    return str(named)


def _looker() -> Callable[[], tuple[str, Callable[[], bool]]]:
    """Return a `Look`. It is sent as code, as `carrier` says."""

    def look() -> tuple[str, Callable[[], bool]]:
        from distributed import get_worker

        worker = get_worker()
        key = worker.get_current_task()

        def is_cancelled() -> bool:
            task = worker.state.tasks.get(key)
            return task is None or task.state == "cancelled"

        return worker.address, is_cancelled

    return look
