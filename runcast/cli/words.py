"""Numbers, sizes and times as people read them."""

from __future__ import annotations

import math

__all__ = ["ago", "duration", "figure", "size", "spark"]

_UNITS = ("B", "kB", "MB", "GB", "TB")
_BARS = "▁▂▃▄▅▆▇█"


def figure(value: float) -> str:
    """Return a number with five figures that count: `0.012346`, `1.5`, `1.2e-07`, `NaN`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.5g}"


def size(count: int) -> str:
    """Return a number of bytes: `512 B`, `1.2 MB`."""
    scaled, unit = float(count), 0
    while scaled >= 999.5 and unit < len(_UNITS) - 1:
        scaled /= 1000
        unit += 1
    return f"{count} B" if unit == 0 else f"{scaled:.{1 if scaled < 99.95 else 0}f} {_UNITS[unit]}"


def duration(seconds: float) -> str:
    """Return a length of time: `8 s`, `4 min 05 s`, `2 h 10 min`, `3 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def ago(seconds: float) -> str:
    """Return how long ago something was: `just now`, `5 min ago`, `3 d ago`."""
    whole = round(seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= length:
            return f"{whole // length} {unit} ago"
    return f"{whole} s ago" if whole >= 5 else "just now"


def spark(values: list[float]) -> str:
    """Return a line of bars as high as the values; what is not finite leaves a gap."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] if math.isfinite(value) else " " for value in values)
