"""The last step that an event file of ours holds: read by walking its records, without decoding them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["last_step"]

_length = struct.Struct("<Q").unpack_from

FRAME = 16
"""Bytes of a record beside its payload: its length and two checksums."""

STEP_KEY = 0x10
"""The key of an event's step, which `EventWriter` writes after the nine bytes of the wall time."""


def last_step(folder: Path) -> int | None:
    """Return the highest step in the event files that `EventWriter` wrote into a folder; None where there is none.

    A record that is cut short ends a file, as for every reader. Raises nothing: what cannot be read has no steps.
    """
    highest: int | None = None
    try:
        files = sorted(folder.glob("*tfevents*"))
    except OSError:
        return None
    for path in files:
        try:
            data = path.read_bytes()
        except OSError:
            continue
        at, first = 0, True
        while at + FRAME <= len(data):
            length = _length(data, at)[0]
            if at + FRAME + length > len(data):
                break
            if not first:  # the first record says only which version of the format this is
                step = _step(data, at + 12)
                highest = step if highest is None else max(highest, step)
            at, first = at + FRAME + length, False
    return highest


def _step(data: bytes, at: int) -> int:
    if data[at + 9] != STEP_KEY:
        return 0
    value = shift = 0
    for byte in data[at + 10 : at + 20]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value - (1 << 64) if value >= 1 << 63 else value
