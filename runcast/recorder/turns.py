"""Which files are looked at when: those that move each time, the others by and by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runcast.recorder.pump import Pump

__all__ = ["Turns"]

LIVELY = 10.0
"""Seconds after it moved for which a file is looked at each time."""

RATE = 500.0
"""Files that are looked at in a second, beside those that move."""

AT_ONCE = 100
"""Files that are looked at each time, beside those that move, however often that is: runs of fewer files wait for none."""


class Turns:
    """Deals out turns to a list of pumps that only grows. Used by one thread; times are monotonic."""

    def __init__(self) -> None:
        self._moved: dict[Pump, float] = {}
        self._known = 0
        self._next = 0
        self._dealt = 0.0

    def moved(self, pump: Pump, now: float) -> None:
        """Note that something was recorded of a file."""
        self._moved[pump] = now

    def deal(self, pumps: Sequence[Pump], now: float) -> list[Pump]:
        """Return whose turn it is: new files, those that move, and so many of all of them."""
        self._moved = {pump: at for pump, at in self._moved.items() if now - at < LIVELY}
        dealt = dict.fromkeys([*pumps[self._known :], *self._moved])
        some = min(len(pumps), max(AT_ONCE, int(RATE * (now - self._dealt))))
        for number in range(self._next, self._next + some):
            dealt[pumps[number % len(pumps)]] = None
        if pumps:
            self._next = (self._next + some) % len(pumps)
        self._known, self._dealt = len(pumps), now
        return list(dealt)
