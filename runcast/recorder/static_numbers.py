"""Numbers, durations and axis ticks as a reader wants them; the panel writes them in the same way."""

from __future__ import annotations

import math

__all__ = ["format_duration", "format_tick", "format_value", "ticks"]

_MINUS = "\N{MINUS SIGN}"
_NBSP = "\N{NO-BREAK SPACE}"


def format_value(value: float) -> str:
    """Return a value with about four significant digits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e7 or size < 1e-4:
        text = _exponent(size, 2)
    elif size >= 1e4:
        text = f"{size:,.0f}"
    else:
        text = f"{float(f'{size:.4g}'):g}"
    return _signed(text, value)


def format_tick(value: float, increment: float) -> str:
    """Return a value at the ticks of an axis whose neighbours are `increment` apart."""
    size = abs(value)
    if size < increment / 1e6:
        return "0"
    if size >= 1e15 or size < 1e-4:
        return _signed(_exponent(size, 1), value)
    for scale, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= scale * (10 if letter == "k" else 1):
            return _signed(f"{_decimals(size / scale, increment / scale)}{letter}", value)
    return _signed(_decimals(size, increment), value)


def format_duration(seconds: float) -> str:
    """Return seconds as the two largest units that matter: `1 m 32 s`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f}{_NBSP}s"
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}{_NBSP}d{_NBSP}{h}{_NBSP}h"
    if hours:
        return f"{h}{_NBSP}h{_NBSP}{m:02}{_NBSP}m"
    return f"{m}{_NBSP}m{_NBSP}{s:02}{_NBSP}s" if minutes else f"{s}{_NBSP}s"


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> tuple[list[float], float]:
    """Return ticks in [low, high] at 1, 2 or 5 times a power of ten, and their distance.

    There are `most` at most, but for one or two more where there would be fewer than three.
    """
    span = high - low
    if not 0 < span < math.inf:
        return [low], 1.0
    found: list[float] = []
    increment = math.inf
    for pieces in (most, most * 1.5, most * 2):
        power = 10.0 ** math.floor(math.log10(span / pieces))
        increment = power * next(
            digit for digit in (1, 2, 5, 10) if digit * power >= span / pieces * (1 - 1e-9)
        )
        if whole:
            increment = max(1.0, increment)
        first, last = math.ceil(low / increment - 1e-9), math.floor(high / increment + 1e-9)
        found = [number * increment for number in range(first, min(last, first + 2 * most) + 1)]
        if len(found) >= 3:
            break
    return found, increment


def _exponent(size: float, digits: int) -> str:
    mantissa, power = f"{size:.{digits}e}".split("e")
    return f"{float(mantissa):g}e{_signed(str(abs(int(power))), int(power))}"


def _decimals(size: float, increment: float) -> str:
    """Return as many decimals as it takes to tell neighbours apart."""
    places = math.ceil(-math.log10(increment) - 1e-9)
    return f"{size:.{max(0, min(12, places))}f}"


def _signed(text: str, value: float) -> str:
    return f"{_MINUS}{text}" if value < 0 else text
