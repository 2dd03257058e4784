"""A store that cannot be used just now: keep trying, less and less often, and say so once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Outage"]

log = logging.getLogger(__name__)

FIRST, LONGEST = 0.5, 30.0
"""Seconds before another attempt: doubled with each that fails."""


QUIET = 300.0
"""Seconds for which one warning is enough: a nearly full disk fails for one file and then for another."""


class Outage:
    """The time in which the store fails. `why` is empty while all is well."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.why = ""
        self._warn = warn
        self._delay = FIRST
        self._until = 0.0
        self._warned = float("-inf")

    def begin(self, error: Exception, now: float) -> None:
        """Note a failure at the (monotonic) time `now`."""
        if not self.why:
            log.error("the store cannot be used", exc_info=error)
        self.why = str(error) or repr(error)
        self._warn(
            f"{self.why}. Training goes on, and what is missing is recorded as soon as that is possible"
        )
        self._until = now + self._delay
        self._delay = min(2 * self._delay, LONGEST)

    def end(self) -> None:
        """Note that the store works."""
        if self.why:
            log.warning("the store can be used again")
        self.why = ""
        self._delay = FIRST
        self._until = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until the next attempt is due."""
        return max(0.0, self._until - now)
