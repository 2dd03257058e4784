"""What was just looked up, for a few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Cache"]

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Answers by key. Used from one thread (the event loop's), but `clear`, which any may call.

    An answer that was being looked up while the cache was cleared is not kept: it may be older than the change.
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._kept: dict[K, tuple[float, V]] = {}
        self.generation = 0

    def get(self, key: K) -> V | None:
        """Return the answer, None if there is none that is young enough."""
        found = self._kept.get(key)
        return None if found is None or found[0] < self._clock() else found[1]

    def keep(self, key: K, value: V, lasts: float, generation: int) -> None:
        """Keep an answer for some seconds; `generation` is what it was before the answer was looked up."""
        if generation != self.generation:
            return
        if len(self._kept) >= self._most:
            self._kept.clear()  # cheaper than order; what is in use comes back with a look-up each
        self._kept[key] = (self._clock() + lasts, value)

    def forget(self, key: K) -> None:
        """Have one answer looked up anew."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Have everything looked up anew."""
        self.generation += 1
        self._kept = {}
