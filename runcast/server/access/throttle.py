"""How many passwords may be tried: per account and address, per address, per account."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from math import ceil
from typing import TYPE_CHECKING

from runcast.server.access.errors import TooMany

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Throttle"]

LIMITS = {"both": (5, 60.0), "address": (30, 300.0), "account": (100, 3600.0)}
"""Attempts, and the seconds within which they count. That for an account alone is generous, lest anyone lock others out."""

MOST_KEYS = 100_000


class Throttle:
    """Counts attempts in this process' memory; thread-safe. Several replicas allow as many times more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._attempts: OrderedDict[tuple[str, str, str], tuple[float, int]] = OrderedDict()

    def attempt(self, account: str, address: str) -> None:
        """Count an attempt before it is looked at, so that many at once gain nothing. Raises `TooMany`."""
        now = self._clock()
        with self._lock:
            keys = _keys(account, _network(address))
            for key in keys:
                most, seconds = LIMITS[key[0]]
                began, count = self._attempts.get(key, (now, 0))
                if count >= most and now < began + seconds:
                    wait = ceil(began + seconds - now)
                    raise TooMany(f"too many attempts to log in; try again in {wait} s", wait)
            for key in keys:
                began, count = self._attempts.pop(key, (now, 0))
                fresh = now >= began + LIMITS[key[0]][1]
                self._attempts[key] = (now, 1) if fresh else (began, count + 1)
            while len(self._attempts) > MOST_KEYS:
                self._attempts.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """Forget what the account's own address tried: its user mistyped, and is in."""
        with self._lock:
            for key in _keys(account, _network(address)):
                if key[0] == "both":
                    self._attempts.pop(key, None)
                elif key in self._attempts:
                    began, count = self._attempts[key]
                    self._attempts[key] = (began, count - 1)


def _keys(account: str, address: str) -> list[tuple[str, str, str]]:
    return [("both", account, address), ("address", "", address), ("account", account, "")]


def _network(address: str) -> str:
    """Return what one attacker has: an IPv4 address, or a /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
