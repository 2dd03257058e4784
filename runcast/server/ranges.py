"""Which part of a file a request asks for."""

from __future__ import annotations

import re

__all__ = ["Unsatisfiable", "parse_range"]

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Unsatisfiable(ValueError):
    """The range begins at or after the end of the file."""


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return [start, stop) of what `Range` asks for; None for the whole: no header, several ranges or one that is not understood.

    Raises `Unsatisfiable`.
    """
    found = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if found is None:
        return None
    first, last = found.groups()
    if not first:
        if not last:
            return None
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return max(0, size - int(last)), size
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return start, min(int(last) + 1, size) if last else size
