"""What `/metrics` tells Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Metrics"]

_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_COMMIT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_GROUP = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """The figures of one server; thread-safe."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "runcast_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._latency = Histogram(
            "runcast_request_seconds",
            "Time until a request is answered; live streams are left out.",
            ("method", "route"),
            buckets=_LATENCY,
            registry=registry,
        )
        self.stream_events = Counter(
            "runcast_stream_events", "Events sent to live streams.", registry=registry
        )
        self.appends = Counter("runcast_appends", "Requests that appended.", registry=registry)
        self.appended_bytes = Counter(
            "runcast_appended_bytes", "Bytes that came to be appended.", registry=registry
        )
        self.refused = Counter(
            "runcast_appends_refused",
            "Requests to append that were answered 503, for want of room.",
            registry=registry,
        )
        self._group = Histogram(
            "runcast_commit_group", "Requests in a commit.", buckets=_GROUP, registry=registry
        )
        self._commit = Histogram(
            "runcast_commit_seconds", "Time that a commit takes.", buckets=_COMMIT, registry=registry
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def watch(self, name: str, words: str, value: Callable[[], float]) -> None:
        """Have a figure asked for when somebody looks."""
        Gauge(f"runcast_{name}", words, registry=self.registry).set_function(value)

    def answered(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count a request; `seconds` is None for a stream."""
        found = self._children.get((method, route, status))
        if found is None:  # looking labels up takes longer than counting
            found = (
                self._requests.labels(method, route, str(status)),
                self._latency.labels(method, route),
            )
            self._children[method, route, status] = found
        found[0].inc()
        if seconds is not None:
            found[1].observe(seconds)

    def committed(self, requests: int, size: int, seconds: float) -> None:
        """Count a commit of a group."""
        self.appends.inc(requests)
        self.appended_bytes.inc(size)
        self._group.observe(requests)
        self._commit.observe(seconds)
