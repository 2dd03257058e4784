"""Workers of a Ray cluster."""

from __future__ import annotations

import io
import itertools
import logging
import os
import warnings
from contextlib import ExitStack, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import runcast
from runcast.errors import MissingPackage, ServerUnreachable
from runcast.sync.clusters import Answer, Lost, carrier, reach, said

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["Ray"]

CLIENT_PORT = 10001
"""Where a head node listens for `ray://`, usually."""

START = "start a cluster (`ray start --head`)"


class Ray:
    """See `Cluster`; what can be fit or not is a node. A task takes one CPU."""

    def __init__(self, address: str | None) -> None:
        """`address` is `ray://HOST:PORT`; None means the cluster of this machine, or of `RAY_ADDRESS`. Raises as `open_cluster`."""
        named = address or os.environ.get("RAY_ADDRESS") or "auto"
        self._address = "" if named == "auto" else named
        if self._address:
            parts = urlsplit(named if "://" in named else f"//{named}")
            try:
                port = parts.port
            except ValueError:
                port = 0
            reach(str(self), parts.hostname, port or (CLIENT_PORT if port is None else 0), START)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                import ray
            except ImportError as error:
                raise MissingPackage("a Ray cluster needs ray: pip install 'runcast[ray]'") from error
        self._ray = ray
        self._quiet = ExitStack()
        self._is_mine = not ray.is_initialized()
        if self._is_mine:
            self._connect(named)
        self._quiet.enter_context(redirect_stdout(io.StringIO()))  # Ray prints there what the lost tasks tell
        self._carry = ray.remote(carrier())
        self._look = _looker()
        self._turn = itertools.count()
        self._refs: dict[Any, Any] = {}

    def __str__(self) -> str:
        return f"the Ray cluster at {self._address}" if self._address else "the Ray cluster of this machine"

    def slots(self, without: Collection[str]) -> int:
        """See `Cluster.slots`."""
        return sum(cores for node, cores in self._nodes().items() if node not in without)

    def submit(self, payload: bytes, without: Collection[str]) -> Any:
        """See `Cluster.submit`."""
        strategy: Any = "SPREAD"
        fit = sorted(node for node in self._nodes() if node not in without) if without else []
        if fit:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            strategy = NodeAffinitySchedulingStrategy(fit[next(self._turn) % len(fit)], soft=False)
        options = self._carry.options(
            num_cpus=1, max_retries=0, scheduling_strategy=strategy, name="runcast-sync"
        )
        ref = options.remote(self._look, runcast.__version__, payload)
        self._refs[ref] = ref
        return ref

    def ended(self, timeout: float) -> Iterator[tuple[Any, Answer | Lost]]:
        """See `Cluster.ended`."""
        errors = self._ray.exceptions
        try:
            ready, _ = self._ray.wait(list(self._refs), num_returns=1, timeout=timeout, fetch_local=False)
            if ready:
                ready, _ = self._ray.wait(
                    list(self._refs), num_returns=len(self._refs), timeout=0, fetch_local=False
                )
        except (ConnectionError, errors.RaySystemError) as error:
            raise self._gone(error) from error
        for ref in ready:
            try:
                yield ref, Answer(*self._ray.get(ref))
            except (ConnectionError, errors.RaySystemError) as error:
                raise self._gone(error) from error
            except errors.RayError as error:
                yield ref, Lost(said(getattr(error, "cause", None) or error))
            del self._refs[ref]

    def close(self) -> None:
        """See `Cluster.close`."""
        with suppress(ConnectionError, ValueError, self._ray.exceptions.RayError):  # where it is gone
            for ref in self._refs:
                self._ray.cancel(ref)
        if self._is_mine:
            self._ray.shutdown()
        self._quiet.close()

    def _connect(self, named: str) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._ray.init(named, log_to_driver=False, logging_level=logging.CRITICAL)
        except (OSError, RuntimeError, ValueError, ImportError, self._ray.exceptions.RayError) as error:
            raise ServerUnreachable(f"{self} cannot be used ({said(error)}): {START}") from error

    def _nodes(self) -> dict[str, int]:
        """Return how many tasks each node does at once."""
        try:
            return {
                node["NodeID"]: cores
                for node in self._ray.nodes()
                if node["Alive"] and (cores := int(node["Resources"].get("CPU", 0)))
            }
        except (ConnectionError, self._ray.exceptions.RaySystemError) as error:
            raise self._gone(error) from error

    def _gone(self, error: BaseException) -> ServerUnreachable:
        return ServerUnreachable(f"{self} is gone ({said(error)}); the same command goes on when it is back")


def _looker() -> Callable[[], tuple[str, Callable[[], bool]]]:
    """Return a `Look`. It is sent as code, as `carrier` says. Ray itself interrupts a task that is cancelled."""

    def look() -> tuple[str, Callable[[], bool]]:
        import ray

        return ray.get_runtime_context().get_node_id(), lambda: False

    return look
